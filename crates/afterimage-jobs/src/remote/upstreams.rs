//! One stream of events for each job that is watched here and runs elsewhere, whoever watches it.

use super::AskProcess;
use crate::progress::{Event, Events};
use crate::{JobId, RunPlace};
use futures_util::StreamExt;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

/// The pause after a process that could not be asked; its watchers are told what its renewals say meanwhile.
const RETRY: Duration = Duration::from_secs(5);

/// All streams of a process.
pub(super) struct Upstreams {
    ask: Arc<dyn AskProcess>,
    events: Events,
    streams: HashMap<JobId, Upstream>,
}

struct Upstream {
    place: RunPlace,
    attempt: u32,
    /// Whether events come.
    is_live: Arc<AtomicBool>,
    _task: AbortOnDropHandle<()>,
}

impl Upstreams {
    pub(super) fn new(ask: Arc<dyn AskProcess>, events: Events) -> Self {
        Self { ask, events, streams: HashMap::new() }
    }

    /// Passes on what happens to attempt `attempt` at `job`, which runs at `place`.
    pub(super) fn follow(&mut self, job: &JobId, attempt: u32, place: &RunPlace) {
        let has_it = |upstream: &Upstream| upstream.attempt == attempt && upstream.place == *place;
        if self.streams.get(job).is_some_and(has_it) {
            return;
        }
        let Some(previews) = self.events.previews_wanted(job) else { return };
        let is_live = Arc::<AtomicBool>::default();
        let source = FollowedAttempt {
            ask: Arc::clone(&self.ask),
            events: self.events.clone(),
            job: job.clone(),
            attempt,
            place: place.clone(),
            is_live: Arc::clone(&is_live),
        };
        let task = AbortOnDropHandle::new(tokio::spawn(source.run(previews)));
        let upstream = Upstream { place: place.clone(), attempt, is_live, _task: task };
        self.streams.insert(job.clone(), upstream);
    }

    /// Whether `job` is followed, live or not.
    pub(super) fn has(&self, job: &JobId) -> bool {
        self.streams.contains_key(job)
    }

    /// Whether events of `job` come, so that what its renewals say is old.
    pub(super) fn is_live(&self, job: &JobId) -> bool {
        self.streams.get(job).is_some_and(|upstream| upstream.is_live.load(Ordering::Relaxed))
    }

    /// Ends the stream of `job`, if there is one.
    pub(super) fn end(&mut self, job: &JobId) {
        self.streams.remove(job);
    }

    /// Ends the streams of jobs of which `is_wanted` does not hold.
    pub(super) fn retain(&mut self, is_wanted: impl Fn(&JobId) -> bool) {
        self.streams.retain(|job, _| is_wanted(job));
    }
}

/// Where the events of one attempt come from.
struct FollowedAttempt {
    ask: Arc<dyn AskProcess>,
    events: Events,
    job: JobId,
    attempt: u32,
    place: RunPlace,
    is_live: Arc<AtomicBool>,
}

impl FollowedAttempt {
    /// Until it is dropped: whoever looks at the database knows when the attempt is over.
    async fn run(self, mut previews: watch::Receiver<usize>) {
        loop {
            let wanted = *previews.borrow_and_update() > 0;
            match self.ask.events(&self.place, &self.job, self.attempt, wanted).await {
                Ok(stream) => {
                    self.is_live.store(true, Ordering::Relaxed);
                    if self.pass_on(stream, wanted, &mut previews).await {
                        continue;
                    }
                }
                Err(error) => {
                    tracing::debug!(job_id = %self.job, address = %self.place.address, %error, "a process cannot be asked");
                }
            }
            self.is_live.store(false, Ordering::Relaxed);
            sleep(RETRY).await;
        }
    }

    /// Returns whether the stream is to be opened again because previews are wanted now, or not any more.
    async fn pass_on(
        &self,
        mut stream: futures_util::stream::BoxStream<'static, Event>,
        wanted: bool,
        previews: &mut watch::Receiver<usize>,
    ) -> bool {
        loop {
            tokio::select! {
                event = stream.next() => match event {
                    Some(event) => self.events.relay(&self.job, event),
                    None => return false,
                },
                changed = previews.wait_for(|count| (*count > 0) != wanted) => return changed.is_ok(),
            }
        }
    }
}
