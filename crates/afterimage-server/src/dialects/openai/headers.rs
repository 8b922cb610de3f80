//! Headers of every answer of this dialect.

use super::error::SHOULD_RETRY;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const PROCESSING: HeaderName = HeaderName::from_static("openai-processing-ms");
const VERSION: HeaderName = HeaderName::from_static("openai-version");
const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit-requests");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining-requests");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset-requests");

/// Requests at once that the headers call the limit, as the service documents it for a model. It is advice to clients
/// that pace themselves: what comes beyond it waits in the queue and is not refused.
const AT_ONCE: u64 = 200;

/// Requests of this dialect that are being answered.
#[derive(Debug, Default)]
pub struct Traffic(AtomicU64);

/// One of them; also ends when its client hangs up.
struct UnderWay<'a>(&'a Traffic);

impl<'a> UnderWay<'a> {
    fn start(traffic: &'a Traffic) -> Self {
        traffic.0.fetch_add(1, Ordering::Relaxed);
        Self(traffic)
    }

    /// How many more requests there may be at once.
    fn remaining(&self) -> u64 {
        AT_ONCE.saturating_sub(self.0.0.load(Ordering::Relaxed))
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Adds the headers.
pub async fn add(State(traffic): State<Arc<Traffic>>, request: Request, next: Next) -> Response {
    let under_way = UnderWay::start(&traffic);
    let start = Instant::now();
    let mut response = next.run(request).await;
    let is_error = !response.status().is_success();
    let remaining = under_way.remaining();
    let headers = response.headers_mut();
    headers.insert(PROCESSING, HeaderValue::from(start.elapsed().as_millis() as u64));
    headers.insert(VERSION, HeaderValue::from_static("2020-10-01"));
    headers.insert(LIMIT, HeaderValue::from(AT_ONCE));
    headers.insert(REMAINING, HeaderValue::from(remaining));
    // There is no window: a place is free as soon as another request is answered.
    headers.insert(RESET, HeaderValue::from_static(if remaining > 0 { "0s" } else { "1s" }));
    if is_error && !headers.contains_key(SHOULD_RETRY) {
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_remains_follows_the_requests_under_way() {
        let traffic = Traffic::default();
        let first = UnderWay::start(&traffic);
        assert_eq!(first.remaining(), AT_ONCE - 1);
        let others: Vec<UnderWay<'_>> = (0..2 * AT_ONCE).map(|_| UnderWay::start(&traffic)).collect();
        assert_eq!(first.remaining(), 0);
        drop(others);
        assert_eq!(first.remaining(), AT_ONCE - 1);
    }
}
