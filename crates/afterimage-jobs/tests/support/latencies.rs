//! How long operations took, by name.

#![allow(dead_code, reason = "not every program that has this module uses all of it")]

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long operations took. Whoever measures shares it.
#[derive(Debug, Default)]
pub struct Latencies(Mutex<BTreeMap<&'static str, Vec<Duration>>>);

impl Latencies {
    /// Notes one.
    pub fn note(&self, name: &'static str, took: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default().push(took);
    }

    /// Those that were noted so far, and forgets them.
    pub fn take(&self) -> BTreeMap<&'static str, Quantiles> {
        let noted = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        noted.into_iter().map(|(name, all)| (name, Quantiles::of(all))).collect()
    }
}

/// What many durations come to, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Quantiles {
    pub count: usize,
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

impl Quantiles {
    fn of(mut all: Vec<Duration>) -> Self {
        all.sort();
        let at = |share: f64| {
            let index = (all.len().saturating_sub(1) as f64 * share).round() as usize;
            all.get(index).map_or(0.0, |took| took.as_secs_f64() * 1e3)
        };
        Self { count: all.len(), p50: at(0.5), p99: at(0.99), max: at(1.0) }
    }
}

impl std::fmt::Display for Quantiles {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "p50 {:.1} p99 {:.1} max {:.1} ms ({})", self.p50, self.p99, self.max, self.count)
    }
}
