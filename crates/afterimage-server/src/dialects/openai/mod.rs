//! OpenAI's images routes as DeepInfra serves them, and DeepInfra's native form of the same model. All synchronous.

mod error;
mod form;
mod headers;
mod images;
pub(crate) mod models;
mod native;
mod output;
mod pictures;
mod run;
mod stream;
mod webhook;

pub use error::{ErrorBody, NativeErrorBody, NativeShape, Shape};
pub use models::{MODEL, form_parameters, native_parameters};
pub use output::{Images, NativeResult};
pub use stream::StreamEvent;
pub use webhook::WebhookRenderer;

use crate::app::App;
use crate::error_shape::{ErrorShape, behind_key_with, enclosed};
use axum::routing::{get, post};
use axum::{Extension, Router, middleware};
use headers::Traffic;
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
    let forms = Router::new().merge(forms(Base::OpenAi)).nest("/openai", forms(Base::DeepInfra));
    let native = Router::new().route("/{*model}", post(native::infer));
    let traffic = Arc::<Traffic>::default();
    gated::<Shape>(app, &traffic, forms)
        .nest("/inference", gated::<NativeShape>(app, &traffic, native))
        .layer(middleware::from_fn(headers::add))
        .with_state(Arc::clone(app))
}

/// `routes` for those who have a key, in the shape of `S`, with headers about the key's own requests.
fn gated<S: ErrorShape>(app: &Arc<App>, traffic: &Arc<Traffic>, routes: Router<Arc<App>>) -> Router<Arc<App>> {
    let limits = middleware::from_fn_with_state(Arc::clone(traffic), headers::add_limits);
    enclosed::<S, _>(behind_key_with::<S, _, _>(app, routes, limits))
}

fn forms(base: Base) -> Router<Arc<App>> {
    Router::new()
        .route("/images/variations", post(images::variations))
        .route("/images/edits", post(images::edits))
        .route("/models", get(models::list))
        .route("/models/{*id}", get(models::one))
        .layer(Extension(base))
}
