//! Errors in the shape of the service whose route it is: whatever goes wrong there, its clients can read it.

use crate::auth::{Auth, Gate, require_key};
use crate::http::body::drain;
use crate::refusal::Refusal;
use axum::body::to_bytes;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::Route;
use axum::{Json, Router, middleware};
use serde_json::json;
use std::any::Any;
use std::convert::Infallible;
use std::marker::PhantomData;
use tower::layer::util::Identity;
use tower::{Layer, Service};
use tower_http::catch_panic::CatchPanicLayer;

/// How one service writes errors.
pub trait ErrorShape: 'static {
    /// `refusal` as the service would say it.
    fn respond(refusal: &Refusal) -> Response;
}

/// Errors of paths that belong to no dialect, with the keys that clients of all of them look for.
pub struct Neutral;

impl ErrorShape for Neutral {
    fn respond(refusal: &Refusal) -> Response {
        let (status, message) = (refusal.status(), refusal.to_string());
        let kind = if status.is_server_error() { "server_error" } else { "invalid_request_error" };
        let body = json!({
            "code": status.as_u16(),
            "message": message,
            "detail": message,
            "error": {"message": message, "type": kind, "param": null, "code": null},
        });
        let mut response = (status, Json(body)).into_response();
        refusal.add_headers(&mut response);
        response
    }
}

/// A [`Refusal`] as a handler of the service `S` returns it.
pub struct ShapedRefusal<S> {
    refusal: Refusal,
    shape: PhantomData<fn() -> S>,
}

impl<S, R: Into<Refusal>> From<R> for ShapedRefusal<S> {
    fn from(refusal: R) -> Self {
        Self { refusal: refusal.into(), shape: PhantomData }
    }
}

impl<S: ErrorShape> IntoResponse for ShapedRefusal<S> {
    fn into_response(self) -> Response {
        S::respond(&self.refusal)
    }
}

/// `routes` for those who have a key, with answers of the service `S` for unknown paths and methods.
pub fn behind_key<S: ErrorShape, T: Clone + Send + Sync + 'static>(auth: &Auth, routes: Router<T>) -> Router<T> {
    behind_key_with::<S, T, _>(auth, routes, Identity::new())
}

/// The same with `layer`, which sees only requests that have passed.
pub fn behind_key_with<S, T, L>(auth: &Auth, routes: Router<T>, layer: L) -> Router<T>
where
    S: ErrorShape,
    T: Clone + Send + Sync + 'static,
    L: Layer<Route> + Clone + Send + Sync + 'static,
    L::Service: Clone + Send + Sync + 'static,
    L::Service:
        Service<Request, Error: Into<Infallible> + 'static, Response: IntoResponse + 'static, Future: Send + 'static>,
{
    let gate = Gate { auth: auth.clone(), render: S::respond };
    with_fallbacks::<S, T>(routes).layer(layer).layer(middleware::from_fn_with_state(gate, require_key))
}

/// `routes` with answers of the service `S` for unknown paths and methods.
pub fn with_fallbacks<S: ErrorShape, T: Clone + Send + Sync + 'static>(routes: Router<T>) -> Router<T> {
    routes
        .fallback(|request: Request| async {
            refuse::<S>(request, &Refusal::NotFound("no such path".to_owned())).await
        })
        .method_not_allowed_fallback(|request: Request| async {
            refuse::<S>(request, &Refusal::MethodNotAllowed).await
        })
}

/// `routes` of the service `S` such that no other shape leaves them: a handler that panics and what the framework
/// refuses by itself are answered as `S` does. Handlers read bodies within limits of their own, so the framework's are
/// off.
pub fn enclosed<S: ErrorShape, T: Clone + Send + Sync + 'static>(routes: Router<T>) -> Router<T> {
    routes
        .layer(middleware::map_response(reshaped::<S>))
        .layer(catching_panics::<S>())
        .layer(DefaultBodyLimit::disable())
}

/// Answers `request`, of which nobody has read the body, with `refusal`. The body is read first: clients report a broken
/// connection when they cannot send theirs to its end.
pub async fn refuse<S: ErrorShape>(request: Request, refusal: &Refusal) -> Response {
    let (head, body) = request.into_parts();
    drain(&head.headers, body).await;
    S::respond(refusal)
}

/// Answers for a handler that panics as the service `S` does.
pub fn catching_panics<S: ErrorShape>() -> CatchPanicLayer<fn(Box<dyn Any + Send>) -> Response> {
    CatchPanicLayer::custom(|payload| panicked::<S>(payload.as_ref()))
}

fn panicked<S: ErrorShape>(payload: &(dyn Any + Send)) -> Response {
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    tracing::error!(message = text.unwrap_or("no message"), "a request handler panicked");
    S::respond(&Refusal::Internal)
}

/// A refusal of the framework's own, which is plain text and nothing else here is, in the shape of `S`.
async fn reshaped<S: ErrorShape>(response: Response) -> Response {
    const TEXT_BYTES: usize = 4096;
    let status = response.status();
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    let is_an_error = status.is_client_error() || status.is_server_error();
    if !is_an_error || response.headers().get(header::CONTENT_TYPE) != Some(&plain) {
        return response;
    }
    let bytes = to_bytes(response.into_body(), TEXT_BYTES).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    tracing::debug!(status = status.as_u16(), text, "refused by the framework");
    S::respond(&match status {
        StatusCode::NOT_FOUND => Refusal::NotFound(text),
        StatusCode::METHOD_NOT_ALLOWED => Refusal::MethodNotAllowed,
        status if status.is_client_error() => Refusal::BadBody(text),
        _ => Refusal::Internal,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects::{fal, openai, wavespeed};
    use axum::body::Body;
    use axum::extract::Path;
    use axum::routing::get;
    use http_body_util::BodyExt;
    use serde_json::Value;
    use tower::ServiceExt;

    /// Status and body of what `S` answers to a request.
    async fn answered<S: ErrorShape>(method: &str, path: &str) -> (u16, Value) {
        async fn panic() {
            panic!("a fault")
        }
        let routes = Router::new()
            .route("/panic", get(panic))
            .route("/number/{number}", get(|_: Path<u32>| async {}))
            .route("/text", get(|| async { (StatusCode::OK, "a text") }));
        let service = enclosed::<S, ()>(with_fallbacks::<S, ()>(routes));
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let response = service.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into()))
    }

    async fn all<S: ErrorShape>(has_the_shape: fn(&Value) -> bool) {
        for (method, path, expected) in [
            ("GET", "/panic", 500),
            ("GET", "/number/x", 400),
            ("GET", "/number/%ff", 400),
            ("GET", "/nothing", 404),
            ("POST", "/text", 405),
        ] {
            let (status, body) = answered::<S>(method, path).await;
            let status = if status == 422 { 400 } else { status };
            assert_eq!(status, expected, "{path}: {body}");
            assert!(has_the_shape(&body), "{path}: {body}");
        }
        assert_eq!(answered::<S>("GET", "/text").await, (200, Value::from("a text")), "what is no error stays");
    }

    #[tokio::test]
    async fn no_other_shape_leaves_a_services_routes() {
        all::<wavespeed::Shape>(|body| body["code"].is_u64() && body["message"].is_string()).await;
        all::<fal::Shape>(|body| body["detail"].is_string() && body["message"].is_string()).await;
        all::<openai::Shape>(|body| body["error"].as_object().is_some_and(|error| error.len() == 4)).await;
        all::<openai::NativeShape>(|body| body["error"].is_string() || body["detail"][0]["msg"].is_string()).await;
        all::<Neutral>(|body| body["error"]["message"].is_string() && body["detail"].is_string()).await;
    }
}
