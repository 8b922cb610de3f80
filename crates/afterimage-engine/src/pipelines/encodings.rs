//! Encoded prompts and pictures of earlier requests: people try seeds and settings on one picture, and a full-size T5
//! and SigLIP cost seconds each.

use afterimage_core::{Picture, Result};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of either kind that are kept: three prompts or two pictures of full-size FLUX.1 (512 and 729 tokens of 4096
/// numbers).
const BUDGET: usize = 32 << 20;

/// What one engine remembers.
pub(super) struct Encodings {
    /// Prompt to T5 tokens and pooled CLIP vector.
    pub texts: Cache<Of<String>, super::context::Text>,
    /// Picture to Redux tokens.
    pub pictures: Cache<Of<PictureKey>, Vec<f32>>,
}

impl Default for Encodings {
    fn default() -> Self {
        Self { texts: Cache::new(BUDGET), pictures: Cache::new(BUDGET) }
    }
}

/// What a tenant's request asks for. Part of every key, since a hit saves seconds and the answer says so: shared between
/// tenants, the cache would tell each what the others make their pictures of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Of<K> {
    tenant: Arc<str>,
    what: K,
}

impl<K> Of<K> {
    pub fn new(tenant: &str, what: K) -> Self {
        Self { tenant: tenant.into(), what }
    }
}

/// A picture as its Redux tokens know it: size, pixels, and how far the grid is averaged. Pixels are compared by their
/// SHA-256, since a tenant's pictures may come from strangers and nobody must be able to make two collide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PictureKey {
    width: u32,
    height: u32,
    digest: [u8; 32],
    downsample_factor: u64,
}

impl PictureKey {
    pub fn new(picture: &Picture, downsample_factor: f64) -> Self {
        Self {
            width: picture.width(),
            height: picture.height(),
            digest: Sha256::digest(picture.rgb()).into(),
            downsample_factor: downsample_factor.to_bits(),
        }
    }
}

/// A value, and whether it was there already.
pub(super) struct Known<V> {
    pub value: Arc<V>,
    pub cached: bool,
}

/// Values within a budget of bytes; those that nobody asked for the longest go first.
pub(super) struct Cache<K, V> {
    budget: usize,
    entries: Mutex<Entries<K, V>>,
}

struct Entries<K, V> {
    by_key: HashMap<K, Entry<V>>,
    bytes: usize,
    uses: u64,
}

struct Entry<V> {
    value: Arc<V>,
    bytes: usize,
    last_use: u64,
}

impl<K: Clone + Eq + Hash, V> Cache<K, V> {
    pub fn new(budget: usize) -> Self {
        Self { budget, entries: Mutex::new(Entries { by_key: HashMap::new(), bytes: 0, uses: 0 }) }
    }

    /// The value of `key`, made when it is not there. Nothing is locked meanwhile, so two callers may both make it.
    pub fn get_or_make(
        &self,
        key: K,
        bytes_of: impl FnOnce(&V) -> usize,
        make: impl FnOnce() -> Result<V>,
    ) -> Result<Known<V>> {
        if let Some(value) = self.lock().get(&key) {
            return Ok(Known { value, cached: true });
        }
        let value = Arc::new(make()?);
        let bytes = bytes_of(&value);
        if bytes <= self.budget {
            self.lock().insert(key, Arc::clone(&value), bytes, self.budget);
        }
        Ok(Known { value, cached: false })
    }

    fn lock(&self) -> MutexGuard<'_, Entries<K, V>> {
        // Every change is complete before the next call that could panic.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash, V> Entries<K, V> {
    fn get(&mut self, key: &K) -> Option<Arc<V>> {
        self.uses += 1;
        let entry = self.by_key.get_mut(key)?;
        entry.last_use = self.uses;
        Some(Arc::clone(&entry.value))
    }

    fn insert(&mut self, key: K, value: Arc<V>, bytes: usize, budget: usize) {
        self.remove(&key);
        while self.bytes + bytes > budget {
            // A scan: full-size entries are a handful, and small ones are made far more slowly than they are scanned.
            let oldest = self.by_key.iter().min_by_key(|(_, entry)| entry.last_use).map(|(key, _)| key.clone());
            let Some(oldest) = oldest else { break };
            self.remove(&oldest);
        }
        self.uses += 1;
        self.bytes += bytes;
        self.by_key.insert(key, Entry { value, bytes, last_use: self.uses });
    }

    fn remove(&mut self, key: &K) {
        if let Some(entry) = self.by_key.remove(key) {
            self.bytes -= entry.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_core::Error;
    use proptest::prelude::*;

    fn picture(width: u32, height: u32, fill: u8) -> Picture {
        Picture::from_rgb(width, height, vec![fill; (width * height * 3) as usize]).unwrap()
    }

    fn ask(cache: &Cache<u32, Vec<u8>>, key: u32, bytes: usize) -> bool {
        let known = cache.get_or_make(key, Vec::len, || Ok(vec![key as u8; bytes])).unwrap();
        assert_eq!(known.value.first().copied(), (bytes > 0).then_some(key as u8));
        known.cached
    }

    #[test]
    fn the_value_that_was_not_asked_for_the_longest_goes_first() {
        let cache = Cache::new(30);
        assert!(!ask(&cache, 1, 10) && !ask(&cache, 2, 10) && !ask(&cache, 3, 10));
        assert!(ask(&cache, 1, 10));
        assert!(!ask(&cache, 4, 10), "takes the place of 2");
        assert!(ask(&cache, 1, 10) && ask(&cache, 3, 10) && ask(&cache, 4, 10));
        assert!(!ask(&cache, 2, 10));
    }

    #[test]
    fn what_is_larger_than_the_budget_is_not_kept_and_costs_nobody_else_a_place() {
        let cache = Cache::new(30);
        ask(&cache, 1, 10);
        assert!(!ask(&cache, 2, 31) && !ask(&cache, 2, 31));
        assert!(ask(&cache, 1, 10));
    }

    #[test]
    fn a_failure_is_not_kept() {
        let cache: Cache<u32, Vec<u8>> = Cache::new(30);
        assert!(cache.get_or_make(1, Vec::len, || Err(Error::Cancelled)).is_err());
        assert!(!ask(&cache, 1, 1));
    }

    #[test]
    fn pictures_with_equal_bytes_in_another_shape_or_on_another_grid_are_others() {
        let key = PictureKey::new(&picture(4, 2, 7), 1.0);
        assert_eq!(key, PictureKey::new(&picture(4, 2, 7), 1.0));
        assert_ne!(key, PictureKey::new(&picture(2, 4, 7), 1.0));
        assert_ne!(key, PictureKey::new(&picture(4, 2, 8), 1.0));
        assert_ne!(key, PictureKey::new(&picture(4, 2, 7), 3.0));
    }

    #[test]
    fn threads_see_whole_values() {
        let cache = Cache::new(100);
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
        assert!(cache.lock().bytes <= 100);
    }

    proptest! {
        #[test]
        fn the_budget_is_kept(requests in proptest::collection::vec((0_u32..8, 1_usize..40), 0..100)) {
            let cache = Cache::new(64);
            for (key, bytes) in requests {
                let _ = cache.get_or_make(key, Vec::len, || Ok(vec![0_u8; bytes])).unwrap();
                let entries = cache.lock();
                prop_assert!(entries.bytes <= 64);
                prop_assert_eq!(entries.bytes, entries.by_key.values().map(|entry| entry.value.len()).sum::<usize>());
            }
        }
    }
}
