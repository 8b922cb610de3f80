//! Looks at jobs that are watched here and run elsewhere, and at those that run here and may be wanted no more: one
//! statement a second for all of them.

use crate::progress::Events;
use crate::worker::{Hints, News};
use crate::{JobId, JobState, PostgresStore, Result, SeenJob};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// How often. A request to cancel that nobody told is found within it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks for ever.
pub(super) async fn run(store: PostgresStore, hints: Arc<Hints>, events: Events) {
    let mut watch = Watch { hints, events, seen: HashMap::new() };
    loop {
        sleep(LOOK_EVERY).await;
        if let Err(error) = watch.look(&store).await {
            tracing::debug!(%error, "cannot look at jobs of other hosts");
        }
    }
}

struct Watch {
    hints: Arc<Hints>,
    events: Events,
    /// What was the case when it was last looked at.
    seen: HashMap<JobId, SeenJob>,
}

impl Watch {
    async fn look(&mut self, store: &PostgresStore) -> Result<()> {
        let (here, elsewhere) = self.events.here_and_elsewhere();
        if here.is_empty() && elsewhere.is_empty() {
            self.seen.clear();
            return Ok(());
        }
        let all = [here.as_slice(), elsewhere.as_slice()].concat();
        let now: HashMap<JobId, SeenJob> =
            store.look_at(&all).await?.into_iter().map(|job| (job.id.clone(), job)).collect();
        for id in &here {
            let is_wanted = |job: Option<&SeenJob>| job.is_some_and(|job| job.cancel_requested);
            if is_wanted(now.get(id)) && !is_wanted(self.seen.get(id)) {
                self.hints.hear(&News::CancelRequested(id.clone()));
            }
        }
        for id in &elsewhere {
            let Some(job) = now.get(id) else {
                self.hints.hear(&News::Ended(id.clone()));
                continue;
            };
            let before = self.seen.get(id);
            let has_moved = before.is_some_and(|before| before.attempt != job.attempt || before.state != job.state);
            if has_moved {
                self.events.relay_end(id);
            }
            // Also at the first look: it may have ended before that, and nobody said so.
            if has_moved || job.state.is_terminal() {
                self.hints.hear(&News::Ended(id.clone()));
            }
            if job.state == JobState::Running {
                self.events.relay(id, job.progress);
            }
        }
        self.seen = now;
        Ok(())
    }
}
