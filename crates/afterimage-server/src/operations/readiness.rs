//! Whether a job that is submitted now would be stored and run.

use crate::storage_room::StorageRoom;
use afterimage_jobs::worker::{EngineStatus, Engines};
use afterimage_jobs::{StorageClaim, Store};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// How long an answer holds. Anybody may ask, and asking writes to the disk.
const HOLDS_FOR: Duration = Duration::from_secs(1);

/// How long the answer "not ready" holds: whoever starts a server asks until it is, and should not be told late.
const TROUBLE_HOLDS_FOR: Duration = Duration::from_millis(20);

/// How long the database may take, and as long the storage.
const PATIENCE: Duration = Duration::from_secs(3);

/// What has to be there for a job to be stored and run.
pub struct Needs {
    /// Where jobs are kept.
    pub store: Arc<dyn Store>,
    /// Whose files the storage holds.
    pub storage_claim: Arc<StorageClaim>,
    /// How much room there is.
    pub room: Arc<StorageRoom>,
    /// What runs jobs; `None`: others do.
    pub engines: Option<Arc<dyn Engines>>,
    /// The process takes no more of them.
    pub stopping: CancellationToken,
}

/// One line for people.
type Reason = Cow<'static, str>;

/// What stands in the way of jobs, found out at most once a second while nothing does.
pub struct Readiness {
    needs: Needs,
    last: Mutex<Option<(Instant, Option<Reason>)>>,
}

impl Readiness {
    /// Looks at `needs`.
    pub fn new(needs: Needs) -> Self {
        Self { needs, last: Mutex::default() }
    }

    /// The first thing that stands in the way; `None` when nothing does. Paths and the like are for the log.
    pub async fn problem(&self) -> Option<Reason> {
        // Held while looking, so that many who ask at once look once.
        let mut last = self.last.lock().await;
        if let Some((at, problem)) = &*last
            && at.elapsed() < if problem.is_some() { TROUBLE_HOLDS_FOR } else { HOLDS_FOR }
        {
            return problem.clone();
        }
        let problem = self.needs.missing().await;
        if problem.as_ref() != last.as_ref().and_then(|(_, problem)| problem.as_ref()) {
            if let Some(reason) = &problem {
                tracing::warn!(%reason, "not ready");
            } else {
                tracing::info!("ready");
            }
        }
        *last = Some((Instant::now(), problem.clone()));
        problem
    }
}

impl Needs {
    /// The first thing that is not there.
    async fn missing(&self) -> Option<Reason> {
        if self.stopping.is_cancelled() {
            return Some("the process stops".into());
        }
        match timeout(PATIENCE, self.store.check_writable()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, "the database cannot be written");
                return Some("the database cannot be written".into());
            }
            Err(_) => return Some("the database does not answer".into()),
        }
        match timeout(PATIENCE, self.storage_claim.is_ours()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) if self.storage_claim.is_of_folder() => {
                tracing::debug!(%error, "the storage folder is gone");
                return Some("the storage folder was taken away".into());
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "the storage cannot be used");
                return Some("the storage cannot be used".into());
            }
            Err(_) => return Some("the storage does not answer".into()),
        }
        if !self.room.disks().have_room_for(0) {
            return Some("the disk is nearly full".into());
        }
        let Some(engines) = &self.engines else { return None };
        let engines = engines.statuses();
        if engines.iter().any(|engine| engine.is_open) { None } else { Some(closed(&engines)) }
    }
}

/// Why no engine takes a job, with the devices that will not again.
fn closed(engines: &[EngineStatus]) -> Reason {
    const CLOSED: &str = "no engine process can take a job";
    let given_up = engines.iter().filter(|engine| engine.is_given_up).map(|engine| engine.device.as_str());
    let devices: Vec<&str> = given_up.collect::<BTreeSet<_>>().into_iter().collect();
    if devices.is_empty() {
        return CLOSED.into();
    }
    let devices = devices.join(", ");
    format!("{CLOSED}: {devices} failed again and again, and is not used until the server starts again").into()
}
