//! Layers around every route: request ids, logs without secrets, panics, CORS, headers.

use crate::error_shape::{Neutral, catching_panics};
use crate::files;
use crate::http::normal_path;
use crate::text::cut;
use afterimage_jobs::trace::{self, TraceParent};
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, Version, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use std::time::Duration;
use tower_http::cors::{AllowHeaders, AllowOrigin, AllowPrivateNetwork, Any as AnyOrigin, CorsLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use tracing::{Instrument, Span, debug, field, info};

/// Carries the id of a request in both directions.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Carries the place of a request in a trace, see [`TraceParent`].
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Method and pattern of the route that answered, in the extensions of the answer.
#[derive(Clone, Debug)]
pub struct RouteName(pub String);

/// The id of a request, in its extensions.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// Wraps `router` in the layers that every listener has.
pub fn wrap(router: Router) -> Router {
    router
        .layer(catching_panics::<Neutral>())
        .layer(cors())
        // What comes back is data, whatever a browser might make of it.
        .layer(SetResponseHeaderLayer::if_not_present(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        .layer(SetResponseHeaderLayer::if_not_present(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")))
        .layer(middleware::from_fn(close_after_chunks))
        .layer(middleware::from_fn(identify_and_log))
        .layer(middleware::from_fn(trace_request))
}

/// Puts a request in the trace that its client named, or begins one. Only where traces are exported.
async fn trace_request(request: Request, next: Next) -> Response {
    let span = tracing::info_span!(
        target: trace::TARGET,
        "request",
        otel.kind = "server",
        http.response.status_code = field::Empty,
    );
    if span.is_disabled() {
        return next.run(request).await;
    }
    let named = request.headers().get(TRACEPARENT).and_then(|text| TraceParent::parse(text.to_str().ok()?).ok());
    if let Some(place) = named {
        place.adopt(&span);
    }
    let response = next.run(request).instrument(span.clone()).await;
    // Names of routes, never paths: those are as many as there are jobs, and may hold signatures.
    trace::rename(&span, response.extensions().get().map_or("unmatched", |RouteName(name)| name));
    span.record("http.response.status_code", response.status().as_u16());
    response
}

/// Browsers may call from any page: requests authenticate by a header that no page gets without its user, never by a
/// cookie.
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::from(AnyOrigin))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS])
        // Named one by one: a star does not cover Authorization.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(AnyOrigin)
        // Pages of the internet that call a server in the visitor's own network, when their browser asks.
        .allow_private_network(AllowPrivateNetwork::yes())
        .max_age(Duration::from_hours(1))
}

/// Characters of a method and of a path that are logged.
const LOGGED_METHOD: usize = 20;
const LOGGED_PATH: usize = 300;

const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Gives the request an id (the client's, when it is a plain word) and logs it with its status and time. Neither
/// query strings nor headers are logged: they hold signatures and keys.
async fn identify_and_log(mut request: Request, next: Next) -> Response {
    let id = client_id(&request).unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    request.extensions_mut().insert(RequestId(id.clone()));
    let span = tracing::info_span!(
        "request",
        request_id = %id,
        method = %cut(request.method().as_str(), LOGGED_METHOD),
        path = %cut(shown_path(&normal_path(request.uri().path())), LOGGED_PATH),
        job_id = field::Empty
    );
    // Asked for every few seconds by machines; what is well goes without saying.
    let is_probe = PROBES.contains(&request.uri().path());
    let start = std::time::Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    let milliseconds = start.elapsed().as_secs_f64() * 1e3;
    let status_number = status.as_u16();
    if is_probe && status.is_success() {
        span.in_scope(|| debug!(status = status_number, milliseconds, "answered"));
    } else {
        span.in_scope(|| info!(status = status_number, milliseconds, "answered"));
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// Ends the connection after a request in chunks. A `Content-Length` beside them is dropped before anyone here can see
/// it; a proxy that went by it takes the next bytes for part of this request, we for a new one. RFC 9112, 6.1.
async fn close_after_chunks(request: Request, next: Next) -> Response {
    let in_chunks = request.version() == Version::HTTP_11 && request.headers().contains_key(header::TRANSFER_ENCODING);
    let mut response = next.run(request).await;
    if in_chunks {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Notes the job that the request under way is about, for its log lines.
pub fn note_job(id: &str) {
    Span::current().record("job_id", id);
}

/// What may be logged of a path: addresses of uploads in parts have their signatures there.
fn shown_path(path: &str) -> &str {
    if path.starts_with(files::SIGNED_PATHS) { files::SIGNED_PATHS } else { path }
}

fn client_id(request: &Request) -> Option<String> {
    let text = request.headers().get(REQUEST_ID)?.to_str().ok()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (!text.is_empty() && text.len() <= 64 && text.bytes().all(plain)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_in_paths_are_not_logged() {
        assert_eq!(shown_path("/media/files/17/c2VjcmV0/x.png/multipart/y/1"), "/media/files/");
        assert_eq!(shown_path("/media/uploads/x.png"), "/media/uploads/x.png");
    }
}
