//! Webhooks that wait to be sent. The row of a webhook is written by the transaction that ends its job.

use crate::{Fenced, JobId, Result, Timestamp};
use async_trait::async_trait;
use std::time::Duration;

/// One webhook to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Names the delivery; the same at every attempt, so receivers can tell repetitions.
    pub id: i64,
    /// The job that ended.
    pub job: JobId,
    /// Where to.
    pub url: String,
    /// Whose payload and signature to use.
    pub dialect: String,
    /// 1 for the first attempt; also the fencing token of this one.
    pub attempt: u32,
    /// When the job ended.
    pub created_at: Timestamp,
}

/// What to do after an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextTry {
    /// Try again after this time.
    After(Duration),
    /// Never.
    GiveUp,
}

/// The table of webhooks to send: each is delivered at least once or given up with a reason.
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// Takes at most `limit` deliveries that are due. Nobody else gets them until `lease` has passed; then they are
    /// due again unless [`Outbox::delivered`] or [`Outbox::delivery_failed`] was called.
    async fn due_deliveries(&self, limit: u32, lease: Duration) -> Result<Vec<Delivery>>;

    /// Notes success; [`Fenced::Lost`] when a later attempt has taken over.
    async fn delivered(&self, id: i64, attempt: u32) -> Result<Fenced>;

    /// Notes a failed attempt and what follows; [`Fenced::Lost`] when a later attempt has taken over.
    async fn delivery_failed(&self, id: i64, attempt: u32, next: NextTry, error: &str) -> Result<Fenced>;

    /// Deliveries that are neither done nor given up.
    async fn open_deliveries(&self) -> Result<u64>;
}
