//! What a process does because other hosts work on the same queue: it tells and hears news, looks at jobs that are not
//! its own, shows that it is there, and takes its turn at what has to be done once a second by somebody.
//!
//! None of it decides anything. A host that hears nothing finds everything by looking, a little later.

mod bridge;
mod news;
mod watch;

use crate::progress::Events;
use crate::worker::{Hints, News};
use crate::{PostgresStore, WorkerId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How often jobs are woken and sums added up, by one of all processes.
const KEEP_HOUSE_EVERY: Duration = Duration::from_secs(1);

/// How often a process shows that it is there.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(10);

/// What a process says of itself, for people who look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessFacts {
    /// Drawn at its start.
    pub id: String,
    /// `serve` or `worker`.
    pub role: String,
    /// Name of its host, as the host says.
    pub host: String,
    /// The program's version.
    pub version: String,
    /// Names of the sets of models that it runs jobs of; `default` for the one without a name.
    pub models: Vec<String>,
    /// Jobs that it runs at once.
    pub slots: usize,
    /// Of these, how many have an engine that takes jobs.
    pub ready: usize,
}

/// What a process needs to work with other hosts.
pub struct RemoteHosts {
    /// The database that all use.
    pub store: PostgresStore,
    /// News of this process.
    pub hints: Arc<Hints>,
    /// What is told here, from [`Hints::with_outlet`].
    pub outlet: mpsc::Receiver<News>,
    /// Progress of jobs that run or are watched here.
    pub events: Events,
    /// What the process says of itself, asked each time.
    pub facts: Arc<dyn Fn() -> ProcessFacts + Send + Sync>,
}

impl RemoteHosts {
    /// Works with other hosts until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let me = WorkerId::random().to_string();
        let Self { store, hints, outlet, events, facts } = self;
        let mut tasks = JoinSet::new();
        tasks.spawn(bridge::tell(store.clone(), me.clone(), outlet));
        tasks.spawn(bridge::listen(store.clone(), me, Arc::clone(&hints)));
        tasks.spawn(watch::run(store.clone(), Arc::clone(&hints), events));
        tasks.spawn(keep_house(store.clone(), hints));
        tasks.spawn(announce(store.clone(), Arc::clone(&facts)));
        stop.cancelled().await;
        tasks.shutdown().await;
        if let Err(error) = store.withdraw(&facts().id).await {
            tracing::debug!(%error, "this process stays on the list until it is forgotten");
        }
    }
}

async fn keep_house(store: PostgresStore, hints: Arc<Hints>) {
    loop {
        sleep(KEEP_HOUSE_EVERY).await;
        match store.keep_house().await {
            Ok(failed) => {
                for job in &failed {
                    hints.ended(job);
                }
            }
            Err(error) => tracing::debug!(%error, "cannot keep house"),
        }
    }
}

async fn announce(store: PostgresStore, facts: Arc<dyn Fn() -> ProcessFacts + Send + Sync>) {
    loop {
        let facts = facts();
        match serde_json::to_string(&facts) {
            Ok(text) => {
                if let Err(error) = store.announce(&facts.id, text).await {
                    tracing::debug!(%error, "cannot announce this process");
                }
            }
            Err(error) => tracing::warn!(%error, "cannot say what this process is"),
        }
        sleep(ANNOUNCE_EVERY).await;
    }
}
