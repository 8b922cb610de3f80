//! Webhooks of this dialect: the bare prediction, signed by the key's secret.

use super::prediction::{Envelope, Prediction};
use crate::files::{FileLinks, Signer};
use crate::webhooks::{Message, Render, RenderError, Schedule, signature};
use afterimage_jobs::{ApiKey, Delivery, Job, KeyId, Timestamp};
use async_trait::async_trait;
use axum::Json;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// The secret that signs a key's webhooks.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookSecret {
    secret: String,
}

/// The secret that signs this key's webhooks
#[utoipa::path(get, path = "/api/v3/webhook/secret", tag = "wavespeed", responses((status = 200, description = "The secret", body = Envelope<WebhookSecret>)))]
pub async fn secret(
    State(links): State<FileLinks>,
    Extension(key): Extension<ApiKey>,
) -> Json<Envelope<WebhookSecret>> {
    Json(Envelope::success(WebhookSecret { secret: secret_of(links.signer(), &key.id) }))
}

/// The secret of `key`: derived, so that it needs no storing and is the same on all servers of one database.
fn secret_of(signer: &Signer, key: &KeyId) -> String {
    format!("{}{}", signature::SECRET_PREFIX, signer.derive(&format!("wavespeed-webhook/{key}")))
}

/// Renders this dialect's webhooks, with results addressed by the links.
#[derive(Debug)]
pub struct WebhookRenderer(pub FileLinks);

#[async_trait]
impl Render for WebhookRenderer {
    async fn render(&self, job: &Job, delivery: &Delivery, sent_at: Timestamp) -> Result<Message, RenderError> {
        let prediction = Prediction::new(job, &job.spec.public_url, &self.0);
        let body = serde_json::to_vec(&prediction).map_err(|error| RenderError(error.to_string()))?;
        let id = format!("{}-{}", job.id, delivery.id);
        let timestamp = sent_at.unix_seconds();
        let signed = signature::sign_v3(&secret_of(self.0.signer(), &job.key), &id, timestamp, &body);
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("webhook-id", id), ("webhook-timestamp", timestamp.to_string()), ("webhook-signature", signed)]
        {
            let value = HeaderValue::from_str(&value).map_err(|error| RenderError(error.to_string()))?;
            headers.insert(name, value);
        }
        Ok(Message { body: body.into(), headers })
    }

    /// Up to three repetitions. The service lets receivers take twenty minutes; half a minute is patient enough here,
    /// where one that hangs holds one of four connections to its host.
    fn schedule(&self) -> Schedule {
        Schedule { attempts: 4, response_limit: Duration::from_secs(30), ..Schedule::default() }
    }
}
