//! A lane per receiving host, so that a receiver that hangs holds up only its own webhooks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The lanes of all hosts.
#[derive(Debug)]
pub(super) struct Lanes {
    width: usize,
    waiting: usize,
    by_host: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// A place in a host's lane, moving or waiting. It is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Semaphore>);

impl Lanes {
    /// Lanes in which `width` webhooks move at once and `waiting` more wait.
    pub(super) fn new(width: usize, waiting: usize) -> Self {
        Self { width, waiting, by_host: Mutex::default() }
    }

    /// A place in the lane of `host`, `None` when it is full.
    pub(super) fn enter(&self, host: &str) -> Option<Place> {
        let mut lanes = self.lanes();
        let Some(lane) = lanes.get(host).and_then(Weak::upgrade) else {
            // Whoever opens a lane clears those that are empty.
            lanes.retain(|_, lane| lane.strong_count() > 0);
            let lane = Arc::new(Semaphore::new(self.width));
            lanes.insert(host.to_owned(), Arc::downgrade(&lane));
            return Some(Place(lane));
        };
        // Every place holds one reference, and `lane` is one too.
        let taken = Arc::strong_count(&lane) - 1;
        (taken < self.width + self.waiting).then_some(Place(lane))
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<String, Weak<Semaphore>>> {
        self.by_host.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits until this place may move. `None` never comes, since lanes are never closed.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_full_lane_leaves_others_open() {
        let lanes = Lanes::new(2, 1);
        let places: Vec<_> = (0..3).map(|_| lanes.enter("slow.example").unwrap()).collect();
        assert!(lanes.enter("slow.example").is_none());
        assert!(lanes.enter("other.example").is_some());
        let first = places[0].turn().await.unwrap();
        let _second = places[1].turn().await.unwrap();
        let wait = Duration::from_millis(10);
        assert!(tokio::time::timeout(wait, places[2].turn()).await.is_err());
        drop(first);
        assert!(tokio::time::timeout(wait, places[2].turn()).await.is_ok());
    }

    #[test]
    fn places_are_freed_and_empty_lanes_forgotten() {
        let lanes = Lanes::new(1, 0);
        for index in 0..100 {
            let host = format!("{index}.example");
            let place = lanes.enter(&host).unwrap();
            assert!(lanes.enter(&host).is_none());
            drop(place);
            assert!(lanes.enter(&host).is_some());
        }
        assert!(lanes.lanes().len() <= 2);
    }
}
