//! OpenAI's images routes as DeepInfra serves them, and DeepInfra's native form of the same model. All synchronous.

mod error;
mod form;
mod headers;
mod images;
pub(crate) mod models;
mod native;
mod output;
mod pictures;
mod routes;
mod run;
mod stream;
mod webhook;

pub use error::{ErrorBody, NativeErrorBody, NativeShape, Shape};
pub use models::{MODEL, form_parameters, native_parameters};
pub use output::{Images, NativeResult};
pub use routes::router;
pub use stream::StreamEvent;
pub use webhook::WebhookRenderer;

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
