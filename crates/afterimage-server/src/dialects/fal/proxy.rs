//! The address that the JavaScript client sends everything to, with the hosted address in a header. The header says
//! which of our routes is meant; nothing is ever fetched from it.

use super::error::Shape;
use crate::error_shape::ErrorShape;
use crate::http::normal_path;
use crate::refusal::Refusal;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use tower::ServiceExt;
use url::Url;

/// The header.
const TARGET: &str = "x-fal-target-url";

/// Answers a request to the proxy's address by `routes`.
pub async fn forward(State(routes): State<Router>, mut request: Request) -> Response {
    match target(request.headers()) {
        Ok(uri) => {
            *request.uri_mut() = uri;
            // A router's own error is uninhabited.
            match routes.oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        }
        Err(message) => Shape::respond(&Refusal::BadBody(message)),
    }
}

/// Our address for the hosted one in `headers`.
fn target(headers: &HeaderMap) -> Result<Uri, String> {
    let text = headers.get(TARGET).and_then(|value| value.to_str().ok());
    let text = text.ok_or_else(|| format!("missing the header {TARGET}; it names the address that is meant"))?;
    let url = Url::parse(text).map_err(|error| format!("{TARGET}: {error}"))?;
    let host = match url.scheme() {
        "https" | "http" => url.host_str().unwrap_or_default(),
        _ => "",
    };
    let path = &*normal_path(url.path());
    let local = match host {
        "queue.fal.run" => format!("/queue{path}"),
        "fal.run" => path.to_owned(),
        "rest.fal.ai" | "rest.alpha.fal.ai" | "rest.fal.run" | "v3.fal.media"
            if ["/storage/", "/tokens", "/files/"].iter().any(|prefix| path.starts_with(prefix)) =>
        {
            path.to_owned()
        }
        _ => return Err(format!("{TARGET}: expected an address at fal.run, queue.fal.run or rest.fal.ai")),
    };
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{local}{query}").parse().map_err(|error| format!("{TARGET}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(target_url: &str) -> Result<String, String> {
        let headers =
            [(axum::http::HeaderName::from_static(TARGET), target_url.parse().unwrap())].into_iter().collect();
        target(&headers).map(|uri| uri.to_string())
    }

    #[test]
    fn hosted_addresses_become_ours() {
        for (hosted, ours) in [
            ("https://fal.run/fal-ai/flux-1/dev/redux", "/fal-ai/flux-1/dev/redux"),
            (
                "https://queue.fal.run/fal-ai/flux-1/dev/redux?fal_webhook=x",
                "/queue/fal-ai/flux-1/dev/redux?fal_webhook=x",
            ),
            (
                "https://queue.fal.run/fal-ai/flux-1/requests/a/status?logs=1",
                "/queue/fal-ai/flux-1/requests/a/status?logs=1",
            ),
            (
                "https://rest.fal.ai/storage/upload/initiate?storage_type=gcs",
                "/storage/upload/initiate?storage_type=gcs",
            ),
            ("https://fal.run//fal-ai//flux-1/dev/redux/", "/fal-ai/flux-1/dev/redux"),
        ] {
            assert_eq!(of(hosted).as_deref(), Ok(ours), "{hosted}");
        }
    }

    #[test]
    fn other_addresses_are_refused() {
        for bad in [
            "",
            "x",
            "http://127.0.0.1/",
            "https://evil.example/fal-ai/a",
            "file:///etc/passwd",
            "https://rest.fal.ai/healthz",
            "https://fal.run.evil.example/fal-ai/x",
            "https://user@evil.example/",
            "https://fal.run@evil.example/fal-ai/x",
            "https://evil.example/?https://fal.run/fal-ai/x",
            "file://fal.run/fal-ai/x",
            "//fal.run/fal-ai/x",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
        assert!(target(&HeaderMap::new()).is_err());
    }
}
