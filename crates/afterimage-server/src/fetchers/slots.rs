//! Room in a pool, shared between keys.
//!
//! A key may take what is left, up to a quarter of the pool, as long as it leaves as many places free as it then has.
//! (Dynamic thresholds: A. Choudhury, E. Hahne, IEEE/ACM Transactions on Networking 1998.) Whatever some keys hold,
//! with whichever slow hosts, others find room: of 32 places, seven keys that take all they can leave one for the eighth.

use afterimage_jobs::KeyId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A key's part of the pool at most.
const LARGEST_PART: usize = 4;

/// Counts places.
pub(super) struct FetchSlots {
    places: usize,
    taken: Arc<Mutex<HashMap<KeyId, usize>>>,
}

/// One place; free again when dropped.
pub(super) struct FetchSlot {
    key: KeyId,
    taken: Arc<Mutex<HashMap<KeyId, usize>>>,
}

impl FetchSlots {
    /// A pool of `places`.
    pub(super) fn new(places: usize) -> Self {
        Self { places, taken: Arc::default() }
    }

    /// Whether a key without a place could have one.
    pub(super) fn have_room(&self) -> bool {
        self.free(&lock(&self.taken)) > 0
    }

    /// Keys that may not take another place now.
    pub(super) fn at_their_limit(&self) -> Vec<KeyId> {
        let taken = lock(&self.taken);
        let limit = self.free(&taken).min(self.places.div_ceil(LARGEST_PART));
        taken.iter().filter(|(_, count)| **count >= limit).map(|(key, _)| key.clone()).collect()
    }

    /// Takes a place for `key`, which is not [`FetchSlots::at_their_limit`].
    pub(super) fn take(&self, key: &KeyId) -> FetchSlot {
        *lock(&self.taken).entry(key.clone()).or_default() += 1;
        FetchSlot { key: key.clone(), taken: Arc::clone(&self.taken) }
    }

    fn free(&self, taken: &HashMap<KeyId, usize>) -> usize {
        self.places.saturating_sub(taken.values().sum())
    }
}

impl Drop for FetchSlot {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        if let Some(count) = taken.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.key);
            }
        }
    }
}

fn lock(taken: &Mutex<HashMap<KeyId, usize>>) -> MutexGuard<'_, HashMap<KeyId, usize>> {
    // Counts are right after every single change.
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(slots: &FetchSlots, name: &str) -> Vec<FetchSlot> {
        let key = KeyId::from(name);
        let mut held = Vec::new();
        while slots.have_room() && !slots.at_their_limit().contains(&key) {
            held.push(slots.take(&key));
        }
        held
    }

    #[test]
    fn greedy_keys_leave_room_for_others() {
        let slots = FetchSlots::new(32);
        let held: Vec<Vec<FetchSlot>> = ["a", "b", "c", "d", "e", "f"].map(|name| take_all(&slots, name)).into();
        assert_eq!(held.iter().map(Vec::len).collect::<Vec<_>>(), [8, 8, 8, 4, 2, 1]);
        let late = take_all(&slots, "late");
        assert_eq!(late.len(), 1);
        assert!(!slots.have_room());
    }

    #[test]
    fn places_come_back() {
        let slots = FetchSlots::new(4);
        let held = take_all(&slots, "a");
        assert_eq!((held.len(), slots.at_their_limit().len()), (1, 1));
        drop(held);
        assert_eq!(slots.at_their_limit(), []);
        assert_eq!(take_all(&slots, "a").len(), 1);
    }
}
