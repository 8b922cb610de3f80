//! A bounded pool in which no key can take the others' part: a bound on the whole, a bound for each key, and turns
//! between the keys that wait.
//!
//! First come, first served would let whoever asks most often have everything. Here each key waits in a line of its own,
//! and the lines take turns; a key at its bound holds up nobody but itself.

use std::collections::{HashMap, VecDeque};
use std::fmt::{self, Debug};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// A pool of units (bytes, threads, connections: what they are is the caller's). Clones share it.
///
/// `K` is whoever shares: an API key's id, or an address.
pub struct Shares<K: Clone + Eq + Hash>(Arc<Pool<K>>);

struct Pool<K: Clone + Eq + Hash> {
    total: u64,
    per_key: u64,
    state: Mutex<PoolState<K>>,
}

struct PoolState<K> {
    free: u64,
    /// What each key holds; keys that hold nothing are left out.
    held: HashMap<K, u64>,
    /// Those who wait, by key; keys of whom nobody waits are left out.
    lines: HashMap<K, VecDeque<Waiter>>,
    /// The keys of `lines`, the next one first.
    turns: VecDeque<K>,
    /// Names the next waiter.
    next: u64,
}

struct Waiter {
    name: u64,
    amount: u64,
    granted: oneshot::Sender<()>,
}

impl<K: Clone + Eq + Hash> Shares<K> {
    /// A pool of `total` units, of which one key holds at most `per_key`. A key that holds nothing gets any amount that
    /// the whole pool has: what is larger than its part comes alone.
    pub fn new(total: u64, per_key: u64) -> Self {
        let state =
            PoolState { free: total, held: HashMap::new(), lines: HashMap::new(), turns: VecDeque::new(), next: 0 };
        Self(Arc::new(Pool { total, per_key, state: Mutex::new(state) }))
    }

    /// Takes `amount` units for `key`, at once when there are so many and nobody's turn comes first. More than the whole
    /// pool counts as the whole pool. Whoever stops waiting leaves the line.
    pub async fn acquire(&self, key: &K, amount: u64) -> Share<K> {
        let (mut waiting, granted) = self.enter(key, amount);
        // The sender stays in the line until it has sent, so this cannot fail.
        let _ = granted.await;
        waiting.take_share()
    }

    /// As [`Shares::acquire`], for at most `patience`.
    pub async fn acquire_within(&self, key: &K, amount: u64, patience: Duration) -> Option<Share<K>> {
        timeout(patience, self.acquire(key, amount)).await.ok()
    }

    /// As [`Shares::acquire`], or nothing when that would have to wait.
    pub fn try_acquire(&self, key: &K, amount: u64) -> Option<Share<K>> {
        let (mut waiting, mut granted) = self.enter(key, amount);
        granted.try_recv().ok().map(|()| waiting.take_share())
    }

    /// Units that nobody holds.
    pub fn free(&self) -> u64 {
        self.0.lock().free
    }

    /// Units that `key` holds.
    pub fn held_by(&self, key: &K) -> u64 {
        self.0.lock().held.get(key).copied().unwrap_or_default()
    }

    fn enter(&self, key: &K, amount: u64) -> (Waiting<K>, oneshot::Receiver<()>) {
        let amount = amount.min(self.0.total);
        let (granted, receiver) = oneshot::channel();
        let mut state = self.0.lock();
        let name = state.next;
        state.next += 1;
        let line = state.lines.entry(key.clone()).or_default();
        line.push_back(Waiter { name, amount, granted });
        if line.len() == 1 {
            state.turns.push_back(key.clone());
        }
        state.hand_out(self.0.per_key);
        drop(state);
        (Waiting { pool: Arc::clone(&self.0), key: Some(key.clone()), name, amount }, receiver)
    }
}

impl<K: Clone + Eq + Hash> Pool<K> {
    fn lock(&self) -> MutexGuard<'_, PoolState<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash> PoolState<K> {
    /// Gives to whoever's turn it is for as long as there is enough. A key at its bound is passed over; one that may
    /// have what is not free yet is waited for, or a large amount would never come together.
    fn hand_out(&mut self, per_key: u64) {
        let mut passed = 0;
        while passed < self.turns.len() {
            let key = self.turns[passed].clone();
            let Some(amount) = self.lines.get(&key).and_then(|line| line.front()).map(|waiter| waiter.amount) else {
                self.turns.remove(passed);
                continue;
            };
            let held = self.held.get(&key).copied().unwrap_or_default();
            if held > 0 && held.saturating_add(amount) > per_key {
                passed += 1;
                continue;
            }
            if amount > self.free {
                return;
            }
            self.turns.remove(passed);
            self.grant(&key, held + amount, amount);
        }
    }

    fn grant(&mut self, key: &K, held: u64, amount: u64) {
        self.free -= amount;
        if held > 0 {
            self.held.insert(key.clone(), held);
        }
        let Some(line) = self.lines.get_mut(key) else { return };
        if let Some(waiter) = line.pop_front() {
            // When the receiver is gone, its `Waiting` gives the units back.
            let _ = waiter.granted.send(());
        }
        if line.is_empty() {
            self.lines.remove(key);
        } else {
            self.turns.push_back(key.clone());
        }
    }

    fn give_back(&mut self, key: &K, amount: u64) {
        self.free += amount;
        match self.held.get_mut(key) {
            Some(held) if *held > amount => *held -= amount,
            _ => {
                self.held.remove(key);
            }
        }
    }

    /// Takes the waiter `name` out of its line; `false` when it has its units already.
    fn leave(&mut self, key: &K, name: u64) -> bool {
        let Some(line) = self.lines.get_mut(key) else { return false };
        let Some(place) = line.iter().position(|waiter| waiter.name == name) else { return false };
        line.remove(place);
        if line.is_empty() {
            self.lines.remove(key);
            self.turns.retain(|turn| turn != key);
        }
        true
    }
}

/// A place in a line. Dropped, it is left, and what was granted meanwhile goes back.
struct Waiting<K: Clone + Eq + Hash> {
    pool: Arc<Pool<K>>,
    /// `None` once its units belong to a [`Share`].
    key: Option<K>,
    name: u64,
    amount: u64,
}

impl<K: Clone + Eq + Hash> Waiting<K> {
    /// The granted units.
    fn take_share(&mut self) -> Share<K> {
        let amount = if self.key.is_some() { self.amount } else { 0 };
        Share { pool: Arc::clone(&self.pool), key: self.key.take(), amount }
    }
}

impl<K: Clone + Eq + Hash> Drop for Waiting<K> {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        let mut state = self.pool.lock();
        if !state.leave(&key, self.name) {
            state.give_back(&key, self.amount);
        }
        state.hand_out(self.pool.per_key);
    }
}

/// Units that a key holds until this is dropped.
pub struct Share<K: Clone + Eq + Hash> {
    pool: Arc<Pool<K>>,
    key: Option<K>,
    amount: u64,
}

impl<K: Clone + Eq + Hash> Share<K> {
    /// The number of units.
    pub const fn amount(&self) -> u64 {
        self.amount
    }

    /// Adds the units of `other`, which the same key holds of the same pool.
    pub fn absorb(&mut self, mut other: Self) {
        debug_assert!(Arc::ptr_eq(&self.pool, &other.pool) && self.key == other.key, "shares of different holders");
        self.amount += other.amount;
        other.key = None;
    }

    /// Gives back what is more than `amount` units.
    pub fn shrink_to(&mut self, amount: u64) {
        let surplus = self.amount.saturating_sub(amount);
        let Some(key) = self.key.as_ref().filter(|_| surplus > 0) else { return };
        self.amount -= surplus;
        let mut state = self.pool.lock();
        state.give_back(key, surplus);
        state.hand_out(self.pool.per_key);
    }
}

impl<K: Clone + Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        let mut state = self.pool.lock();
        state.give_back(&key, self.amount);
        state.hand_out(self.pool.per_key);
    }
}

impl<K: Clone + Eq + Hash> Clone for Shares<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Clone + Eq + Hash> Debug for Shares<K> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let free = self.free();
        formatter.debug_struct("Shares").field("total", &self.0.total).field("free", &free).finish_non_exhaustive()
    }
}

impl<K: Clone + Eq + Hash> Debug for Share<K> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Share").field("amount", &self.amount).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use proptest::prelude::*;
    use std::pin::Pin;

    type Pending = Pin<Box<dyn Future<Output = Share<u8>> + Send>>;

    /// A waiter that stands in its line.
    fn waiting(pool: &Shares<u8>, key: u8, amount: u64) -> Pending {
        let pool = pool.clone();
        let mut pending: Pending = Box::pin(async move { pool.acquire(&key, amount).await });
        assert!(pending.as_mut().now_or_never().is_none(), "key {key} did not have to wait");
        pending
    }

    fn now(mut pending: Pending) -> Result<Share<u8>, Pending> {
        pending.as_mut().now_or_never().ok_or(pending)
    }

    #[test]
    fn one_key_does_not_take_everything() {
        let pool = Shares::new(4, 2);
        let first = [pool.try_acquire(&1, 1).unwrap(), pool.try_acquire(&1, 1).unwrap()];
        assert!(pool.try_acquire(&1, 1).is_none(), "the key has its part");
        let second = pool.try_acquire(&2, 2).unwrap();
        assert!(pool.try_acquire(&3, 1).is_none(), "all is taken");
        assert_eq!((pool.free(), pool.held_by(&1), second.amount()), (0, 2, 2));
        drop(first);
        assert!(pool.try_acquire(&3, 1).is_some());
        drop(second);
        assert_eq!((pool.free(), pool.held_by(&1)), (4, 0));
    }

    #[test]
    fn keys_take_turns_however_many_of_one_wait() {
        let pool = Shares::new(1, 1);
        let held = pool.try_acquire(&1, 1).unwrap();
        let mut crowd: VecDeque<Pending> = (0..100).map(|_| waiting(&pool, 1, 1)).collect();
        let newcomer = waiting(&pool, 2, 1);
        drop(held);
        // The crowd was there first; the newcomer is next, not hundredth.
        let Ok(one) = now(crowd.pop_front().unwrap()) else { panic!("nobody was served") };
        let Err(newcomer) = now(newcomer) else { panic!("two were served") };
        drop(one);
        assert!(now(newcomer).is_ok());
        assert!(now(crowd.pop_front().unwrap()).is_ok(), "and then the crowd again");
    }

    #[test]
    fn a_key_at_its_bound_holds_up_nobody_else() {
        let pool = Shares::new(10, 3);
        let _held = pool.try_acquire(&1, 3).unwrap();
        let _line = waiting(&pool, 1, 1);
        assert!(pool.try_acquire(&2, 3).is_some());
    }

    #[test]
    fn what_is_larger_than_a_part_comes_alone_and_is_not_overtaken_for_ever() {
        let pool = Shares::new(10, 3);
        let held = pool.try_acquire(&2, 3).unwrap();
        let large = waiting(&pool, 1, 50);
        assert!(pool.try_acquire(&3, 1).is_none(), "what is free is kept for the one whose turn it is");
        drop(held);
        let Ok(large) = now(large) else { panic!("the pool is free") };
        assert_eq!((large.amount(), pool.free()), (10, 0));
    }

    #[test]
    fn whoever_goes_away_leaves_the_line() {
        let pool = Shares::new(10, 10);
        let held = pool.try_acquire(&1, 6).unwrap();
        let large = waiting(&pool, 2, 8);
        let behind = waiting(&pool, 3, 2);
        drop(large);
        let Ok(behind) = now(behind) else { panic!("it waits for somebody who is gone") };
        // Granted, but gone before it looked.
        let late = waiting(&pool, 4, 5);
        drop((held, behind));
        drop(late);
        assert_eq!(pool.free(), 10);
        assert!(pool.0.lock().lines.is_empty() && pool.0.lock().turns.is_empty() && pool.0.lock().held.is_empty());
    }

    #[test]
    fn a_share_grows_and_shrinks() {
        let pool = Shares::new(10, 10);
        let mut share = pool.try_acquire(&1, 2).unwrap();
        share.absorb(pool.try_acquire(&1, 5).unwrap());
        assert_eq!((share.amount(), pool.free(), pool.held_by(&1)), (7, 3, 7));
        let next = waiting(&pool, 2, 6);
        share.shrink_to(9);
        share.shrink_to(4);
        assert!(now(next).is_ok());
        assert_eq!(pool.held_by(&1), 4);
        drop(share);
        assert_eq!(pool.free(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_in_time() {
        let pool = Shares::new(1, 1);
        let _held = pool.try_acquire(&1, 1).unwrap();
        assert!(pool.acquire_within(&2, 1, Duration::from_millis(10)).await.is_none());
    }

    proptest! {
        /// Any order of asking, giving back and going away: no bound is passed, nothing is lost, and nobody waits who
        /// could be served.
        #[test]
        fn bounds_hold_and_nothing_is_lost(
            total in 1_u64..12,
            per_key in 1_u64..12,
            steps in prop::collection::vec((0_u8..4, 0_u64..14, 0_usize..8, 0_u8..3), 0..60),
        ) {
            let pool = Shares::new(total, per_key);
            let mut shares: Vec<(u8, Share<u8>)> = Vec::new();
            let mut pending: Vec<(u8, Pending)> = Vec::new();
            for (key, amount, place, step) in steps {
                match step {
                    0 => {
                        let asked = pool.clone();
                        pending.push((key, Box::pin(async move { asked.acquire(&key, amount).await })));
                    }
                    1 if place < shares.len() => drop(shares.swap_remove(place)),
                    2 if place < pending.len() => drop(pending.swap_remove(place)),
                    _ => {}
                }
                for (key, mut one) in std::mem::take(&mut pending) {
                    match one.as_mut().now_or_never() {
                        Some(share) => shares.push((key, share)),
                        None => pending.push((key, one)),
                    }
                }
                let held: u64 = shares.iter().map(|(_, share)| share.amount()).sum();
                prop_assert_eq!(pool.free() + held, total);
                for key in 0..4 {
                    let of_key: Vec<u64> = shares.iter().filter(|of| of.0 == key).map(|of| of.1.amount()).collect();
                    let sum: u64 = of_key.iter().sum();
                    prop_assert_eq!(pool.held_by(&key), sum);
                    prop_assert!(sum <= per_key || of_key.iter().filter(|amount| **amount > 0).count() == 1);
                }
                // With nothing held, somebody is always served.
                prop_assert!(pending.is_empty() || held > 0);
            }
            drop((shares, pending));
            prop_assert_eq!(pool.free(), total);
        }
    }
}
