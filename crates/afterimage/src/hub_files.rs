//! `hub:…` in place of a path: the one place where such a name becomes a file or folder of the cache.

use crate::failure::CommandFailure;
use crate::hub_connection::{HubConnection, hub_failure};
use crate::pull_progress::PullProgress;
use crate::values;
use afterimage_engine::{CheckerChoice, EngineOptions};
use afterimage_hub::{HubError, HubReference, KnownModel, ModelRole, PullRequest};
use clap::Args;
use std::path::{Path, PathBuf};

/// What names of models begin with that are at the hub.
pub const SCHEME: &str = "hub:";

/// The flags that replace a part of the base, and the part's folder in the diffusers layout.
const PARTS: [(&str, &str); 5] = [
    ("transformer", "transformer"),
    ("t5", "text_encoder_2"),
    ("clip", "text_encoder"),
    ("vae", "vae"),
    ("image-encoder", "image_encoder"),
];

/// What an all-in-one checkpoint may bring in place of the base: the engine says so where it does not.
const IN_A_CHECKPOINT: [&str; 3] = ["text_encoder", "text_encoder_2", "vae"];

/// What [`HubFlags::path`] calls a model that is only looked at: it need not be complete.
pub const INSPECTED: &str = "path";

/// What becomes of models that are named by `hub:` and missing.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Models")]
pub struct HubFlags {
    /// Fetch what is missing of the models that `hub:` names
    ///
    /// Every flag that names a model takes `hub:NAME`, too: the folder in the hub's cache, where `models pull` puts it. NAME
    /// is a short name (`flux-dev`) or OWNER/NAME, with @REVISION and /FILE if need be. Without this flag a model that is
    /// missing is an error that names the command. The hub is not asked about what is there.
    #[arg(long, env = "AFTERIMAGE_PULL", hide_env_values = true, hide_short_help = true, value_parser = values::switch)]
    pull: bool,

    /// Accept the licences of what --pull fetches
    #[arg(
        long,
        env = "AFTERIMAGE_ACCEPT_LICENCE",
        hide_env_values = true,
        hide_short_help = true,
        value_parser = values::switch
    )]
    accept_licence: bool,
}

impl HubFlags {
    /// `options` with paths in place of names at the hub. `subject` is what a message about a flag starts with; with `quiet`
    /// no progress is shown.
    ///
    /// # Errors
    /// What is not there, with the command that fetches it, or why it could not be fetched.
    pub fn resolved(
        self,
        mut options: EngineOptions,
        quiet: bool,
        subject: &dyn Fn(&str) -> String,
    ) -> Result<EngineOptions, CommandFailure> {
        let given: Vec<&str> =
            options.paths().iter().filter(|(_, path)| path.is_some()).map(|(flag, _)| *flag).collect();
        let failed = |flag: &str, error: HubError| {
            if error.is_bad_input() { CommandFailure::bad_input(subject(flag), error) } else { hub_failure(&error) }
        };
        for (flag, path) in options.paths_mut() {
            let Some(path) = path else { continue };
            if let Some(found) = self.path(flag, path, &given, quiet).map_err(|error| failed(flag, error))? {
                *path = found;
            }
        }
        for checker in &mut options.safety.checkers {
            let CheckerChoice::Path(path) = checker else { continue };
            if let Some(found) = self.path("safety", path, &given, quiet).map_err(|error| failed("safety", error))? {
                *path = found;
            }
        }
        Ok(options)
    }

    /// Where the model is that `path` names for `flag`, beside the flags `given`; nothing when it is a path.
    ///
    /// # Errors
    /// [`HubError`].
    pub fn path(self, flag: &str, path: &Path, given: &[&str], quiet: bool) -> Result<Option<PathBuf>, HubError> {
        let Some(reference) = path.to_str().and_then(HubReference::after_scheme) else { return Ok(None) };
        let reference = reference?;
        check_role(flag, &reference)?;
        let own = PARTS.iter().find(|(name, _)| *name == flag).map(|(_, folder)| *folder);
        let replaced = |part: &str| PARTS.iter().any(|(name, folder)| *folder == part && given.contains(name));
        // The schedule goes with the transformer: one that comes alone has that of its kind.
        let is_needed = |part: &str| match own {
            _ if flag == INSPECTED => false,
            Some(own) => part == own,
            None if part == "scheduler" => !given.contains(&"transformer"),
            None => !replaced(part),
        };
        let connection = HubConnection::open()?;
        let found = match connection.cache().find(&reference, &is_needed) {
            Err(HubError::NotCached { .. }) if self.pull => {
                let only = reference.needed_parts(&is_needed);
                let request = PullRequest { reference: reference.clone(), only, licence_accepted: self.accept_licence };
                tracing::info!(model = %reference, "fetching a model from the hub");
                let pulled = connection.pull(&request, &PullProgress::new(quiet))?;
                tracing::info!(model = %reference, files = pulled.fetched, bytes = pulled.bytes, "fetched");
                connection.cache().find(&reference, &is_needed)?
            }
            Err(error) if flag == "base" && given.contains(&"transformer") => {
                let is_needed = |part: &str| is_needed(part) && !IN_A_CHECKPOINT.contains(&part);
                connection.cache().find(&reference, &is_needed).map_err(|_| error)?
            }
            found => found?,
        };
        if reference.file.is_some() {
            return Ok(Some(found));
        }
        let folder = own.map(|own| found.join(own)).filter(|folder| folder.is_dir());
        let alone = match reference.known.map(|known| known.role) {
            Some(ModelRole::Transformer { file, .. }) => Some(found.join(file)).filter(|file| file.is_file()),
            _ => None,
        };
        Ok(Some(folder.or(alone).unwrap_or(found)))
    }
}

/// Refuses what is known to be something else than `flag` takes, before anything is fetched.
fn check_role(flag: &str, reference: &HubReference) -> Result<(), HubError> {
    let Some(known) = reference.known.filter(|_| reference.file.is_none()) else { return Ok(()) };
    let expected = match (flag, known.role) {
        ("base", ModelRole::Transformer { base, .. }) => {
            format!("expected --base hub:{base} --transformer hub:{}", known.name)
        }
        ("base", ModelRole::Redux) => format!("expected a base such as hub:flux-dev, and --redux hub:{}", known.name),
        ("base", ModelRole::Checker) => "expected a base such as hub:flux-dev".to_owned(),
        ("safety", ModelRole::Checker) => return Ok(()),
        ("safety", _) => "expected a safety checker such as hub:falconsai".to_owned(),
        _ => return Ok(()),
    };
    Err(HubError::Name { name: reference.to_string(), problem: format!("is {}; {expected}", known.about) })
}

/// A set of models that is named by `text`, `hub:NAME`, alone: values by the flags' names.
///
/// # Errors
/// When it is no name.
pub fn whole_model(text: &str) -> Result<Vec<(&'static str, String)>, HubError> {
    let reference: HubReference = text.parse()?;
    Ok(match reference.known {
        Some(KnownModel { role: ModelRole::Transformer { base, .. }, .. }) => {
            vec![("base", format!("{SCHEME}{base}")), ("transformer", text.to_owned())]
        }
        _ => vec![("base", text.to_owned())],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transformer_alone_stands_beside_its_base() {
        let values = whole_model("hub:tencent/SRPO").unwrap();
        assert_eq!(values, [("base", "hub:flux-dev".to_owned()), ("transformer", "hub:tencent/SRPO".to_owned())]);
        assert_eq!(whole_model("hub:me/model@v1").unwrap(), [("base", "hub:me/model@v1".to_owned())]);
        assert!(whole_model("hub:nobody").is_err());
    }

    #[test]
    fn what_is_something_else_is_refused() {
        for (flag, name, part) in [
            ("base", "hub:srpo", "expected --base hub:flux-dev --transformer hub:srpo"),
            ("base", "hub:redux", "expected a base such as hub:flux-dev, and --redux hub:redux"),
            ("safety", "hub:flux-dev", "expected a safety checker such as hub:falconsai"),
        ] {
            let message = check_role(flag, &name.parse().unwrap()).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        assert!(check_role("transformer", &"hub:srpo".parse().unwrap()).is_ok());
        assert!(check_role("vae", &"hub:flux-schnell".parse().unwrap()).is_ok());
    }
}
