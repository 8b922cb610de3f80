//! Nothing is begun that needs a storage which is known not to work.
//!
//! A job that fails for the storage is tried again, and given up after some tries: right where its own file is the trouble.
//! Where the storage is away, or refuses this host for its clock or its credentials, each job that waits would be used up
//! like that within seconds, also those that other hosts could run. So after such a failure a process takes no other
//! job until it has written, read and removed a file.

use crate::{Backoff, Blobs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::sleep;

/// Pauses between looks at a storage that does not work.
const LOOKS: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));

/// What a process knows of its storage.
#[derive(Debug)]
pub struct StorageGate {
    blobs: Blobs,
    is_shut: AtomicBool,
    /// Held by the one who looks.
    looking: Mutex<()>,
}

impl StorageGate {
    /// Open, until somebody finds that `blobs` do not work.
    pub fn new(blobs: Blobs) -> Self {
        Self { blobs, is_shut: AtomicBool::new(false), looking: Mutex::default() }
    }

    /// A file could not be stored or read.
    pub fn shut(&self) {
        self.is_shut.store(true, Ordering::Relaxed);
    }

    /// Returns when the storage works, as far as is known. Of those who wait one looks.
    pub async fn opened(&self) {
        if !self.is_shut() {
            return;
        }
        let _looking = self.looking.lock().await;
        let mut failures = 0;
        while self.is_shut() {
            match self.blobs.probe().await {
                Ok(()) => {
                    self.is_shut.store(false, Ordering::Relaxed);
                    if failures > 0 {
                        tracing::info!("the storage works again");
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "no jobs are taken until the storage works");
                    sleep(LOOKS.pause(failures)).await;
                    failures += 1;
                }
            }
        }
    }

    fn is_shut(&self) -> bool {
        self.is_shut.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tempfile::TempDir;
    use tokio::time::timeout;

    const MOMENT: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn it_opens_when_the_storage_works() {
        let parent = TempDir::new().unwrap();
        let folder = parent.path().join("files");
        let gate = Arc::new(StorageGate::new(Blobs::local(&folder).unwrap()));
        gate.opened().await;
        // Trouble of one file only.
        gate.shut();
        gate.opened().await;

        std::fs::rename(&folder, parent.path().join("elsewhere")).unwrap();
        std::fs::write(&folder, "").unwrap();
        gate.shut();
        assert!(timeout(Duration::from_mins(10), gate.opened()).await.is_err());
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                tokio::spawn({
                    let gate = Arc::clone(&gate);
                    async move { gate.opened().await }
                })
            })
            .collect();
        std::fs::remove_file(&folder).unwrap();
        std::fs::rename(parent.path().join("elsewhere"), &folder).unwrap();
        for one in waiting {
            one.await.unwrap();
        }
        timeout(MOMENT, gate.opened()).await.unwrap();
    }
}
