//! `afterimage licences`: what the program and what is embedded in it may be used under.

use crate::failure::CommandFailure;
use crate::output::print_text;
use clap::Args;

/// Print the licences of the program and of the weights that are embedded in it
///
/// The program is under MIT or Apache-2.0, as you like; so is the embedded demo model, which was trained from scratch. The
/// embedded safety checker is Yahoo's, under BSD 2-Clause, whose text and notice are printed.
#[derive(Args, Debug)]
pub struct Licences {}

impl Licences {
    /// Runs the command.
    pub fn run() -> Result<(), CommandFailure> {
        print_text(&text())
    }
}

fn text() -> String {
    let own = "Afterimage and its embedded demo model: MIT OR Apache-2.0, as you like\n\
        (https://opensource.org/license/mit, https://www.apache.org/licenses/LICENSE-2.0).";
    let (name, notice, licence) =
        (afterimage_open_nsfw::NAME, afterimage_open_nsfw::NOTICE, afterimage_open_nsfw::LICENCE);
    let rule = "-".repeat(80);
    format!(
        "{own}\n\n{rule}\nEmbedded safety checker {name}\n{rule}\n\n{}\n\n{}",
        notice.trim_end(),
        licence.trim_end()
    )
}
