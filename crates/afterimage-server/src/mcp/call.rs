//! One call of a tool: who calls, with what, and how long that client waits.

use super::message::{HeldArguments, ToolArguments};
use super::progress::Teller;
use super::tools::WAIT_SECONDS;
use crate::dialects::DialectParts;
use crate::parameters::Values;
use crate::refusal::Refusal;
use afterimage_jobs::ApiKey;
use axum::http::request::Parts;
use std::time::Duration;
use tracing::Span;

/// The span of the request that a message came in, for whoever works on it elsewhere.
#[derive(Clone, Debug)]
pub struct RequestSpan(pub Span);

/// One call of a tool.
pub struct ToolCall<'a> {
    /// The server.
    pub parts: &'a DialectParts,
    /// Who calls.
    pub key: &'a ApiKey,
    /// Headers and address of the request.
    pub head: &'a Parts,
    /// What the tool is called with.
    pub arguments: ToolArguments,
    /// Who wants to hear how far it is.
    pub teller: Option<Teller>,
}

impl<'a> ToolCall<'a> {
    /// The call that came with `head`.
    ///
    /// # Errors
    /// [`Refusal::Internal`] for a request that did not come through this server's own route.
    pub fn new(parts: &'a DialectParts, head: &'a Parts, teller: Option<Teller>) -> Result<Self, Refusal> {
        let key = head.extensions.get::<ApiKey>().ok_or(Refusal::Internal)?;
        let arguments = head.extensions.get::<HeldArguments>().and_then(HeldArguments::take);
        Ok(Self { parts, key, head, arguments: arguments.ok_or(Refusal::Internal)?, teller })
    }

    /// What addresses in the answer start with.
    pub fn base(&self) -> String {
        self.parts.intake.public_url.for_request(&self.head.headers)
    }

    /// How long to wait by `values`: at most as long as any request may wait here.
    pub fn patience(&self, values: &Values) -> Duration {
        let seconds = values.integer(WAIT_SECONDS).and_then(|seconds| u64::try_from(seconds).ok());
        Duration::from_secs(seconds.unwrap_or(0)).min(self.parts.sync.timeout)
    }
}
