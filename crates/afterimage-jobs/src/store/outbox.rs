//! Webhooks that wait to be sent. The row of a webhook is written by the transaction that ends its job.

use crate::{Fenced, JobId, KeyId, Result, Timestamp};
use async_trait::async_trait;
use std::collections::HashMap;
use std::time::Duration;

/// One webhook to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Names the delivery; the same at every attempt, so receivers can tell repetitions.
    pub id: i64,
    /// The job that ended.
    pub job: JobId,
    /// Whose job it was.
    pub key: KeyId,
    /// Where to.
    pub url: String,
    /// Whose payload and signature to use.
    pub dialect: String,
    /// How often it was taken, this time included: the fencing token of this attempt.
    pub attempt: u32,
    /// Attempts that failed.
    pub failures: u32,
    /// When the job ended.
    pub created_at: Timestamp,
}

/// What to do with a delivery that was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextTry {
    /// The attempt failed; try again after this time.
    After(Duration),
    /// There was no attempt: its receiver is busy. Due again after this time, before others of its key.
    Postponed(Duration),
    /// Never.
    GiveUp,
}

/// Places of a sender, each for one delivery in hand, and who has them.
///
/// A key gets another place only while it has fewer than are still free. So a key alone gets half of them, `n` busy
/// keys get one part each of `n + 1`, and for a key that comes new there is always room (the dynamic threshold of shared
/// buffers: Choudhury and Hahne, 1998).
#[derive(Clone, Debug)]
pub struct Places {
    free: u32,
    held: HashMap<KeyId, u32>,
}

impl Places {
    /// `total` free places.
    pub fn new(total: u32) -> Self {
        Self { free: total, held: HashMap::new() }
    }

    /// Places that nobody has.
    pub const fn free(&self) -> u32 {
        self.free
    }

    /// Places that `key` has.
    pub fn held(&self, key: &KeyId) -> u32 {
        self.held.get(key).copied().unwrap_or(0)
    }

    /// Takes a place for `key`; false when it has its share.
    pub fn take(&mut self, key: &KeyId) -> bool {
        let held = self.held(key);
        if held >= self.free {
            return false;
        }
        self.free -= 1;
        self.held.insert(key.clone(), held + 1);
        true
    }

    /// Gives a place of `key` back.
    pub fn give_back(&mut self, key: &KeyId) {
        match self.held.get_mut(key) {
            Some(1) => drop(self.held.remove(key)),
            Some(held) => *held -= 1,
            None => return,
        }
        self.free += 1;
    }
}

/// What is due of one key.
pub(super) struct DueOfKey<T> {
    pub(super) key: KeyId,
    /// Since when the longest has been due.
    pub(super) since: Timestamp,
    /// What comes first, first.
    pub(super) queue: Vec<T>,
}

/// Puts keys in the order of their turns: who has least in hand, then who waits longest.
pub(super) fn in_turn<T>(due: &mut [DueOfKey<T>], places: &Places) {
    due.sort_by(|one, other| {
        let rank = |of: &DueOfKey<T>| (places.held(&of.key), of.since);
        rank(one).cmp(&rank(other)).then_with(|| one.key.as_str().cmp(other.key.as_str()))
    });
}

/// At most `limit` of `due`, one of each key in turn while it has places.
pub(super) fn take_turns<T>(due: Vec<DueOfKey<T>>, limit: u32, places: &Places) -> Vec<T> {
    let mut places = places.clone();
    let mut queues: Vec<_> = due.into_iter().map(|of| (of.key, of.queue.into_iter())).collect();
    let mut taken = Vec::new();
    while !queues.is_empty() {
        queues.retain_mut(|(key, queue)| {
            if taken.len() >= limit as usize || queue.len() == 0 || !places.take(key) {
                return false;
            }
            taken.extend(queue.next());
            true
        });
    }
    taken
}

/// The table of webhooks to send: each is delivered at least once or given up with a reason.
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// Takes at most `limit` deliveries that are due, of each key in turn, as far as it has `places`. Those of one key
    /// come by the time they are due, after what was postponed. Nobody else gets them until `lease` has passed; then
    /// they are due again unless [`Outbox::delivered`] or [`Outbox::delivery_failed`] was called.
    async fn due_deliveries(&self, limit: u32, places: &Places, lease: Duration) -> Result<Vec<Delivery>>;

    /// Notes success; [`Fenced::Lost`] when a later attempt has taken over.
    async fn delivered(&self, id: i64, attempt: u32) -> Result<Fenced>;

    /// Notes what came of an attempt that did not deliver, and what follows; [`Fenced::Lost`] when a later attempt has
    /// taken over.
    async fn delivery_failed(&self, id: i64, attempt: u32, next: NextTry, error: &str) -> Result<Fenced>;

    /// Deliveries that are neither done nor given up.
    async fn open_deliveries(&self) -> Result<u64>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(key: &str, since: i64, queue: &[u32]) -> DueOfKey<u32> {
        DueOfKey { key: KeyId::from(key), since: Timestamp(since), queue: queue.to_vec() }
    }

    #[test]
    fn a_busy_key_leaves_room_for_every_other() {
        let mut places = Places::new(64);
        let take_all = |places: &mut Places, key: &KeyId| (0..64).take_while(|_| places.take(key)).count();
        let [one, two, three] = ["one", "two", "three"].map(KeyId::from);
        assert_eq!(take_all(&mut places, &one), 32);
        assert_eq!(take_all(&mut places, &two), 16);
        assert_eq!(take_all(&mut places, &three), 8);
        for _ in 0..32 {
            places.give_back(&one);
        }
        assert_eq!((places.free(), places.held(&one), places.held(&two)), (40, 0, 16));
        places.give_back(&one);
        assert_eq!(places.free(), 40, "nothing was held");
    }

    #[test]
    fn keys_take_turns_and_the_one_with_least_in_hand_begins() {
        let mut places = Places::new(100);
        assert!(places.take(&KeyId::from("busy")));
        let mut all = vec![due("busy", 0, &[1, 2, 3]), due("late", 9, &[20]), due("early", 5, &[10, 11, 12])];
        in_turn(&mut all, &places);
        assert_eq!(take_turns(all, 5, &places), [10, 20, 1, 11, 2]);
    }

    #[test]
    fn nobody_gets_more_than_its_share() {
        let all = vec![due("one", 0, &[1, 2, 3, 4, 5, 6]), due("two", 1, &[10])];
        assert_eq!(take_turns(all, 100, &Places::new(6)), [1, 10, 2, 3]);
    }
}
