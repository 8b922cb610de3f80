//! `afterimage engine-process`: what the server starts for itself.

use crate::failure::CommandFailure;
use crate::flags::{MetadataFlag, ModelFlags};
use crate::origin::Origins;
use crate::safety_flags::SafetyFlags;
use crate::values;
use afterimage_engine::EngineOptions;
use afterimage_worker::child::{self, ChildError, ChildSettings};
use clap::Args;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// Run the models for a server that talks to it over standard input and output
///
/// Started by `serve`; of no use to people.
#[derive(Args, Debug)]
pub struct EngineProcess {
    /// Seconds between two signs of life
    #[arg(
        long,
        env = "AFTERIMAGE_ALIVE_INTERVAL",
        hide_env_values = true,
        value_name = "SECONDS",
        default_value = "1",
        value_parser = values::seconds
    )]
    alive_interval: Duration,

    /// Seconds without progress after which a computation counts as stuck
    #[arg(
        long,
        env = "AFTERIMAGE_STALL_LIMIT",
        hide_env_values = true,
        value_name = "SECONDS",
        default_value = "600",
        value_parser = values::seconds
    )]
    stall_limit: Duration,

    #[command(flatten)]
    metadata: MetadataFlag,

    #[command(flatten)]
    models: ModelFlags,

    /// Folder of LoRAs that requests may use by name
    #[arg(long, env = "AFTERIMAGE_LORA_DIR", hide_env_values = true, value_name = "DIR")]
    lora_dir: Option<PathBuf>,

    /// Engine processes that share the memory where no budget is given
    #[arg(long, env = "AFTERIMAGE_MEMORY_SHARES", hide_env_values = true, value_name = "N")]
    memory_shares: Option<NonZeroUsize>,

    #[command(flatten)]
    safety: SafetyFlags,
}

impl EngineProcess {
    /// Runs the command.
    pub fn run(&self, origins: &Origins) -> Result<(), CommandFailure> {
        self.models.take_threads()?;
        let settings = ChildSettings {
            alive_interval: self.alive_interval,
            stall_limit: self.stall_limit,
            metadata: self.metadata.metadata,
        };
        let safety = self.safety.options(&[], origins)?;
        let options = EngineOptions {
            safety,
            lora_dir: self.lora_dir.clone(),
            memory_shares: self.memory_shares,
            ..self.models.engine_options(origins)?
        };
        child::run(options, settings).map_err(|error| match &error {
            ChildError::CannotOpen(error) => CommandFailure::from_error(error, origins),
            ChildError::DeviceLost(_) | ChildError::Pipe(_) | ChildError::System(_) => {
                CommandFailure::other(error.to_string())
            }
        })
    }
}
