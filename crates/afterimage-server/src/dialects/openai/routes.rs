//! The dialect's routes: those of OpenAI under two addresses, and DeepInfra's native one.

use super::error::{NativeShape, Shape};
use super::headers::{self, Traffic};
use super::{Base, images, models, native};
use crate::auth::Auth;
use crate::dialects::DialectParts;
use crate::error_shape::{ErrorShape, behind_key_with, enclosed};
use axum::routing::{get, post};
use axum::{Extension, Router, middleware};
use std::sync::Arc;

/// Routes under `/v1`.
pub fn router(parts: DialectParts) -> Router {
    let forms = Router::new().merge(forms(Base::OpenAi)).nest("/openai", forms(Base::DeepInfra));
    let native = Router::new().route("/{*model}", post(native::infer));
    let traffic = Arc::<Traffic>::default();
    gated::<Shape>(&parts.auth, &traffic, forms)
        .nest("/inference", gated::<NativeShape>(&parts.auth, &traffic, native))
        .layer(middleware::from_fn(headers::add))
        .with_state(parts)
}

/// `routes` for those who have a key, in the shape of `S`, with headers about the key's own requests.
fn gated<S: ErrorShape>(auth: &Auth, traffic: &Arc<Traffic>, routes: Router<DialectParts>) -> Router<DialectParts> {
    let limits = middleware::from_fn_with_state(Arc::clone(traffic), headers::add_limits);
    enclosed::<S, _>(behind_key_with::<S, _, _>(auth, routes, limits))
}

fn forms(base: Base) -> Router<DialectParts> {
    Router::new()
        .route("/images/variations", post(images::variations))
        .route("/images/edits", post(images::edits))
        .route("/models", get(models::list))
        .route("/models/{*id}", get(models::one))
        .layer(Extension(base))
}
