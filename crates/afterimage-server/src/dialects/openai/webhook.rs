//! Webhooks of the native route: what it would have returned, unsigned, as the service documents none.

use super::output::NativeResult;
use crate::files::ResultFiles;
use crate::webhooks::{Message, Render, RenderError};
use afterimage_jobs::{Delivery, Job, Timestamp};
use async_trait::async_trait;
use axum::http::HeaderMap;

/// Renders this dialect's webhooks, with pictures read from their files.
pub struct WebhookRenderer(pub ResultFiles);

#[async_trait]
impl Render for WebhookRenderer {
    async fn render(&self, job: &Job, _: &Delivery, _: Timestamp) -> Result<Message, RenderError> {
        let result = NativeResult::of(&self.0, job).await.map_err(|refusal| RenderError(refusal.to_string()))?;
        let body = serde_json::to_vec(&result).map_err(|error| RenderError(error.to_string()))?;
        Ok(Message { body: body.into(), headers: HeaderMap::new() })
    }
}
