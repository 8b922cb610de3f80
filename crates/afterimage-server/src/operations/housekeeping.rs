//! Forgetting what is past its time, with the files that nobody points to any more.

use crate::app::App;
use afterimage_jobs::SystemClock;
use afterimage_jobs::retention::{Retention, run_sweeper};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the store is asked. Files without a row, which crashes leave, are looked for at the first time and at
/// every 24th after it.
const SWEEP_EVERY: Duration = Duration::from_mins(1);

/// Removes jobs, results and uploads older than `kept`, until `stop`.
pub async fn run(app: Arc<App>, kept: Duration, stop: CancellationToken) {
    // A tombstone tells "deleted" from "unknown" for as long again as the job was kept.
    let retention = Retention { jobs: kept, uploads: kept, tombstones: kept * 2, ..Retention::default() };
    run_sweeper(app.store.as_ref(), &app.blobs, &retention, &SystemClock, SWEEP_EVERY, stop).await;
}
