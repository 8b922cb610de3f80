//! Whether a job that is submitted now would be stored and run.

use crate::app::App;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// How long an answer holds. Anybody may ask, and asking writes to the disk.
const HOLDS_FOR: Duration = Duration::from_secs(1);

/// How long the database may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// What stands in the way of jobs, found out at most once a second.
#[derive(Debug, Default)]
pub struct Readiness {
    last: Mutex<Option<(Instant, Option<&'static str>)>>,
}

impl Readiness {
    /// The first thing that stands in the way; `None` when nothing does. Paths and the like are for the log.
    pub async fn problem(&self, app: &App) -> Option<&'static str> {
        // Held while looking, so that many who ask at once look once.
        let mut last = self.last.lock().await;
        if let Some((at, problem)) = *last
            && at.elapsed() < HOLDS_FOR
        {
            return problem;
        }
        let problem = look(app).await;
        if problem != last.and_then(|(_, problem)| problem) {
            if let Some(reason) = problem {
                tracing::warn!(reason, "not ready");
            } else {
                tracing::info!("ready");
            }
        }
        *last = Some((Instant::now(), problem));
        problem
    }
}

async fn look(app: &App) -> Option<&'static str> {
    match timeout(PATIENCE, app.store.check_writable()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::debug!(%error, "the database cannot be written");
            return Some("the database cannot be written");
        }
        Err(_) => return Some("the database does not answer"),
    }
    if let Err(error) = app.storage_claim.is_ours() {
        tracing::debug!(%error, "the storage folder is gone");
        return Some("the storage folder was taken away");
    }
    if !app.room.disks().have_room_for(0) {
        return Some("the disk is nearly full");
    }
    if !app.engines.is_open() {
        return Some("no engine process can take a job");
    }
    None
}
