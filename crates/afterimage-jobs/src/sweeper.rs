//! The task that sweeps.

use crate::clock_trust::Reading;
use crate::retention::{Retention, Swept, sweep, sweep_orphans};
use crate::steady_time::SteadyTime;
use crate::{Blobs, Clock, Result, StorageClaim, Store, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Orphans are looked for at every so many sweeps.
const ORPHANS_EVERY: u64 = 24;

/// The believed time is kept for the next process this often; a restart doubts the clock for as long at least.
const NOTE_EVERY: Duration = Duration::from_mins(5);

/// Sweeps as long as the server runs.
pub struct Sweeper {
    /// Whose rows.
    pub store: Arc<dyn Store>,
    /// Whose files.
    pub blobs: Blobs,
    /// Whether files without a row are ours to remove; `None`: nobody else's files can be there.
    pub claim: Option<Arc<StorageClaim>>,
    /// How long things are kept.
    pub retention: Retention,
    /// The wall clock. It is believed as far as [`SteadyTime`] says.
    pub clock: Arc<dyn Clock>,
    /// Time between two sweeps.
    pub interval: Duration,
}

impl std::fmt::Debug for Sweeper {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { retention, interval, .. } = self;
        formatter
            .debug_struct("Sweeper")
            .field("retention", retention)
            .field("interval", interval)
            .finish_non_exhaustive()
    }
}

impl Sweeper {
    /// Sweeps until `stop`, and looks for orphans at the first time and every 24th.
    pub async fn run(self, stop: CancellationToken) {
        let mut time = None;
        let mut noted = None;
        // The clock is looked at from the start on, so that no jump falls between this and the first sweep.
        self.believed_time(&mut time).await;
        for round in 0_u64.. {
            tokio::select! {
                () = sleep(self.interval) => {}
                () = stop.cancelled() => return,
            }
            let Some(now) = self.believed_time(&mut time).await else { continue };
            // A little shorter than the interval: whoever wakes first should not find its own turn still on.
            match self.store.take_turn("sweep", self.interval.mul_f64(0.9)).await {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    tracing::warn!(%error, "cannot remove old jobs and files");
                    continue;
                }
            }
            self.sweep_once(now, round % ORPHANS_EVERY == 0).await;
            if noted.is_none_or(|noted: Timestamp| now.since(noted) >= NOTE_EVERY || now < noted) {
                match self.store.note_time(now).await {
                    Ok(()) => noted = Some(now),
                    Err(error) => tracing::warn!(%error, "cannot keep the time for the next start"),
                }
            }
        }
    }

    /// The time to sweep by; `None` while it is not known what the process before believed.
    async fn believed_time(&self, time: &mut Option<SteadyTime>) -> Option<Timestamp> {
        let now = Reading::now(self.clock.as_ref());
        if time.is_none() {
            match self.store.noted_time().await {
                Ok(noted) => *time = Some(SteadyTime::resume(noted, now)),
                Err(error) => tracing::warn!(%error, "cannot remove old jobs and files"),
            }
        }
        time.as_mut().map(|time| time.read(now))
    }

    async fn sweep_once(&self, now: Timestamp, with_orphans: bool) {
        let mut outcome = sweep(self.store.as_ref(), &self.blobs, &self.retention, now).await;
        let pause = self.interval.mul_f64(0.9 * ORPHANS_EVERY as f64);
        // A look at all files takes long; of several processes one begins it.
        let with_orphans = with_orphans && matches!(self.store.take_turn("orphans", pause).await, Ok(true));
        if with_orphans && let Ok(swept) = &mut outcome {
            match self.sweep_orphans(now).await {
                Ok(orphans) => swept.orphans = orphans,
                Err(error) => tracing::warn!(%error, "cannot look for files without a job"),
            }
        }
        match outcome {
            Ok(swept) if swept == Swept::default() => {}
            Ok(swept) => {
                tracing::info!(?swept, "old jobs and files removed");
                if let Err(error) = self.store.forget_deleted().await {
                    tracing::warn!(%error, "what was deleted is not out of the database's log yet");
                }
            }
            Err(error) => tracing::warn!(%error, "cannot remove old jobs and files"),
        }
    }

    async fn sweep_orphans(&self, now: Timestamp) -> Result<u64> {
        if let Some(claim) = &self.claim
            && !claim.is_ours().await?
        {
            tracing::warn!(
                mark = %claim,
                "the storage has files of another database, so files without a job stay; remove that file and \
                 start again if the other database is gone for good"
            );
            return Ok(0);
        }
        sweep_orphans(self.store.as_ref(), &self.blobs, &self.retention, now).await
    }
}
