//! A queue per key and receiver, so that a receiver that hangs holds up only what its own key sends to it.

use afterimage_jobs::KeyId;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

/// Attempts in a row without an answer after which a receiver gets one place instead of all.
const SILENCES: u32 = 2;

/// How long a receiver's silence is remembered, from the last attempt on.
const MEMORY: Duration = Duration::from_mins(10);

/// Silent receivers that are remembered; those that nobody asked about for the longest are forgotten first.
const REMEMBERED: u64 = 4096;

/// Whose webhooks, and where they go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ReceiverQueue {
    key: KeyId,
    host: String,
    port: u16,
}

impl ReceiverQueue {
    /// The queue of what `key` sends to `url`.
    pub(super) fn of(key: &KeyId, url: &Url) -> Self {
        let host = url.host_str().unwrap_or_default().to_owned();
        Self { key: key.clone(), host, port: url.port_or_known_default().unwrap_or(0) }
    }
}

/// All queues.
#[derive(Debug)]
pub(super) struct ReceiverQueues {
    width: u32,
    waiting: usize,
    open: Mutex<HashMap<ReceiverQueue, Weak<Moving>>>,
    /// Attempts in a row that were not answered.
    silent: Cache<ReceiverQueue, u32>,
}

/// Who may move in a queue. Held by its places only, so there are as many as holders; turns hold what is inside.
#[derive(Debug)]
struct Moving(Arc<Semaphore>);

/// A place in a queue, moving or waiting. It is free again when this is dropped.
#[derive(Debug)]
pub(super) struct QueuedSend<'a> {
    queues: &'a ReceiverQueues,
    queue: ReceiverQueue,
    moving: Arc<Moving>,
}

impl ReceiverQueues {
    /// Queues of which `width` webhooks are sent at once and `waiting` more wait.
    pub(super) fn new(width: u32, waiting: usize) -> Self {
        let silent = Cache::builder()
            .max_capacity(REMEMBERED)
            .time_to_live(MEMORY)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { width, waiting, open: Mutex::default(), silent }
    }

    /// A place in `queue`, `None` when it is full.
    pub(super) fn enter(&self, queue: &ReceiverQueue) -> Option<QueuedSend<'_>> {
        let place = |moving| QueuedSend { queues: self, queue: queue.clone(), moving };
        let width = if self.is_silent(queue) { 1 } else { self.width as usize };
        let mut open = self.open();
        let Some(moving) = open.get(queue).and_then(Weak::upgrade) else {
            // Whoever opens a queue clears those that are empty.
            open.retain(|_, queue| queue.strong_count() > 0);
            let moving = Arc::new(Moving(Arc::new(Semaphore::new(self.width as usize))));
            open.insert(queue.clone(), Arc::downgrade(&moving));
            return Some(place(moving));
        };
        // Every place holds one reference, and `moving` is one too.
        let taken = Arc::strong_count(&moving) - 1;
        (taken < width + self.waiting).then(|| place(moving))
    }

    /// Notes whether the receiver of a queue answered, whatever it said.
    pub(super) fn note(&self, queue: &ReceiverQueue, answered: bool) {
        if answered {
            self.silent.invalidate(queue);
            return;
        }
        let entry = self.silent.entry_by_ref(queue);
        entry.and_upsert_with(|known| known.map_or(1, |known| known.into_value().saturating_add(1)));
    }

    fn is_silent(&self, queue: &ReceiverQueue) -> bool {
        self.silent.get(queue).is_some_and(|times| times >= SILENCES)
    }

    fn open(&self) -> MutexGuard<'_, HashMap<ReceiverQueue, Weak<Moving>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueuedSend<'_> {
    /// Waits until this place may move. `None` never comes, since queues are never closed.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        let turn = Arc::clone(&self.moving.0).acquire_owned().await.ok()?;
        // Asked only now: the receiver may have fallen silent while this one waited.
        if !self.queues.is_silent(&self.queue) {
            return Some(turn);
        }
        drop(turn);
        // All of the queue's width, so that one moves at a time.
        Arc::clone(&self.moving.0).acquire_many_owned(self.queues.width).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(key: &str, url: &str) -> ReceiverQueue {
        ReceiverQueue::of(&KeyId::from(key), &url.parse().unwrap())
    }

    /// In paused time: at once, or not at all.
    async fn moves(place: &QueuedSend<'_>) -> Option<OwnedSemaphorePermit> {
        tokio::time::timeout(Duration::from_millis(10), place.turn()).await.ok().flatten()
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_lane_leaves_others_open() {
        let queues = ReceiverQueues::new(2, 1);
        let slow = queue("one", "http://slow.example/a");
        let mut places: Vec<_> = (0..2).map(|_| queues.enter(&slow).unwrap()).collect();
        // One that moves has one place, not two.
        let first = moves(&places[0]).await.unwrap();
        let _second = moves(&places[1]).await.unwrap();
        places.push(queues.enter(&slow).unwrap());
        assert!(queues.enter(&queue("one", "http://slow.example:80/b")).is_none(), "the path makes no difference");
        for other in [
            queue("one", "http://other.example/a"),
            queue("one", "http://slow.example:8080/a"),
            queue("one", "https://slow.example/a"),
            queue("two", "http://slow.example/a"),
        ] {
            assert!(queues.enter(&other).is_some(), "{other:?}");
        }
        assert!(moves(&places[2]).await.is_none());
        drop(first);
        assert!(moves(&places[2]).await.is_some());
    }

    #[test]
    fn places_are_freed_and_empty_lanes_forgotten() {
        let queues = ReceiverQueues::new(1, 0);
        for index in 0..100 {
            let queue = queue("one", &format!("http://{index}.example/"));
            let place = queues.enter(&queue).unwrap();
            assert!(queues.enter(&queue).is_none());
            drop(place);
            assert!(queues.enter(&queue).is_some());
        }
        assert!(queues.open().len() <= 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_receiver_that_did_not_answer_twice_gets_one_place() {
        let queues = ReceiverQueues::new(4, 2);
        let slow = queue("one", "http://slow.example/");
        queues.note(&slow, false);
        let four: Vec<_> = (0..4).map(|_| queues.enter(&slow).unwrap()).collect();
        for place in &four {
            assert!(moves(place).await.is_some(), "once is no habit");
        }
        drop(four);
        queues.note(&slow, false);
        let places: Vec<_> = (0..3).map(|_| queues.enter(&slow).unwrap()).collect();
        assert!(queues.enter(&slow).is_none());
        let turn = moves(&places[0]).await.unwrap();
        assert!(moves(&places[1]).await.is_none());
        drop(turn);
        assert!(moves(&places[1]).await.is_some());
        drop(places);
        // An answer, even a bad one, is an answer.
        queues.note(&slow, true);
        let places: Vec<_> = (0..6).map(|_| queues.enter(&slow).unwrap()).collect();
        let mut turns = Vec::new();
        for place in &places[..4] {
            turns.push(moves(place).await.unwrap());
        }
    }

    #[test]
    fn only_so_many_silent_receivers_are_remembered() {
        let queues = ReceiverQueues::new(1, 0);
        for index in 0..REMEMBERED + 10 {
            queues.note(&queue("one", &format!("http://{index}.example/")), false);
        }
        // The cache drops what is too much in batches.
        queues.silent.run_pending_tasks();
        assert_eq!(queues.silent.entry_count(), REMEMBERED);
        assert!(!queues.silent.contains_key(&queue("one", "http://0.example/")), "the oldest goes first");
    }
}
