//! The protocol's server: what it says about itself, its tools, and calls of them.

use super::call::{RequestSpan, ToolCall};
use super::progress::Teller;
use super::tools::{AssistantTool, ToolWork, first_served, offered};
use super::{make, tasks};
use crate::dialects::DialectParts;
use crate::refusal::Refusal;
use crate::text::cut;
use axum::http::request::Parts;
use futures_util::FutureExt;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tracing::{Instrument, Span};

/// What models are told before they see the tools.
const INSTRUCTIONS: &str = "Afterimage makes pictures from pictures with FLUX. vary_picture makes variations of a picture, \
                            reshape_picture changes one towards a prompt or makes one from a prompt alone. Both wait for the \
                            result; a task that takes longer goes on, and watch_task waits for it. Results are pictures in \
                            the answer and links that work without a key until they expire; a link can be the picture of \
                            the next call.";

/// One server for all keys. Clones share all of it.
#[derive(Clone)]
pub struct Assistant {
    parts: DialectParts,
    tools: Arc<[Tool]>,
}

impl Assistant {
    /// A server made of `parts`.
    pub fn new(parts: DialectParts) -> Self {
        let tools = offered(&parts.sync.submitter.models).into();
        Self { parts, tools }
    }

    /// Does what a request with `head` asks `tool` for.
    async fn work(
        &self,
        tool: &AssistantTool,
        head: &Parts,
        teller: Option<Teller>,
    ) -> Result<CallToolResult, Refusal> {
        let call = ToolCall::new(&self.parts, head, teller)?;
        match tool.work {
            ToolWork::Make(models) => {
                let model = first_served(models, &self.parts.sync.submitter.models).ok_or(Refusal::Internal)?;
                make::make(call, model).await
            }
            ToolWork::Watch => tasks::watch(call).await,
            ToolWork::Cancel => tasks::stop(&call).await,
            ToolWork::List => tasks::list(&call).await,
        }
    }

    fn unknown(&self, name: &str) -> ErrorData {
        let known: Vec<&str> = self.tools.iter().map(|tool| tool.name.as_ref()).collect();
        ErrorData::invalid_params(format!("unknown tool {:?}; there are {}", cut(name, 100), known.join(", ")), None)
    }
}

impl ServerHandler for Assistant {
    fn get_info(&self) -> ServerConfig {
        let server = Implementation::new("afterimage", env!("CARGO_PKG_VERSION")).with_title("Afterimage");
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(server)
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools.to_vec()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.tools.iter().find(|tool| tool.name == name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let sets = &self.parts.sync.submitter.models;
        let tool = AssistantTool::find(&request.name, sets).ok_or_else(|| self.unknown(&request.name))?;
        let internal = || ErrorData::internal_error(Refusal::Internal.to_string(), None);
        let head = context.extensions.get::<Parts>().ok_or_else(internal)?;
        let span = head.extensions.get::<RequestSpan>().map_or_else(Span::none, |RequestSpan(span)| span.clone());
        let work = AssertUnwindSafe(self.work(tool, head, Teller::of(&context)).instrument(span)).catch_unwind();
        // The crate lets calls go on whose client has gone.
        let outcome = tokio::select! {
            outcome = work => outcome,
            () = context.ct.cancelled() => return Err(ErrorData::internal_error("the client has gone", None)),
        };
        match outcome {
            Ok(Ok(result)) => Ok(result.into()),
            // For the model, which may do better: errors of the protocol are not shown to it.
            Ok(Err(refusal)) => Ok(CallToolResult::error(vec![ContentBlock::text(refusal.to_string())]).into()),
            Err(_) => {
                tracing::error!(tool = tool.name, "a tool panicked");
                Err(internal())
            }
        }
    }
}
