//! What runs jobs: the flags that a server and a worker have in common.

use crate::devices;
use crate::engine_shares::PlacedSet;
use crate::failure::CommandFailure;
use crate::flags::{MetadataFlag, ModelFlags};
use crate::hub_files::HubFlags;
use crate::model_sets::{ModelSetFlags, NamedSet};
use crate::origin::Origins;
use crate::safety_flags::SafetyFlags;
use crate::values;
use afterimage_engine::{CheckerChoice, EngineOptions, SafetyOptions, usable_cards, usable_cores};
use afterimage_jobs::worker::StartEngines;
use afterimage_server::loras::LoraFolders;
use afterimage_server::model_sets::ModelSets;
use afterimage_worker::child::ChildSettings;
use afterimage_worker::{EngineCommand, EngineSet, EngineSets};
use clap::Args;
use std::path::PathBuf;
use std::sync::Arc;

/// Models, devices, and how many jobs at once.
#[derive(Args, Debug)]
pub struct EngineFlags {
    /// Generations at once on each set of models and each device; 0 only answers requests
    ///
    /// Each has a process and the models' memory of its own; there are as many for every --model on every --device.
    /// Default: 1.
    #[arg(long, env = "AFTERIMAGE_WORKERS", hide_env_values = true, value_name = "N", default_value = "1", value_parser = values::workers)]
    pub workers: usize,

    #[command(flatten)]
    metadata: MetadataFlag,

    #[command(flatten)]
    models: ModelFlags,

    #[command(flatten)]
    hub: HubFlags,

    #[command(flatten)]
    sets: ModelSetFlags,

    /// Folder of LoRAs that requests may name: `NAME.safetensors`
    ///
    /// Requests of every dialect name them in `loras`, each with a scale; `GET /loras` lists them. Everybody with a key can
    /// use all of them. NAME has 1 to 80 characters of A-Z, a-z, 0-9, `.`, `_` and `-`; links that lead out of the folder are
    /// refused. Files may come and go while the server runs. Without a folder requests with LoRAs are refused.
    #[arg(
        long,
        env = "AFTERIMAGE_LORA_DIR",
        hide_env_values = true,
        value_name = "DIR",
        hide_short_help = true,
        help_heading = "Models"
    )]
    lora_dir: Option<PathBuf>,

    #[command(flatten)]
    safety: SafetyFlags,
}

impl EngineFlags {
    /// What safety checkers lead to; the built-in one looks unless the flags say otherwise.
    ///
    /// # Errors
    /// Flags that do not go together.
    pub fn safety(&self, origins: &Origins) -> Result<SafetyOptions, CommandFailure> {
        self.safety.options(&[CheckerChoice::Builtin], origins)
    }

    /// Which sets of models serve which ids.
    ///
    /// # Errors
    /// Sets that do not go together.
    pub fn served(&self, origins: &Origins) -> Result<ModelSets, CommandFailure> {
        self.sets.served(origins)
    }

    /// Where requests find LoRAs by name.
    ///
    /// # Errors
    /// Folders that are not there.
    pub fn lora_folders(&self, origins: &Origins) -> Result<LoraFolders, CommandFailure> {
        self.sets.lora_folders(self.lora_dir.as_deref(), origins)
    }

    /// The sets of models, or the one without a name, each with the devices that it runs on.
    fn placed_sets(&self, safety: SafetyOptions, origins: &Origins) -> Result<Vec<PlacedSet>, CommandFailure> {
        let flags = EngineOptions { safety, lora_dir: self.lora_dir.clone(), ..self.models.options() };
        let subject = |flag: &str| origins.of_flag(flag);
        let shared = || {
            let found = devices::several(self.models.devices(), usable_cards);
            found.map_err(|problem| CommandFailure::bad_input(subject("device"), problem))
        };
        let sets = self.sets.engine_options(&flags, origins)?;
        if sets.is_empty() {
            let options = self.hub.resolved(flags, false, &subject)?;
            return Ok(vec![PlacedSet { name: None, options, devices: shared()? }]);
        }
        let placed = sets.into_iter().map(|NamedSet { name, options, devices: words }| {
            let in_set = |flag: &str| format!("{}: {name}: {flag}", subject("model"));
            let own = |flag: &str| if flag == "safety" { subject(flag) } else { in_set(flag) };
            let options = self.hub.resolved(options, false, &own)?;
            let devices = if words.is_empty() {
                shared()?
            } else {
                let found = devices::several(words, usable_cards);
                found.map_err(|problem| CommandFailure::bad_input(in_set("device"), problem))?
            };
            Ok(PlacedSet { name: Some(name), options, devices })
        });
        placed.collect()
    }

    /// How engine processes are started, each with its share of the machine.
    ///
    /// # Errors
    /// Models or devices that are not there.
    pub fn start(&self, safety: SafetyOptions, origins: &Origins) -> Result<Arc<dyn StartEngines>, CommandFailure> {
        let placed = self.placed_sets(safety, origins)?;
        let settings = ChildSettings { metadata: self.metadata.metadata, ..ChildSettings::default() };
        let command = |options: &EngineOptions| {
            EngineCommand::this_program(options, &settings)
                .map_err(|error| CommandFailure::other(format!("cannot tell where this program is: {error}")))
        };
        let sets = placed.iter().map(|set| {
            let shares = set.shares(&placed, self.workers, usable_cores());
            let commands = shares.iter().map(command).collect::<Result<_, _>>()?;
            Ok(EngineSet { model: set.name.clone(), commands })
        });
        Ok(Arc::new(EngineSets(sets.collect::<Result<_, CommandFailure>>()?)))
    }
}
