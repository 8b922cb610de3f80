//! Progress of running jobs for whoever watches: in memory, bounded, nothing stored per step.
//!
//! Losing an event is harmless: the store knows how a job ends, and each event supersedes the one before.

use crate::{Clock, JobId, SystemClock, Timestamp, trace};
use afterimage_core::Stage;
use bytes::Bytes;
use futures_util::Stream;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, watch};
use tracing::Span;

/// Events that a slow watcher may be behind before it loses the oldest: a few steps' worth.
const BACKLOG: usize = 16;

/// Something that happened to a running job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A stage begins.
    Stage(Stage),
    /// `done` of `total` steps are finished.
    Step {
        /// Steps finished.
        done: u32,
        /// Steps in all.
        total: u32,
    },
    /// A small JPEG of how far it is.
    Preview(Bytes),
}

/// How far a job is; nothing where nothing is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobProgress {
    /// The stage that has begun.
    pub stage: Option<Stage>,
    /// Steps finished, and steps in all.
    pub step: Option<(u32, u32)>,
}

/// Where running jobs tell how far they are. Clones share one hub.
#[derive(Clone, Debug, Default)]
pub struct Events {
    channels: Arc<Mutex<HashMap<JobId, Channel>>>,
    histories: Histories,
}

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// When.
    pub at: Timestamp,
    /// What; never a preview.
    pub event: Event,
}

/// What happened to jobs; those of which nobody told or asked anything for the longest are forgotten first. Clones share it.
#[derive(Clone, Debug)]
struct Histories(Cache<JobId, Arc<Mutex<Vec<Noted>>>>);

/// Jobs whose history is kept, and at most a batch more until the cache drops what is too much.
const HISTORIES: u64 = 512;

/// Events of one job that are kept: stages and steps of two passes, and of a few attempts.
const NOTES: usize = 400;

impl Default for Histories {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(HISTORIES).eviction_policy(EvictionPolicy::lru()).build())
    }
}

impl Histories {
    fn of(&self, job: &JobId) -> Vec<Noted> {
        let notes = self.0.get(job);
        notes.map(|notes| notes.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap_or_default()
    }

    fn note(&self, job: &JobId, event: Event) {
        let notes = self.0.entry_by_ref(job).or_default().into_value();
        let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() < NOTES {
            notes.push(Noted { at: SystemClock.now(), event });
        }
    }
}

/// One job that runs or is watched.
#[derive(Debug)]
struct Channel {
    events: broadcast::Sender<Event>,
    /// Number of watchers that want previews.
    previews: watch::Sender<usize>,
    watchers: usize,
    attempts: usize,
    /// Number of the attempt that began last.
    attempt: u32,
    /// For watchers that come late.
    stage: Option<Event>,
    step: Option<Event>,
}

impl Channel {
    fn new() -> Self {
        Self {
            events: broadcast::channel(BACKLOG).0,
            previews: watch::channel(0).0,
            watchers: 0,
            attempts: 0,
            attempt: 0,
            stage: None,
            step: None,
        }
    }
}

impl Events {
    /// Watches `job` from now on, whether it runs yet or not. `previews`: whether to receive them; they are made only
    /// while somebody does. Watch first, then read the job's state, so that its end is not missed.
    pub fn watch(&self, job: &JobId, previews: bool) -> Watcher {
        let mut channels = self.lock();
        let channel = channels.entry(job.clone()).or_insert_with(Channel::new);
        channel.watchers += 1;
        if previews {
            channel.previews.send_modify(|count| *count += 1);
        }
        Watcher {
            hub: self.clone(),
            job: job.clone(),
            previews,
            known: [channel.stage.clone(), channel.step.clone()].into_iter().flatten().rev().collect(),
            events: channel.events.subscribe(),
        }
    }

    /// [`Events::watch`] for those who want to hear of one attempt only; `None` while another one runs here.
    pub fn watch_attempt(&self, job: &JobId, attempt: u32, previews: bool) -> Option<Watcher> {
        let is_other = |channel: &Channel| channel.attempts > 0 && channel.attempt != attempt;
        if self.lock().get(job).is_some_and(is_other) {
            return None;
        }
        Some(self.watch(job, previews))
    }

    /// Announces that attempt `number` at `job` begins; what is published goes to the job's watchers.
    pub fn begin(&self, job: &JobId, number: u32) -> Attempt {
        let mut channels = self.lock();
        let channel = channels.entry(job.clone()).or_insert_with(Channel::new);
        channel.attempts += 1;
        channel.attempt = number;
        (channel.stage, channel.step) = (None, None);
        let watched = channel.previews.subscribe();
        Attempt { hub: self.clone(), job: job.clone(), watched, span: Span::current() }
    }

    /// What happened to `job` so far, oldest first; empty for one that has not begun, ran elsewhere or is long over.
    pub fn history(&self, job: &JobId) -> Vec<Noted> {
        self.histories.of(job)
    }

    /// How far a job is that runs here.
    pub fn latest(&self, job: &JobId) -> JobProgress {
        let channels = self.lock();
        let Some(channel) = channels.get(job) else { return JobProgress::default() };
        let stage =
            channel.stage.as_ref().and_then(|event| if let Event::Stage(stage) = event { Some(*stage) } else { None });
        let step = channel.step.as_ref().and_then(|event| match event {
            Event::Step { done, total } => Some((*done, *total)),
            _ => None,
        });
        JobProgress { stage, step }
    }

    /// Jobs that run here, and jobs that are watched here and run elsewhere or wait.
    pub fn here_and_elsewhere(&self) -> (Vec<JobId>, Vec<JobId>) {
        let channels = self.lock();
        let (here, elsewhere): (Vec<_>, Vec<_>) = channels.iter().partition(|(_, channel)| channel.attempts > 0);
        let ids = |jobs: Vec<(&JobId, &Channel)>| jobs.into_iter().map(|(id, _)| id.clone()).collect();
        (ids(here), ids(elsewhere))
    }

    /// Tells the watchers how far a job is that runs elsewhere.
    pub fn relay_progress(&self, job: &JobId, heard: JobProgress) {
        let stage = heard.stage.map(Event::Stage);
        let step = heard.step.map(|(done, total)| Event::Step { done, total });
        [stage, step].into_iter().flatten().for_each(|event| self.relay(job, event));
    }

    /// Tells the watchers what was heard of a job that runs elsewhere; what they know already is not told again.
    pub fn relay(&self, job: &JobId, event: Event) {
        let mut channels = self.lock();
        let Some(channel) = channels.get_mut(job).filter(|channel| channel.attempts == 0) else { return };
        let known = match event {
            Event::Stage(_) => &mut channel.stage,
            Event::Step { .. } => &mut channel.step,
            Event::Preview(_) => {
                let _ = channel.events.send(event);
                return;
            }
        };
        if known.as_ref() == Some(&event) {
            return;
        }
        *known = Some(event.clone());
        let _ = channel.events.send(event.clone());
        drop(channels);
        self.histories.note(job, event);
    }

    /// How many want previews of a job that is watched here, and when that changes; `None`: nobody watches it.
    pub fn previews_wanted(&self, job: &JobId) -> Option<watch::Receiver<usize>> {
        self.lock().get(job).map(|channel| channel.previews.subscribe())
    }

    /// Tells the watchers that an attempt elsewhere is over.
    pub fn relay_end(&self, job: &JobId) {
        let mut channels = self.lock();
        if let Some(channel) = channels.get_mut(job).filter(|channel| channel.attempts == 0) {
            channel.events = broadcast::channel(BACKLOG).0;
            (channel.stage, channel.step) = (None, None);
        }
    }

    /// Jobs that run here or are watched, for metrics and tests.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether no job runs here or is watched.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Each change below is complete before anything can panic.
    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Channel>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self, job: &JobId, change: impl FnOnce(&mut Channel)) {
        let mut channels = self.lock();
        let Some(channel) = channels.get_mut(job) else { return };
        change(channel);
        if channel.watchers == 0 && channel.attempts == 0 {
            channels.remove(job);
        }
    }
}

/// One attempt at a job, from its side. Dropping it tells the watchers that the attempt is over.
#[derive(Debug)]
pub struct Attempt {
    hub: Events,
    job: JobId,
    watched: watch::Receiver<usize>,
    /// Where it began: stages are told from elsewhere, too.
    span: Span,
}

impl Attempt {
    /// Tells the watchers.
    pub fn publish(&self, event: Event) {
        if !matches!(event, Event::Preview(_)) {
            self.hub.histories.note(&self.job, event.clone());
        }
        if let Event::Stage(stage) = &event {
            tracing::info!(target: trace::TARGET, parent: &self.span, stage = ?stage, "stage");
        }
        let mut channels = self.hub.lock();
        let Some(channel) = channels.get_mut(&self.job) else { return };
        match &event {
            Event::Stage(_) => channel.stage = Some(event.clone()),
            Event::Step { .. } => channel.step = Some(event.clone()),
            Event::Preview(_) => {}
        }
        // Nobody watches.
        let _ = channel.events.send(event);
    }

    /// The job.
    pub const fn job(&self) -> &JobId {
        &self.job
    }

    /// Whether somebody wants previews now.
    pub fn previews_wanted(&self) -> bool {
        *self.watched.borrow() > 0
    }

    /// Completes when the number of watchers that want previews changes.
    pub async fn previews_changed(&mut self) {
        if self.watched.changed().await.is_err() {
            // The channel lives as long as the attempt.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.hub.leave(&self.job, |channel| {
            channel.attempts -= 1;
            if channel.attempts == 0 {
                // Watchers of the old sender reach its end; those of a next attempt get the new one.
                channel.events = broadcast::channel(BACKLOG).0;
                (channel.stage, channel.step) = (None, None);
            }
        });
    }
}

/// Somebody who watches a job.
#[derive(Debug)]
pub struct Watcher {
    hub: Events,
    job: JobId,
    previews: bool,
    /// What had happened before, latest first.
    known: Vec<Event>,
    events: broadcast::Receiver<Event>,
}

impl Watcher {
    /// Watches the same job from now on, with previews if this one receives them.
    #[must_use]
    pub fn renewed(&self) -> Self {
        self.hub.watch(&self.job, self.previews)
    }

    /// Watches the same job from now on, without previews.
    #[must_use]
    pub fn without_previews(&self) -> Self {
        self.hub.watch(&self.job, false)
    }

    /// The next event; `None` when the attempt is over: the store then knows more, and if the job has not ended,
    /// watch again. Events that came too fast are left out.
    pub async fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.known.pop() {
            return Some(event);
        }
        loop {
            match self.events.recv().await {
                Ok(Event::Preview(_)) if !self.previews => {}
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// All events until the attempt is over.
    pub fn into_stream(self) -> impl Stream<Item = Event> + Send + 'static {
        futures_util::stream::unfold(self, async |mut watcher| Some((watcher.next().await?, watcher)))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.hub.leave(&self.job, |channel| {
            channel.watchers -= 1;
            if self.previews {
                channel.previews.send_modify(|count| *count -= 1);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histories_outlive_their_attempts_and_are_bounded() {
        let events = Events::default();
        let first = JobId::random();
        let attempt = events.begin(&first, 1);
        attempt.publish(Event::Step { done: 1, total: 2 });
        attempt.publish(Event::Preview(Bytes::new()));
        drop(attempt);
        let history = events.history(&first);
        assert_eq!(history.len(), 1);
        assert_eq!(history[0].event, Event::Step { done: 1, total: 2 });
        for _ in 0..HISTORIES {
            let attempt = events.begin(&JobId::random(), 1);
            (0..NOTES + 5).for_each(|_| attempt.publish(Event::Step { done: 1, total: 2 }));
        }
        let Histories(histories) = &events.histories;
        histories.run_pending_tasks();
        assert!(events.history(&first).is_empty(), "the oldest is forgotten");
        assert_eq!(histories.entry_count(), HISTORIES);
        assert!(histories.iter().all(|(_, notes)| notes.lock().unwrap().len() == NOTES));
    }

    #[tokio::test]
    async fn watchers_get_what_happens_and_what_had_happened() {
        let (hub, job) = (Events::default(), JobId::random());
        let mut early = hub.watch(&job, false);
        let attempt = hub.begin(&job, 1);
        attempt.publish(Event::Stage(Stage::Denoise));
        attempt.publish(Event::Step { done: 1, total: 4 });
        let mut late = hub.watch(&job, true);
        attempt.publish(Event::Preview(Bytes::from_static(b"jpeg")));
        attempt.publish(Event::Step { done: 2, total: 4 });
        drop(attempt);
        let mut all = Vec::new();
        while let Some(event) = early.next().await {
            all.push(event);
        }
        let steps = [Event::Step { done: 1, total: 4 }, Event::Step { done: 2, total: 4 }];
        assert_eq!(all, [&[Event::Stage(Stage::Denoise)][..], &steps].concat());
        let mut rest = Vec::new();
        while let Some(event) = late.next().await {
            rest.push(event);
        }
        assert_eq!(rest.len(), 4);
        assert_eq!(rest[2], Event::Preview(Bytes::from_static(b"jpeg")));
    }

    #[tokio::test]
    async fn a_slow_watcher_loses_the_oldest_and_nothing_piles_up() {
        let (hub, job) = (Events::default(), JobId::random());
        let attempt = hub.begin(&job, 1);
        let mut watcher = hub.watch(&job, false);
        for done in 0..1000 {
            attempt.publish(Event::Step { done, total: 1000 });
        }
        let Some(Event::Step { done, .. }) = watcher.next().await else { panic!("a step") };
        assert_eq!(done, 1000 - BACKLOG as u32);
        drop((attempt, watcher));
        assert!(hub.is_empty());
    }

    #[tokio::test]
    async fn previews_are_wanted_only_while_somebody_watches_them() {
        let (hub, job) = (Events::default(), JobId::random());
        let mut attempt = hub.begin(&job, 1);
        let without = hub.watch(&job, false);
        assert!(!attempt.previews_wanted());
        let with = hub.watch(&job, true);
        attempt.previews_changed().await;
        assert!(attempt.previews_wanted());
        drop(with);
        attempt.previews_changed().await;
        assert!(!attempt.previews_wanted());
        drop((without, attempt));
        assert!(hub.is_empty());
    }

    #[tokio::test]
    async fn the_next_attempt_starts_afresh() {
        let (hub, job) = (Events::default(), JobId::random());
        let first = hub.begin(&job, 1);
        first.publish(Event::Step { done: 3, total: 4 });
        let mut watcher = hub.watch(&job, false);
        drop(first);
        assert_eq!(watcher.next().await, Some(Event::Step { done: 3, total: 4 }));
        assert_eq!(watcher.next().await, None);
        let mut again = hub.watch(&job, false);
        assert!(hub.watch_attempt(&job, 1, false).is_some(), "nothing runs");
        let second = hub.begin(&job, 2);
        assert!(hub.watch_attempt(&job, 1, false).is_none(), "another one runs");
        assert!(hub.watch_attempt(&job, 2, false).is_some());
        second.publish(Event::Stage(Stage::Load));
        assert_eq!(again.next().await, Some(Event::Stage(Stage::Load)));
    }
}
