//! Slows down those who guess keys, and spares the store the look-up of keys it found a moment ago.

use crate::network::counted_address;
use crate::shares::{Share, Shares};
use afterimage_jobs::ApiKey;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Wrong keys that one address may send within [`WINDOW`].
const WRONG_KEYS: u32 = 30;

const WINDOW: Duration = Duration::from_mins(1);

/// Addresses remembered at once; beyond it the oldest is forgotten.
const ADDRESSES: usize = 10_000;

/// Keys that are looked up at once, in all and for one address. So much of the store is all that guesses can take, and
/// nobody is refused for what others at the same address send: a look-up takes a fraction of a millisecond.
const LOOKUPS: (u64, u64) = (8, 2);

/// Counts wrong keys per address, and gives turns to look keys up.
#[derive(Debug)]
pub struct GuessGuard {
    counts: Mutex<GuessCounts>,
    lookups: Shares<IpAddr>,
}

/// Wrong keys by address. Not in moka's cache, as [`KnownKeys`] are: there a time to live begins anew with every write,
/// while a window begins with the first wrong key; what is too much is dropped in batches, by last use; and it has no
/// clock that the test below could set.
#[derive(Debug, Default)]
struct GuessCounts {
    of: HashMap<IpAddr, u32>,
    /// The addresses of `of` by the start of their window, oldest first.
    since: VecDeque<(Instant, IpAddr)>,
}

impl GuessCounts {
    fn forget_oldest(&mut self) {
        if let Some((_, address)) = self.since.pop_front() {
            self.of.remove(&address);
        }
    }

    fn forget_ended(&mut self, now: Instant) {
        while self.since.front().is_some_and(|(since, _)| now.duration_since(*since) >= WINDOW) {
            self.forget_oldest();
        }
    }

    fn record(&mut self, address: IpAddr, now: Instant) {
        self.forget_ended(now);
        if let Some(count) = self.of.get_mut(&address) {
            *count = count.saturating_add(1);
            return;
        }
        if self.of.len() >= ADDRESSES {
            self.forget_oldest();
        }
        self.of.insert(address, 1);
        self.since.push_back((now, address));
    }
}

impl Default for GuessGuard {
    fn default() -> Self {
        Self { counts: Mutex::default(), lookups: Shares::new(LOOKUPS.0, LOOKUPS.1) }
    }
}

impl GuessGuard {
    /// Notes a wrong key from `address`; whether it sent too many of late.
    pub fn is_too_much(&self, address: IpAddr) -> bool {
        let address = counted_address(address);
        let now = Instant::now();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.forget_ended(now);
        if counts.of.get(&address).is_some_and(|count| *count >= WRONG_KEYS) {
            return true;
        }
        counts.record(address, now);
        false
    }

    /// A turn to look up a key that `address` sent.
    pub async fn turn(&self, address: IpAddr) -> Share<IpAddr> {
        self.lookups.acquire(&counted_address(address), 1).await
    }
}

/// How long a key that was found is trusted without asking the store: the time until a revocation takes effect.
const TRUST: Duration = Duration::from_secs(2);

/// How long a key counts as one in use, which does not wait for the look-ups of others.
const IN_USE: Duration = Duration::from_mins(10);

/// Keys that are remembered.
const REMEMBERED_KEYS: u64 = 1_000;

/// Keys found a moment ago, by the hash of their secret; those that nobody sent for the longest go first.
#[derive(Debug)]
pub struct KnownKeys {
    keys: Cache<[u8; 32], (Instant, ApiKey)>,
}

impl Default for KnownKeys {
    fn default() -> Self {
        let keys = Cache::builder()
            .max_capacity(REMEMBERED_KEYS)
            .time_to_live(IN_USE)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { keys }
    }
}

impl KnownKeys {
    /// The key of `secret`, if it was found within the last seconds. The map is searched by a hash of the secret, which
    /// tells nothing about it through timing.
    pub fn get(&self, secret: &str) -> Option<ApiKey> {
        let (found, key) = self.keys.get(&digest(secret))?;
        (found.elapsed() < TRUST).then_some(key)
    }

    /// Whether `secret` was a known key within the last minutes.
    pub fn is_in_use(&self, secret: &str) -> bool {
        self.keys.contains_key(&digest(secret))
    }

    /// Notes that `secret` is that of `key`.
    pub fn remember(&self, secret: &str, key: &ApiKey) {
        self.keys.insert(digest(secret), (Instant::now(), key.clone()));
    }

    /// Notes that `secret` is no key (any more).
    pub fn forget(&self, secret: &str) {
        self.keys.invalidate(&digest(secret));
    }
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_jobs::{KeyRole, Timestamp};

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_slowed_after_too_many_wrong_keys_and_others_are_not() {
        let guard = GuessGuard::default();
        for _ in 0..WRONG_KEYS {
            assert!(!guard.is_too_much(address("10.0.0.1")));
        }
        for _ in 0..100 {
            assert!(guard.is_too_much(address("10.0.0.1")));
        }
        assert!(!guard.is_too_much(address("10.0.0.2")));
    }

    #[test]
    fn a_household_of_ipv6_counts_as_one() {
        let guard = GuessGuard::default();
        for host in 0..WRONG_KEYS {
            assert!(!guard.is_too_much(address(&format!("2600::{host:x}"))));
        }
        assert!(guard.is_too_much(address("2600::ffff:1")));
        assert!(!guard.is_too_much(address("2600:0:0:1::1")));
    }

    #[test]
    fn windows_end_and_the_oldest_is_forgotten_first() {
        let (mut counts, start) = (GuessCounts::default(), Instant::now());
        let of = |number: usize| IpAddr::from((number as u32).to_be_bytes());
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        for number in 0..ADDRESSES {
            counts.record(of(number), start);
        }
        counts.record(of(1), after(1));
        counts.record(of(ADDRESSES), after(2));
        assert_eq!((counts.of.len(), counts.of.get(&of(0)), counts.of.get(&of(1))), (ADDRESSES, None, Some(&2)));
        counts.forget_ended(after(60));
        assert_eq!((counts.of.len(), counts.of.get(&of(ADDRESSES))), (1, Some(&1)));
        counts.forget_ended(after(62));
        assert!(counts.of.is_empty() && counts.since.is_empty());
    }

    #[test]
    fn keys_are_known_until_they_are_forgotten_and_only_so_many() {
        let known = KnownKeys::default();
        let key = |id: &str| ApiKey {
            id: id.into(),
            name: String::new(),
            concurrency: None,
            role: KeyRole::User,
            created_at: Timestamp(0),
            revoked_at: None,
        };
        known.remember("first", &key("1"));
        assert_eq!(known.get("first"), Some(key("1")));
        known.forget("first");
        assert!(known.get("first").is_none() && !known.is_in_use("first"));
        for number in 0..REMEMBERED_KEYS + 10 {
            known.remember(&format!("secret {number}"), &key(&number.to_string()));
        }
        known.keys.run_pending_tasks();
        assert_eq!(known.keys.entry_count(), REMEMBERED_KEYS);
        assert!(!known.is_in_use("secret 0") && known.is_in_use("secret 1009"), "the oldest goes first");
    }

    #[tokio::test]
    async fn guesses_of_one_address_leave_turns_for_others() {
        let guard = GuessGuard::default();
        let _turns = [guard.turn(address("10.0.0.1")).await, guard.turn(address("10.0.0.1")).await];
        assert!(guard.lookups.try_acquire(&address("10.0.0.1"), 1).is_none());
        guard.turn(address("10.0.0.2")).await;
    }
}
