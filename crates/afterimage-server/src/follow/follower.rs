//! What it takes to follow a job, and how its news are heard of.

use crate::internal::Neighbours;
use crate::refusal::Refusal;
use afterimage_jobs::progress::{Events, Noted, Watcher};
use afterimage_jobs::worker::Hints;
use afterimage_jobs::{Error as StoreError, Job, JobId, JobState, Store};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::CancellationToken;

/// The store is asked this often even without news. Within this process nothing happens unannounced, so this is for
/// what is decided elsewhere.
pub const POLL: Duration = Duration::from_secs(2);

/// The same where other hosts have a part in it: one look of this process for all its clients finds that, every second.
const POLL_BESIDE_HOSTS: Duration = Duration::from_secs(10);

/// The pause after the store did not answer.
pub const RETRY: Duration = Duration::from_millis(500);

/// What it takes to follow jobs: the store, which knows, and what is told within this process. Clones
/// share all of it.
#[derive(Clone)]
pub struct Follower {
    /// Says what is the case.
    pub store: Arc<dyn Store>,
    /// Tells when to look.
    pub hints: Arc<Hints>,
    /// Progress of running jobs.
    pub events: Events,
    /// The server takes no more connections and starts no more jobs.
    pub stopping: CancellationToken,
    /// The time is over that jobs have to finish: whoever waits is answered now, also for a job that runs elsewhere.
    pub leaving: CancellationToken,
    /// Other processes that run jobs, where there are some.
    pub neighbours: Option<Neighbours>,
}

/// What is announced about one job within this process. Each announcement is a reason to look at the store and nothing
/// more: the store says what is the case.
pub struct EndSignals {
    job: JobId,
    ends: broadcast::Receiver<JobId>,
    /// Shows that somebody here wants to know of the job, also when it runs on another host.
    _interest: Watcher,
    /// The steps of the server's own end that were not heard of yet, the next one last.
    steps: Vec<CancellationToken>,
}

impl Follower {
    /// How often to ask the store even without news.
    pub fn poll(&self) -> Duration {
        if self.hints.reach_hosts() { POLL_BESIDE_HOSTS } else { POLL }
    }

    /// What happened to `job`, oldest first, as whoever runs or ran it says; what was heard here where that one cannot be
    /// asked.
    pub async fn history(&self, job: &JobId) -> Vec<Noted> {
        let elsewhere = match &self.neighbours {
            Some(neighbours) => neighbours.history(job).await,
            None => None,
        };
        elsewhere.unwrap_or_else(|| self.events.history(job))
    }
}

impl EndSignals {
    /// Listens from now on. Listen first, then read the job, so that nothing falls in between.
    pub fn of(follower: &Follower, job: &JobId) -> Self {
        Self {
            job: job.clone(),
            ends: follower.hints.ends(),
            _interest: follower.events.watch(job, false),
            steps: vec![follower.leaving.clone(), follower.stopping.clone()],
        }
    }

    /// Completes when the job has left its worker or the queue, when that may have been missed, once when this server
    /// begins to stop, and once when it leaves.
    pub async fn next(&mut self) {
        let (job, ends) = (&self.job, &mut self.ends);
        let ended = async {
            loop {
                match ends.recv().await {
                    // Others end all the time.
                    Ok(ended) if ended != *job => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => return,
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        let Some(step) = self.steps.last() else { return ended.await };
        tokio::select! {
            () = ended => {}
            () = step.cancelled() => {
                self.steps.pop();
            }
        }
    }
}

/// The job as the store has it; `None` while the store does not answer, which says nothing about the job.
///
/// # Errors
/// [`Refusal::NotFound`] when there is no such job.
pub async fn seen(follower: &Follower, id: &JobId) -> Result<Option<Job>, Refusal> {
    match follower.store.job(id).await {
        Ok(Some(job)) => Ok(Some(job)),
        Ok(None) => Err(Refusal::NotFound("unknown job".to_owned())),
        Err(error @ StoreError::Unavailable { .. }) => {
            tracing::debug!(job_id = %id, %error, "the job cannot be read now");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether nothing more will come of `job` in this process: it has ended, it waits and this server takes no more jobs, or
/// the server leaves.
pub fn is_over_here(follower: &Follower, job: &Job) -> bool {
    let waits_in_vain = job.state == JobState::Queued && follower.stopping.is_cancelled();
    job.state.is_terminal() || waits_in_vain || follower.leaving.is_cancelled()
}
