//! Routes for files, tokens and webhook keys.

use super::cdn::{self, require_key_or_token};
use super::error::Shape;
use super::token::TokenGate;
use super::{call_token, uploads, webhook};
use crate::auth::require_key;
use crate::dialects::DialectParts;
use crate::error_shape::{ErrorShape, enclosed};
use crate::refusal::Refusal;
use axum::routing::{get, post};
use axum::{Router, middleware};

/// The routes that the service has under addresses of their own; here they share one.
pub fn router(parts: &DialectParts) -> Router {
    let gate = TokenGate::new(parts);
    let by_key = Router::new()
        .route("/storage/upload/initiate", post(uploads::initiate))
        .route("/storage/upload/initiate-multipart", post(uploads::initiate_parts))
        .route("/storage/auth/token", post(cdn::token))
        // Clients write a slash at the end, which does not come this far.
        .route("/tokens", post(call_token::token))
        .route_layer(middleware::from_fn_with_state(gate.gate.clone(), require_key));
    let by_token = Router::new()
        .route("/files/upload", post(cdn::upload))
        .route("/files/upload/multipart", post(cdn::upload_parts))
        .route_layer(middleware::from_fn_with_state(gate, require_key_or_token));
    let routes = Router::new()
        // Receivers of webhooks have no key.
        .route("/.well-known/jwks.json", get(webhook::keys))
        .merge(by_key)
        .merge(by_token)
        .method_not_allowed_fallback(|| async { Shape::respond(&Refusal::MethodNotAllowed) });
    enclosed::<Shape, _>(routes).with_state(parts.clone())
}
