//! How far a task is, in words: for clients that asked to hear of it while they wait, and for those who ask once.

use crate::follow::{Follower, JobListener, JobUpdate, Look, next_look, seen, until_ended};
use crate::refusal::Refusal;
use afterimage_core::Stage;
use afterimage_jobs::progress::Event;
use afterimage_jobs::{Job, JobId, JobState};
use rmcp::RoleServer;
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::{Peer, RequestContext};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Less than a step: how far what is no step gets.
const LITTLE: f64 = 0.001;

/// Tells one client that asked for it how far its task is.
pub struct Teller {
    peer: Peer<RoleServer>,
    token: ProgressToken,
    told: f64,
    steps: Option<u32>,
}

impl Teller {
    /// The one for the client of a request, if it wants to hear of progress.
    pub fn of(context: &RequestContext<RoleServer>) -> Option<Self> {
        let token = context.meta.get_progress_token()?;
        Some(Self { peer: context.peer.clone(), token, told: 0.0, steps: None })
    }

    /// Tells what happened; nothing where that is nothing to tell.
    async fn tell_event(&mut self, event: &Event) {
        let Some(text) = words(event) else { return };
        let mut done = 0;
        if let Event::Step { done: steps, total } = event {
            (done, self.steps) = (*steps, Some(*total));
        }
        self.tell(done, text).await;
    }

    /// Tells that `done` steps are done.
    pub async fn tell(&mut self, done: u32, text: String) {
        self.told = grown(self.told, done);
        let mut note = ProgressNotificationParam::new(self.token.clone(), self.told).with_message(text);
        note.total = self.steps.map(f64::from);
        // Who does not hear it is gone, which is noticed where the answer is written.
        let _ = self.peer.notify_progress(note).await;
    }
}

/// The next number to tell after `told`: the protocol wants each to be larger than the one before. A second pass counts its
/// steps from the start.
fn grown(told: f64, done: u32) -> f64 {
    (told + LITTLE).max(done.into())
}

/// What `event` says; `None` for pictures.
fn words(event: &Event) -> Option<String> {
    let stage = match event {
        Event::Step { done, total } => return Some(format!("step {done} of {total}")),
        Event::Preview(_) => return None,
        Event::Stage(stage) => stage,
    };
    let text = match stage {
        Stage::Load => "building the models",
        Stage::ImageEncode => "looking at the picture",
        Stage::TextEncode => "reading the prompt",
        Stage::Denoise => "sampling",
        Stage::Decode => "decoding the pictures",
        Stage::Safety => "checking the pictures",
    };
    Some(text.to_owned())
}

fn place(ahead: u64) -> String {
    match ahead {
        0 => "it is the next".to_owned(),
        1 => "1 task is before it".to_owned(),
        ahead => format!("{ahead} tasks are before it"),
    }
}

/// Where `job` stands that has not ended, as a clause.
///
/// # Errors
/// Those of the store.
pub async fn standing(follower: &Follower, job: &Job) -> Result<String, Refusal> {
    if job.cancel_requested {
        return Ok("is being cancelled".to_owned());
    }
    if job.state == JobState::Queued {
        let ahead = follower.store.position(&job.id).await?;
        return Ok(ahead.map_or_else(|| "begins".to_owned(), |ahead| format!("waits: {}", place(ahead))));
    }
    let history = follower.history(&job.id).await;
    let last = history.iter().rev().find_map(|noted| words(&noted.event));
    Ok(last.map_or_else(|| "runs".to_owned(), |last| format!("runs: {last}")))
}

/// Waits until the job `id` has ended, at most for `wait`; returns it as it then is. Meanwhile `teller`, if there is one,
/// hears what happens.
///
/// # Errors
/// Those of [`until_ended`].
pub async fn wait_for(
    follower: &Follower,
    id: &JobId,
    wait: Duration,
    teller: Option<&mut Teller>,
) -> Result<Job, Refusal> {
    let Some(teller) = teller else { return until_ended(follower, id, wait).await };
    let deadline = Instant::now() + wait;
    match timeout_at(deadline, told_until_ended(follower, id, teller)).await {
        Ok(ended) => ended,
        Err(_) => seen(follower, id).await?.ok_or(Refusal::Unavailable),
    }
}

async fn told_until_ended(follower: &Follower, id: &JobId, teller: &mut Teller) -> Result<Job, Refusal> {
    let mut news = JobListener::of(follower, id, false);
    let mut known_place = None;
    loop {
        match next_look(follower, &mut news, id).await? {
            Look::Update(JobUpdate::Over(job)) => return Ok(*job),
            Look::Update(JobUpdate::Progress(event)) => teller.tell_event(&event).await,
            Look::Same(_) => {
                let now = follower.store.position(id).await?;
                if std::mem::replace(&mut known_place, now) != now
                    && let Some(ahead) = now
                {
                    teller.tell(0, place(ahead)).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn numbers_only_grow() {
        let mut told = 0.0;
        for (done, expected) in [(0, 0.001), (1, 1.0), (2, 2.0), (1, 2.001), (2, 2.002), (3, 3.0)] {
            told = grown(told, done);
            assert!((told - expected).abs() < 1e-9, "{told}");
        }
    }

    #[test]
    fn events_are_put_into_words() {
        assert_eq!(words(&Event::Step { done: 5, total: 28 }).as_deref(), Some("step 5 of 28"));
        assert_eq!(words(&Event::Stage(Stage::Decode)).as_deref(), Some("decoding the pictures"));
        assert_eq!(words(&Event::Preview(Bytes::new())), None);
        assert_eq!([0, 1, 2].map(place), ["it is the next", "1 task is before it", "2 tasks are before it"]);
    }
}
