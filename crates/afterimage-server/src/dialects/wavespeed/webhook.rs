//! Webhooks of this dialect: the bare prediction, signed by the key's secret.

use super::prediction::Envelope;
use crate::app::App;
use crate::files::Signer;
use afterimage_jobs::{ApiKey, KeyId};
use axum::Json;
use axum::extract::{Extension, State};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// The secret that signs a key's webhooks.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookSecret {
    secret: String,
}

/// The secret that signs this key's webhooks
#[utoipa::path(get, path = "/api/v3/webhook/secret", tag = "wavespeed", responses((status = 200, description = "The secret", body = Envelope<WebhookSecret>)))]
pub async fn secret(State(app): State<Arc<App>>, Extension(key): Extension<ApiKey>) -> Json<Envelope<WebhookSecret>> {
    Json(Envelope::success(WebhookSecret { secret: secret_of(app.links.signer(), &key.id) }))
}

/// The secret of `key`: derived, so that it needs no storing and is the same on all servers of one database.
fn secret_of(signer: &Signer, key: &KeyId) -> String {
    format!("whsec_{}", signer.derive(&format!("wavespeed-webhook/{key}")))
}
