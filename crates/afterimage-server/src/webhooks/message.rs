//! What a webhook says, which is its dialect's business.

use super::schedule::Schedule;
use afterimage_jobs::{Delivery, Job, Timestamp};
use async_trait::async_trait;
use axum::http::HeaderMap;
use bytes::Bytes;

/// A webhook to send. The content type is `application/json` unless a header says otherwise.
#[derive(Clone, Debug)]
pub struct Message {
    /// The exact bytes that were signed.
    pub body: Bytes,
    /// The dialect's own headers, signature included.
    pub headers: HeaderMap,
}

/// Why a message could not be made. The attempt counts as failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the webhook could not be rendered: {0}")]
pub struct RenderError(pub String);

/// A dialect's webhooks.
#[async_trait]
pub trait Render: Send + Sync + 'static {
    /// The message about the end of `job`. Asked anew for every attempt, since signatures cover `sent_at`, the time of
    /// the attempt; [`Delivery::id`] stays the same.
    ///
    /// # Errors
    /// [`RenderError`] when it cannot be made now.
    async fn render(&self, job: &Job, delivery: &Delivery, sent_at: Timestamp) -> Result<Message, RenderError>;

    /// How often and how long to try.
    fn schedule(&self) -> Schedule {
        Schedule::default()
    }
}
