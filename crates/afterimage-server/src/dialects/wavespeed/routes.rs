//! The dialect's routes.

use super::error::Shape;
use super::{account, events, predictions, submit, uploads, webhook};
use crate::dialects::DialectParts;
use crate::error_shape::{behind_key, enclosed};
use axum::Router;
use axum::routing::{get, post};

/// Routes under `/api/v3`, also served under `/api/v2` for the uploads of old clients.
pub fn router(parts: DialectParts) -> Router {
    let routes = Router::new()
        .route("/predictions", post(predictions::list))
        .route("/predictions/delete", post(predictions::delete))
        .route("/predictions/{id}", get(predictions::result))
        .route("/predictions/{id}/result", get(predictions::result))
        .route("/predictions/{id}/events", get(events::events))
        .route("/predictions/{id}/cancel", post(events::cancel_task))
        .route("/models", get(account::models))
        .route("/model/pricing", post(account::pricing))
        .route("/model/price", post(account::price))
        .route("/balance", get(account::balance))
        .route("/account/balance", get(account::balance))
        .route("/media/upload/binary", post(uploads::binary))
        .route("/media/uploads", post(uploads::ticket))
        .route("/webhook/secret", get(webhook::secret))
        .route("/{*model}", post(submit::submit_task));
    enclosed::<Shape, _>(behind_key::<Shape, _>(&parts.auth, routes)).with_state(parts)
}
