//! The one route: messages of clients by `POST`, each answered by itself.

use super::assistant::Assistant;
use super::call::RequestSpan;
use super::error::{RpcShape, reworded};
use super::message::read;
use crate::auth::{Gate, require_key};
use crate::dialects::DialectParts;
use crate::error_shape::{ErrorShape, ShapedRefusal, enclosed};
use crate::http::BodyReader;
use crate::http::body::SMALL_JSON_LIMIT;
use crate::refusal::Refusal;
use afterimage_jobs::ApiKey;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use axum::routing::post;
use axum::{Router, middleware};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use std::sync::Arc;
use tracing::Span;

/// What speaks the protocol: without sessions, so that whichever server of a database is asked can answer.
type Protocol = StreamableHttpService<Assistant, NeverSessionManager>;

#[derive(Clone)]
struct Endpoint {
    bodies: BodyReader,
    protocol: Protocol,
}

/// `/mcp`, for those who have a key.
pub fn router(parts: &DialectParts) -> Router {
    let assistant = Assistant::new(parts.clone());
    let protocol = Protocol::new(move || Ok(assistant.clone()), Arc::default(), settings());
    let gate = Gate { auth: parts.auth.clone(), render: RpcShape::respond };
    let routes = Router::new()
        .route("/mcp", post(answer))
        .route_layer(middleware::from_fn_with_state(gate, require_key))
        .method_not_allowed_fallback(|| async { RpcShape::respond(&Refusal::MethodNotAllowed) });
    enclosed::<RpcShape, _>(routes).with_state(Endpoint { bodies: parts.intake.bodies.clone(), protocol })
}

fn settings() -> StreamableHttpServerConfig {
    StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        // A stream only for those who want to hear of progress.
        .with_json_response(true)
        // Servers are reached under any name. What checks of names protect against, pages of other sites, has no key: those
        // are never sent by browsers on their own.
        .disable_allowed_hosts()
        .with_max_request_body_bytes(SMALL_JSON_LIMIT)
}

async fn answer(
    State(endpoint): State<Endpoint>,
    Extension(key): Extension<ApiKey>,
    request: Request,
) -> Result<Response, ShapedRefusal<RpcShape>> {
    let (mut head, body) = request.into_parts();
    let message = read(&endpoint.bodies, &key.id, &head.headers, body).await?;
    // It is another body now; and the key's secret is nobody's business from here on.
    for name in [header::CONTENT_ENCODING, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::AUTHORIZATION] {
        head.headers.remove(name);
    }
    head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    head.extensions.insert(message.arguments);
    head.extensions.insert(RequestSpan(Span::current()));
    let request = Request::from_parts(head, Body::from(message.text));
    Ok(reworded(endpoint.protocol.handle(request).await.map(Body::new)).await)
}
