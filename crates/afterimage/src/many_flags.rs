//! Flags for many pictures by one command. The doc comments are the help.

use crate::generate::grid::{self, GridAxis};
use crate::values;
use clap::Args;
use std::path::PathBuf;

/// Many pictures by one command.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Many pictures")]
pub struct ManyFlags {
    /// A table of pictures over one setting or two, such as `--grid redux-strength=0.3,0.6,1 seed=1..4`
    ///
    /// The first setting goes from left to right, the second from top to bottom: `seed`, `steps`, `guidance`,
    /// `variation-seed`, `variation-strength`, `strength` (of `vary` with --init), of `vary` `balance`, `redux-strength`
    /// and `redux-downsample`. Values are separated by commas; `1..4` counts up by one, `0.2..1:0.2` by what follows the
    /// colon. The result is one picture, `photo-grid.png`. A seed that is neither named nor a setting of the table is drawn
    /// once, for all.
    #[arg(
        long,
        env = "AFTERIMAGE_GRID",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "NAME=VALUES",
        value_parser = grid::axis
    )]
    pub grid: Vec<GridAxis>,

    /// Write a sheet that shows every input beside its results, small, with their names
    #[arg(long, env = "AFTERIMAGE_CONTACT_SHEET", hide_env_values = true, hide_short_help = true, value_name = "FILE")]
    pub contact_sheet: Option<PathBuf>,

    /// Take each IMAGE by itself
    ///
    /// So is every picture of a folder and of a pattern such as '*.jpg' (in quotes, or the shell puts in the names). --output
    /// is the folder for the results. A picture whose results are there already is passed over, so that a command that was
    /// interrupted goes on when it is given again. One that cannot be read is reported, and the rest goes on.
    #[arg(long, env = "AFTERIMAGE_EACH", hide_env_values = true, hide_short_help = true, value_parser = values::switch)]
    pub each: bool,

    /// Make results again that are there already, where each picture is taken by itself
    #[arg(long, env = "AFTERIMAGE_REPLACE", hide_env_values = true, hide_short_help = true, value_parser = values::switch)]
    pub replace: bool,
}
