//! Values that are kept for whoever asks for them again.

use afterimage_core::Result;
use moka::policy::EvictionPolicy;
use std::hash::Hash;
use std::sync::Arc;

/// A value, and whether it was there already.
pub(crate) struct Known<V> {
    pub value: Arc<V>,
    pub cached: bool,
}

/// Values within a budget of bytes; those that nobody asked for the longest go first. A value that several ask for at
/// once is made once.
pub(crate) struct Cache<K, V> {
    values: moka::sync::Cache<K, Arc<V>>,
}

impl<K, V> Cache<K, V>
where
    K: Eq + Hash + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// `bytes_of` says what an entry costs of the `budget` of bytes.
    pub fn new(budget: u64, bytes_of: impl Fn(&K, &V) -> usize + Send + Sync + 'static) -> Self {
        let values = moka::sync::Cache::builder()
            .max_capacity(budget)
            // More than 4 GB is more than any budget.
            .weigher(move |key, value: &Arc<V>| u32::try_from(bytes_of(key, value)).unwrap_or(u32::MAX))
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { values }
    }

    /// Bytes of what is kept.
    pub fn bytes(&self) -> u64 {
        self.values.run_pending_tasks();
        self.values.weighted_size()
    }

    /// Keeps nothing of what was kept; whoever uses a value has it until then.
    pub fn clear(&self) {
        self.values.invalidate_all();
        self.values.run_pending_tasks();
    }

    /// The value of `key`, made when it is not there and nobody else is making it.
    ///
    /// # Errors
    /// Those of `make`, which are not kept; whoever waited for another's making that failed makes it for itself.
    pub fn get_or_make(&self, key: &K, make: impl Fn() -> Result<V>) -> Result<Known<V>>
    where
        K: Clone,
    {
        loop {
            let (mut made, mut failure) = (false, None);
            let value = self.values.try_get_with(key.clone(), || {
                made = true;
                make().map(Arc::new).map_err(|error| failure = Some(error))
            });
            match (value, failure) {
                (Ok(value), _) => {
                    if made {
                        // The library drops what is over the budget in batches; entries are large, so now.
                        self.values.run_pending_tasks();
                    }
                    return Ok(Known { value, cached: !made });
                }
                (Err(_), Some(failure)) => return Err(failure),
                (Err(_), None) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_core::Error;
    use proptest::prelude::*;

    fn bytes(budget: u64) -> Cache<u32, Vec<u8>> {
        Cache::new(budget, |_, value: &Vec<u8>| value.len())
    }

    fn ask(cache: &Cache<u32, Vec<u8>>, key: u32, bytes: usize) -> bool {
        let known = cache.get_or_make(&key, || Ok(vec![key as u8; bytes])).unwrap();
        assert_eq!(known.value.first().copied(), (bytes > 0).then_some(key as u8));
        known.cached
    }

    #[test]
    fn the_value_that_was_not_asked_for_the_longest_goes_first() {
        let cache = bytes(30);
        assert!(!ask(&cache, 1, 10) && !ask(&cache, 2, 10) && !ask(&cache, 3, 10));
        assert!(ask(&cache, 1, 10));
        assert!(!ask(&cache, 4, 10), "takes the place of 2");
        assert!(ask(&cache, 1, 10) && ask(&cache, 3, 10) && ask(&cache, 4, 10));
        assert!(!ask(&cache, 2, 10));
    }

    #[test]
    fn what_is_larger_than_the_budget_is_not_kept_and_costs_nobody_else_a_place() {
        let cache = bytes(30);
        ask(&cache, 1, 10);
        assert!(!ask(&cache, 2, 31) && !ask(&cache, 2, 31));
        assert!(ask(&cache, 1, 10));
    }

    #[test]
    fn a_failure_is_not_kept() {
        let cache = bytes(30);
        assert!(cache.get_or_make(&1, || Err(Error::Cancelled)).is_err());
        assert!(!ask(&cache, 1, 1));
    }

    #[test]
    fn what_several_ask_for_at_once_is_made_once_and_a_failure_is_the_makers_own() {
        let cache = bytes(100);
        let (started, made) = (std::sync::Barrier::new(4), std::sync::atomic::AtomicU32::new(0));
        let outcomes: Vec<bool> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        started.wait();
                        let make = || match made.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                            0 => Err(Error::Cancelled),
                            _ => Ok(vec![7_u8; 10]),
                        };
                        cache.get_or_make(&7, make).is_ok()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(outcomes.iter().filter(|ok| **ok).count(), 3, "one was the maker that failed");
        assert_eq!(made.into_inner(), 2, "and one made it for all others");
    }

    #[test]
    fn threads_see_whole_values() {
        let cache = bytes(100);
        std::thread::scope(|scope| {
            for thread in 0..4_u32 {
                let cache = &cache;
                scope.spawn(move || {
                    for round in 0..500 {
                        ask(cache, (round * 7 + thread) % 13, 10);
                    }
                });
            }
        });
        assert!(cache.values.weighted_size() <= 100);
    }

    proptest! {
        #[test]
        fn the_budget_is_kept(requests in proptest::collection::vec((0_u32..8, 1_usize..40), 0..100)) {
            let cache = bytes(64);
            for (key, bytes_wanted) in requests {
                let _ = cache.get_or_make(&key, || Ok(vec![0_u8; bytes_wanted])).unwrap();
                prop_assert!(cache.values.weighted_size() <= 64);
                let held: usize = cache.values.iter().map(|(_, value)| value.len()).sum();
                prop_assert_eq!(cache.values.weighted_size(), held as u64);
            }
        }
    }
}
