//! Following a job while it runs.

use crate::app::App;
use crate::engine_process::{Event, Watcher};
use afterimage_jobs::JobId;
use std::time::Duration;

/// The store is asked this often whether the job has ended, since it may run in another process.
const POLL: Duration = Duration::from_millis(500);

/// Time in which a finished attempt's result is usually recorded.
const AFTER_ATTEMPT: Duration = Duration::from_millis(20);

/// The next thing that happens to the job, or `None` when it has ended.
pub async fn next_event(app: &App, watcher: &mut Watcher, id: &JobId) -> Option<Event> {
    loop {
        match tokio::time::timeout(POLL, watcher.next()).await {
            Ok(Some(event)) => return Some(event),
            // The attempt is over: the job ends in a moment, or waits for another attempt.
            Ok(None) => {
                *watcher = app.events.watch(id, true);
                tokio::time::sleep(AFTER_ATTEMPT).await;
            }
            Err(_) => {}
        }
        let job = app.store.job(id).await.ok().flatten()?;
        if job.state.is_terminal() {
            return None;
        }
    }
}
