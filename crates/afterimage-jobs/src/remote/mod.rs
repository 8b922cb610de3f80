//! What a process does because other hosts work on the same queue: it tells and hears news, looks at jobs that are not
//! its own, asks the processes that run them, shows that it is there, and takes its turn at what has to be done once a
//! second by somebody.
//!
//! None of it decides anything. A host that hears nothing finds everything by looking, a little later.

mod ask;
mod bridge;
mod database_time;
mod last_heard;
mod news;
mod upstreams;
mod watch;

pub use ask::{AskProcess, NoAnswer};
pub use database_time::DatabaseTime;
pub use last_heard::LastHeard;

use crate::progress::Events;
use crate::worker::{Hints, News};
use crate::{PostgresStore, ProcessId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How often jobs are woken and sums added up, by one of all processes.
const KEEP_HOUSE_EVERY: Duration = Duration::from_secs(1);

/// How often a process shows that it is there.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(10);

/// Of so many times, it asks once how many others there are: what that costs grows with their number.
const COUNT_EVERY: u32 = 6;

/// What a process says of itself, for people who look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessFacts {
    /// Drawn at its start.
    pub id: ProcessId,
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
    /// What they compute on, each once. Programs of before do not say.
    #[serde(default)]
    pub devices: Vec<String>,
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
    /// Asks other processes how far their jobs are; `None`: watchers are told what is in the database.
    pub ask: Option<Arc<dyn AskProcess>>,
    /// Host and port where other processes ask this one; `None`: nowhere.
    pub address: Option<String>,
    /// What time it is, for those who prove to each other who they are.
    pub time: DatabaseTime,
    /// When news were last known to arrive.
    pub heard: LastHeard,
}

impl RemoteHosts {
    /// Works with other hosts until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let Self { store, hints, outlet, events, facts, ask, address, time, heard } = self;
        let id = facts().id;
        let me = id.to_string();
        // Nobody is looked for who cannot be asked.
        let can_ask = Arc::<AtomicBool>::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(bridge::tell(store.clone(), me.clone(), outlet));
        tasks.spawn(bridge::listen(store.clone(), me, Arc::clone(&hints), heard));
        let watch = watch::Watch::new(Arc::clone(&hints), events, ask, Arc::clone(&can_ask));
        tasks.spawn(watch.run(store.clone()));
        tasks.spawn(keep_house(store.clone(), Arc::clone(&hints)));
        tasks.spawn(Announcement { facts, hints, address, time, can_ask }.repeat(store.clone()));
        stop.cancelled().await;
        tasks.shutdown().await;
        if let Err(error) = store.withdraw(&id).await {
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

/// What a process says of itself now and then, and what it learns by that: the time, whom it can ask, and how many wait for the same jobs.
struct Announcement {
    facts: Arc<dyn Fn() -> ProcessFacts + Send + Sync>,
    hints: Arc<Hints>,
    address: Option<String>,
    time: DatabaseTime,
    can_ask: Arc<AtomicBool>,
}

impl Announcement {
    async fn repeat(self, store: PostgresStore) {
        for round in 0_u32.. {
            let facts = (self.facts)();
            match serde_json::to_string(&facts) {
                Ok(text) => match store.announce(&facts.id, text, self.address.clone()).await {
                    Ok(announced) => {
                        self.time.note(announced.at);
                        self.can_ask.store(announced.can_ask, Ordering::Relaxed);
                    }
                    Err(error) => tracing::debug!(%error, "cannot announce this process"),
                },
                Err(error) => tracing::warn!(%error, "cannot say what this process is"),
            }
            if facts.slots > 0 && round % COUNT_EVERY == 0 {
                match store.slots_of(&facts.models).await {
                    Ok(all) => self.hints.set_slots(facts.slots, all),
                    Err(error) => tracing::debug!(%error, "cannot count who waits for jobs"),
                }
            }
            sleep(ANNOUNCE_EVERY).await;
        }
    }
}
