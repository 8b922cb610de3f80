//! Looks at jobs that are watched here and run elsewhere, and at those that run here and may be wanted no more: one
//! statement a second for all of them, and between those one for some that may have begun where they can be followed.

use super::AskProcess;
use super::upstreams::Upstreams;
use crate::progress::Events;
use crate::worker::{Hints, News};
use crate::{JobId, JobState, PostgresStore, Result, SeenJob};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::sleep;

/// How often jobs are looked at that may begin elsewhere, so that their first steps are seen.
const LOOK_FOR_BEGINNINGS_EVERY: Duration = Duration::from_millis(250);

/// Every how many of these all jobs are looked at: a request to cancel that nobody told is found within a second.
const ALL_EVERY: u32 = 4;

/// Jobs that are looked at between looks at all. Others wait a second.
const MOST_BEGINNINGS: usize = 64;

pub(super) struct Watch {
    hints: Arc<Hints>,
    events: Events,
    upstreams: Option<Upstreams>,
    /// Whether there is anybody to ask.
    can_ask: Arc<AtomicBool>,
    /// What was the case when it was last looked at.
    seen: HashMap<JobId, SeenJob>,
}

impl Watch {
    pub(super) fn new(
        hints: Arc<Hints>,
        events: Events,
        ask: Option<Arc<dyn AskProcess>>,
        can_ask: Arc<AtomicBool>,
    ) -> Self {
        let upstreams = ask.map(|ask| Upstreams::new(ask, events.clone()));
        Self { hints, events, upstreams, can_ask, seen: HashMap::new() }
    }

    /// Looks for ever.
    pub(super) async fn run(mut self, store: PostgresStore) {
        for tick in 1_u32.. {
            sleep(LOOK_FOR_BEGINNINGS_EVERY).await;
            let looked = if tick.is_multiple_of(ALL_EVERY) {
                self.look(&store).await
            } else {
                self.look_for_beginnings(&store).await
            };
            if let Err(error) = looked {
                tracing::debug!(%error, "cannot look at jobs of other hosts");
            }
        }
    }

    async fn look(&mut self, store: &PostgresStore) -> Result<()> {
        let (here, elsewhere) = self.events.here_and_elsewhere();
        if let Some(upstreams) = &mut self.upstreams {
            let watched: HashSet<&JobId> = elsewhere.iter().collect();
            upstreams.retain(|job| watched.contains(job));
        }
        if here.is_empty() && elsewhere.is_empty() {
            self.seen.clear();
            return Ok(());
        }
        let all = [here.as_slice(), elsewhere.as_slice()].concat();
        let now = look_at(store, &all).await?;
        for id in &here {
            let is_wanted = |job: Option<&SeenJob>| job.is_some_and(|job| job.cancel_requested);
            if is_wanted(now.get(id)) && !is_wanted(self.seen.get(id)) {
                self.hints.hear(&News::CancelRequested(id.clone()));
            }
        }
        for id in &elsewhere {
            self.tell(id, now.get(id));
        }
        self.seen = now;
        Ok(())
    }

    /// Looks at jobs that did not run elsewhere when they were last looked at.
    async fn look_for_beginnings(&mut self, store: &PostgresStore) -> Result<()> {
        let Some(upstreams) = self.upstreams.as_ref().filter(|_| self.can_ask.load(Ordering::Relaxed)) else {
            return Ok(());
        };
        let (_, elsewhere) = self.events.here_and_elsewhere();
        let may_begin = |job: &JobId| !upstreams.has(job);
        let some: Vec<JobId> = elsewhere.into_iter().filter(may_begin).take(MOST_BEGINNINGS).collect();
        if some.is_empty() {
            return Ok(());
        }
        let now = look_at(store, &some).await?;
        for id in &some {
            self.tell(id, now.get(id));
        }
        self.seen.extend(now);
        Ok(())
    }

    /// Tells the watchers of a job that does not run here what `now` says of it, beside what was seen before.
    fn tell(&mut self, id: &JobId, now: Option<&SeenJob>) {
        let Some(job) = now else {
            self.hints.hear(&News::Ended(id.clone()));
            return;
        };
        let before = self.seen.get(id);
        let has_moved = before.is_some_and(|before| before.attempt != job.attempt || before.state != job.state);
        if has_moved {
            self.end_upstream(id);
            self.events.relay_end(id);
        }
        // Also at the first look: it may have ended before that, and nobody said so.
        if has_moved || job.state.is_terminal() {
            self.hints.hear(&News::Ended(id.clone()));
        }
        if job.state != JobState::Running {
            self.end_upstream(id);
            return;
        }
        let is_live = self.upstreams.as_ref().is_some_and(|upstreams| upstreams.is_live(id));
        if !is_live {
            self.events.relay_progress(id, job.progress);
        }
        if let (Some(upstreams), Some(place)) = (&mut self.upstreams, &job.place) {
            upstreams.follow(id, job.attempt, place);
        }
    }

    fn end_upstream(&mut self, job: &JobId) {
        if let Some(upstreams) = &mut self.upstreams {
            upstreams.end(job);
        }
    }
}

async fn look_at(store: &PostgresStore, jobs: &[JobId]) -> Result<HashMap<JobId, SeenJob>> {
    Ok(store.look_at(jobs).await?.into_iter().map(|job| (job.id.clone(), job)).collect())
}
