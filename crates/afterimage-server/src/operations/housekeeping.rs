//! What has to be done from time to time: rescuing, forgetting, sweeping.

use crate::app::App;
use afterimage_jobs::{Clock, SystemClock};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often files and rows past their time are removed.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Rows that one statement removes, so that none blocks the others for long.
const BATCH: u32 = 500;

/// Removes what is older than `retention`, until `stop`.
pub async fn run(app: Arc<App>, retention: Duration, stop: CancellationToken) {
    let mut ticks = interval(SWEEP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if let Err(error) = sweep(&app, retention).await {
            tracing::warn!(%error, "the sweep did not finish and will be tried again");
        }
    }
}

/// Deletes what is past its time, then the blobs of what was deleted.
///
/// # Errors
/// Those of store and blobs; whatever was not done is done by the next sweep.
pub async fn sweep(app: &App, retention: Duration) -> afterimage_jobs::Result<()> {
    let before = SystemClock.now().minus(retention);
    app.store.expire_jobs(before, BATCH).await?;
    app.store.expire_uploads(before, BATCH).await?;

    let jobs = app.store.unswept_jobs(BATCH).await?;
    for job in &jobs {
        app.blobs.delete_job(job).await?;
    }
    app.store.mark_jobs_swept(&jobs).await?;

    let uploads = app.store.unswept_uploads(BATCH).await?;
    for upload in &uploads {
        app.blobs.delete_upload(upload).await?;
    }
    app.store.forget_uploads(&uploads).await?;
    // A tombstone tells "deleted" from "unknown" for as long again as the job was kept.
    app.store.prune_jobs(before.minus(retention), BATCH).await?;
    Ok(())
}
