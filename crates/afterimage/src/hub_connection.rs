//! The hub's cache, and the hub itself, as the environment says where they are.

use crate::failure::CommandFailure;
use crate::output::ignore_file_size_signal;
use crate::pull_progress::PullProgress;
use afterimage_hub::{HubCache, HubClient, HubEnvironment, HubError, PullRequest, Pulled, TransferPatience, pull};
use afterimage_server::fetch::platform_tls;
use tokio::runtime;

/// What the variables of the Hugging Face tools say.
pub struct HubConnection {
    environment: HubEnvironment,
}

impl HubConnection {
    /// Reads the variables; nobody is asked.
    pub fn open() -> Result<Self, HubError> {
        Ok(Self { environment: HubEnvironment::read()? })
    }

    /// Where files are kept.
    pub fn cache(&self) -> &HubCache {
        &self.environment.cache
    }

    /// Fetches what is missing of `request`.
    pub fn pull(&self, request: &PullRequest, progress: &PullProgress) -> Result<Pulled, HubError> {
        let failed = |problem: String| HubError::Transfer { subject: request.reference.to_string(), problem };
        let tls = platform_tls().map_err(|error| failed(error.to_string()))?;
        let client = HubClient::new(&self.environment, tls, TransferPatience::default())?;
        // On a file system with a limit a full disk is an error, as on any other.
        ignore_file_size_signal().map_err(|_| failed("cannot ignore SIGXFSZ".to_owned()))?;
        // One thread: the work is waiting, and adding up one file at a time is faster than most connections.
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| failed(format!("cannot start the runtime: {error}")))?;
        let outcome = runtime.block_on(pull(&client, self.cache(), request, progress));
        progress.clear();
        outcome
    }
}

/// How a command ends that meets `error`.
pub fn hub_failure(error: &HubError) -> CommandFailure {
    match error {
        HubError::Cancelled => CommandFailure::cancelled(),
        error if error.is_bad_input() => CommandFailure::usage(error.to_string()),
        error => CommandFailure::other(error.to_string()),
    }
}
