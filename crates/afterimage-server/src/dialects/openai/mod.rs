//! OpenAI's images routes as DeepInfra serves them, and DeepInfra's native form of the same model. All synchronous.

mod error;
mod form;
mod headers;
mod images;
pub(crate) mod models;
mod native;
mod output;
mod run;
mod webhook;

pub use error::{ErrorBody, NativeErrorBody, respond, respond_native};
pub use models::{MODEL, form_parameters, native_parameters};
pub use output::{Images, NativeResult};
pub use webhook::WebhookRenderer;

use crate::app::App;
use crate::auth::{Gate, require_key};
use crate::http::body::drain;
use crate::refusal::Refusal;
use axum::extract::{DefaultBodyLimit, Request};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router, middleware};
use std::sync::Arc;

/// The dialect's name in the store.
pub const DIALECT: &str = "openai";

/// Whose address the client was given; the two differ in what absence of `response_format` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// `/v1/openai`
    DeepInfra,
    /// `/v1`
    OpenAi,
}

impl Base {
    /// The path that its routes start with.
    pub const fn path(self) -> &'static str {
        match self {
            Self::DeepInfra => "/v1/openai",
            Self::OpenAi => "/v1",
        }
    }

    /// What absence of `response_format` means.
    pub const fn response_format(self) -> &'static str {
        match self {
            Self::DeepInfra => "b64_json",
            Self::OpenAi => "url",
        }
    }
}

/// Routes under `/v1`.
pub fn router(app: &Arc<App>) -> Router {
    let gate = |render| Gate { app: Arc::clone(app), render };
    let forms = Router::new()
        .merge(forms(Base::OpenAi))
        .nest("/openai", forms(Base::DeepInfra))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(gate(respond), require_key));
    let native = Router::new()
        .route("/inference/{*model}", post(native::infer))
        .method_not_allowed_fallback(wrong_native_method)
        .layer(middleware::from_fn_with_state(gate(respond_native), require_key));
    forms
        .merge(native)
        .layer(middleware::from_fn_with_state(Arc::<headers::Traffic>::default(), headers::add))
        // Handlers read bodies themselves, within limits of their own.
        .layer(DefaultBodyLimit::disable())
        .with_state(Arc::clone(app))
}

fn forms(base: Base) -> Router<Arc<App>> {
    Router::new()
        .route("/images/variations", post(images::variations))
        .route("/images/edits", post(images::edits))
        .route("/models", get(models::list))
        .route("/models/{*id}", get(models::one))
        .layer(Extension(base))
}

/// The body is read first: the SDKs report a broken connection when they cannot send theirs to its end.
async fn unknown_path(request: Request) -> Response {
    let (head, body) = request.into_parts();
    drain(&head.headers, body).await;
    respond(&Refusal::NotFound("no such path".to_owned()))
}

async fn wrong_method(request: Request) -> Response {
    let (head, body) = request.into_parts();
    drain(&head.headers, body).await;
    respond(&Refusal::MethodNotAllowed)
}

async fn wrong_native_method(request: Request) -> Response {
    let (head, body) = request.into_parts();
    drain(&head.headers, body).await;
    respond_native(&Refusal::MethodNotAllowed)
}
