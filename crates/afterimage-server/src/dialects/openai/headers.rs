//! Headers of every answer of this dialect.

use super::error::SHOULD_RETRY;
use afterimage_jobs::{ApiKey, KeyId};
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

const PROCESSING: HeaderName = HeaderName::from_static("openai-processing-ms");
const VERSION: HeaderName = HeaderName::from_static("openai-version");
const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit-requests");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining-requests");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset-requests");

/// Requests of a key at once that the headers call the limit, as the service documents it for a model. It is advice to clients
/// that pace themselves: what comes beyond it waits in the queue and is not refused.
const AT_ONCE: u64 = 200;

/// Requests of this dialect that are being answered, by key; keys without any are left out.
#[derive(Debug, Default)]
pub struct Traffic(Mutex<HashMap<KeyId, u64>>);

impl Traffic {
    fn counts(&self) -> MutexGuard<'_, HashMap<KeyId, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of them; also ends when its client hangs up.
struct UnderWay<'a> {
    traffic: &'a Traffic,
    key: KeyId,
}

impl<'a> UnderWay<'a> {
    fn start(traffic: &'a Traffic, key: KeyId) -> Self {
        *traffic.counts().entry(key.clone()).or_default() += 1;
        Self { traffic, key }
    }

    /// How many more requests the key may have at once.
    fn remaining(&self) -> u64 {
        AT_ONCE.saturating_sub(self.traffic.counts().get(&self.key).copied().unwrap_or_default())
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut counts = self.traffic.counts();
        match counts.get_mut(&self.key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                counts.remove(&self.key);
            }
        }
    }
}

/// Adds what a key that was let in may know of its own requests. Nobody is told of those of others.
pub async fn add_limits(
    State(traffic): State<Arc<Traffic>>,
    Extension(key): Extension<ApiKey>,
    request: Request,
    next: Next,
) -> Response {
    let under_way = UnderWay::start(&traffic, key.id);
    let mut response = next.run(request).await;
    let remaining = under_way.remaining();
    let headers = response.headers_mut();
    headers.insert(LIMIT, HeaderValue::from(AT_ONCE));
    headers.insert(REMAINING, HeaderValue::from(remaining));
    // There is no window: a place is free as soon as another request is answered.
    headers.insert(RESET, HeaderValue::from_static(if remaining > 0 { "0s" } else { "1s" }));
    response
}

/// Adds what everybody gets.
pub async fn add(request: Request, next: Next) -> Response {
    let start = Instant::now();
    let mut response = next.run(request).await;
    let is_error = !response.status().is_success();
    let headers = response.headers_mut();
    headers.insert(PROCESSING, HeaderValue::from(start.elapsed().as_millis() as u64));
    headers.insert(VERSION, HeaderValue::from_static("2020-10-01"));
    if is_error && !headers.contains_key(SHOULD_RETRY) {
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_remains_follows_the_keys_own_requests() {
        let traffic = Traffic::default();
        let [one, other] = ["a", "b"].map(KeyId::from);
        let first = UnderWay::start(&traffic, one.clone());
        assert_eq!(first.remaining(), AT_ONCE - 1);
        let many: Vec<UnderWay<'_>> = (0..2 * AT_ONCE).map(|_| UnderWay::start(&traffic, one.clone())).collect();
        assert_eq!(first.remaining(), 0);
        assert_eq!(UnderWay::start(&traffic, other).remaining(), AT_ONCE - 1);
        drop(many);
        assert_eq!(first.remaining(), AT_ONCE - 1);
        drop(first);
        assert!(traffic.counts().is_empty());
    }
}
