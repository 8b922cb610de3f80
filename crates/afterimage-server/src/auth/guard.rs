//! Slows down those who guess keys, and spares the store the look-up of keys it found a moment ago.

use afterimage_jobs::ApiKey;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Wrong keys that one address may send within [`WINDOW`].
const WRONG_KEYS: u32 = 30;

const WINDOW: Duration = Duration::from_mins(1);

/// Addresses remembered at once; beyond it the oldest are forgotten.
const ADDRESSES: usize = 10_000;

/// Counts wrong keys per address.
#[derive(Debug, Default)]
pub struct GuessGuard {
    counts: Mutex<HashMap<IpAddr, (Instant, u32)>>,
}

impl GuessGuard {
    /// Whether `address` has sent too many wrong keys of late.
    pub fn is_blocked(&self, address: IpAddr) -> bool {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(&address).is_some_and(|(since, count)| since.elapsed() < WINDOW && *count >= WRONG_KEYS)
    }

    /// Notes a wrong key from `address`.
    pub fn record(&self, address: IpAddr) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= ADDRESSES {
            counts.retain(|_, (since, _)| since.elapsed() < WINDOW);
            if counts.len() >= ADDRESSES {
                counts.clear();
            }
        }
        let entry = counts.entry(address).or_insert((Instant::now(), 0));
        if entry.0.elapsed() >= WINDOW {
            *entry = (Instant::now(), 0);
        }
        entry.1 += 1;
    }
}

/// How long a key that was found is trusted without asking the store: the time until a revocation takes effect.
const TRUST: Duration = Duration::from_secs(2);

/// How long a key counts as one in use, which guesses from the same address do not lock out.
const IN_USE: Duration = Duration::from_mins(10);

const REMEMBERED_KEYS: usize = 1_000;

/// Keys found a moment ago, by the hash of their secret.
#[derive(Debug, Default)]
pub struct KnownKeys {
    keys: Mutex<HashMap<[u8; 32], (Instant, ApiKey)>>,
}

impl KnownKeys {
    /// The key of `secret`, if it was found within the last seconds. The map is searched by a hash of the secret, which
    /// tells nothing about it through timing.
    pub fn get(&self, secret: &str) -> Option<ApiKey> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let (found, key) = keys.get(&digest(secret))?;
        (found.elapsed() < TRUST).then(|| key.clone())
    }

    /// Whether `secret` was a known key within the last minutes.
    pub fn is_in_use(&self, secret: &str) -> bool {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.get(&digest(secret)).is_some_and(|(found, _)| found.elapsed() < IN_USE)
    }

    /// Notes that `secret` is that of `key`.
    pub fn remember(&self, secret: &str, key: &ApiKey) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= REMEMBERED_KEYS {
            keys.retain(|_, (found, _)| found.elapsed() < IN_USE);
        }
        if keys.len() < REMEMBERED_KEYS {
            keys.insert(digest(secret), (Instant::now(), key.clone()));
        }
    }
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_blocked_after_too_many_wrong_keys_and_others_are_not() {
        let guard = GuessGuard::default();
        let [guesser, other] = [IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])];
        for _ in 0..WRONG_KEYS {
            assert!(!guard.is_blocked(guesser));
            guard.record(guesser);
        }
        assert!(guard.is_blocked(guesser));
        assert!(!guard.is_blocked(other));
    }
}
