//! What is heard of a job while it runs.

use super::follower::{EndSignals, Follower, RETRY, is_over_here, seen};
use crate::refusal::Refusal;
use afterimage_jobs::progress::{Event, Watcher};
use afterimage_jobs::{Job, JobId};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::timeout;

/// How often a quiet stream shows that it lives.
const PING: Duration = Duration::from_secs(15);

/// An answer of server-sent events, kept alive by comments while there are none.
pub fn event_stream(events: impl Stream<Item = sse::Event> + Send + 'static) -> Response {
    Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(KeepAlive::new().interval(PING).text("ping")).into_response()
}

/// All there is to hear about a job: its progress, and when to look at the store.
pub struct JobListener {
    announcements: EndSignals,
    watcher: Watcher,
    /// Nobody has looked since this began to listen.
    fresh: bool,
}

/// One thing that was heard.
pub enum Signal {
    /// Progress. The job runs.
    Progress(Event),
    /// The store may have something new.
    Reread,
}

impl JobListener {
    /// Listens from now on; `previews`: whether to hear of them.
    pub fn of(follower: &Follower, job: &JobId, previews: bool) -> Self {
        let announcements = EndSignals::of(follower, job);
        Self { announcements, watcher: follower.events.watch(job, previews), fresh: true }
    }

    /// No more previews, which take a share of the job's time.
    pub fn without_previews(&mut self) {
        self.watcher = self.watcher.without_previews();
    }

    /// The next thing, [`Signal::Reread`] at once the first time and after `patience`. Progress that is there comes before
    /// the end.
    pub async fn next(&mut self, patience: Duration) -> Signal {
        if std::mem::take(&mut self.fresh) {
            return Signal::Reread;
        }
        let (announcements, watcher) = (&mut self.announcements, &mut self.watcher);
        let progress = async {
            loop {
                match watcher.next().await {
                    Some(event) => return event,
                    // The attempt is over. That its job has ended or waits again is announced when it is recorded.
                    None => *watcher = watcher.renewed(),
                }
            }
        };
        tokio::select! {
            biased;
            event = progress => Signal::Progress(event),
            _ = timeout(patience, announcements.next()) => Signal::Reread,
        }
    }
}

/// What happens to a job that is followed.
pub enum JobUpdate {
    /// Progress.
    Progress(Event),
    /// It is over: the job has ended, or this server stops before it has.
    Over(Box<Job>),
}

/// What a look at a job that is followed can find.
pub enum Look {
    /// Something happened.
    Update(JobUpdate),
    /// Nothing that would have been told: the job as the store has it.
    Same(Box<Job>),
}

/// The next thing that happens to a job, or the job when the store was asked and has nothing new. A store that does not answer says nothing about it, so that is waited out.
///
/// # Errors
/// [`Refusal::NotFound`] when there is no such job.
pub async fn next_look(follower: &Follower, news: &mut JobListener, id: &JobId) -> Result<Look, Refusal> {
    let mut patience = follower.poll();
    loop {
        match news.next(patience).await {
            Signal::Progress(event) => return Ok(Look::Update(JobUpdate::Progress(event))),
            Signal::Reread => match seen(follower, id).await? {
                Some(job) if is_over_here(follower, &job) => return Ok(Look::Update(JobUpdate::Over(Box::new(job)))),
                Some(job) => return Ok(Look::Same(Box::new(job))),
                None if follower.stopping.is_cancelled() => return Err(Refusal::Unavailable),
                None => patience = RETRY,
            },
        }
    }
}

/// [`next_look`] until something happens.
///
/// # Errors
/// Those of [`next_look`].
pub async fn next_update(follower: &Follower, news: &mut JobListener, id: &JobId) -> Result<JobUpdate, Refusal> {
    loop {
        if let Look::Update(update) = next_look(follower, news, id).await? {
            return Ok(update);
        }
    }
}
