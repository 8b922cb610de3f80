//! Who is asking: API keys, and what happens to those who guess them.

mod guard;

use crate::app::App;
use crate::http::body::drain;
use crate::refusal::Refusal;
use afterimage_jobs::ApiKey;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
pub use guard::{GuessGuard, KnownKeys};
use std::net::IpAddr;
use std::sync::Arc;

/// How a dialect renders a refusal.
pub type Renderer = fn(&Refusal) -> Response;

/// What a dialect's authentication needs.
#[derive(Clone)]
pub struct Gate {
    /// The application.
    pub app: Arc<App>,
    /// The dialect's error shape.
    pub render: Renderer,
}

/// Lets only requests with a known key pass, with the [`ApiKey`] in their extensions. Runs before any body is read.
pub async fn require_key(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let address = gate.app.proxies.client(&request);
    let secret = credentials(request.headers()).map(str::to_owned);
    match authenticate(&gate.app, address, secret.as_deref()).await {
        Ok(key) => {
            request.extensions_mut().insert(key);
            next.run(request).await
        }
        Err(refusal) => {
            let (parts, body) = request.into_parts();
            drain(&parts.headers, body).await;
            (gate.render)(&refusal)
        }
    }
}

/// A valid key passes whatever else its address sent: whoever shares an address with somebody who guesses, or stands
/// behind the same proxy, keeps working. Only wrong keys are slowed.
async fn authenticate(app: &App, address: IpAddr, secret: Option<&str>) -> Result<ApiKey, Refusal> {
    let secret = secret.ok_or(Refusal::Unauthorized("missing key; send it as `Authorization: Bearer KEY`"))?;
    if let Some(key) = app.known_keys.get(secret) {
        return Ok(key);
    }
    let _turn = if app.known_keys.is_in_use(secret) { None } else { Some(app.guesses.turn(address).await) };
    if let Some(key) = app.store.find_key(secret).await? {
        app.known_keys.remember(secret, &key);
        return Ok(key);
    }
    app.known_keys.forget(secret);
    if app.guesses.is_too_much(address) {
        return Err(Refusal::TooManyWrongKeys);
    }
    Err(Refusal::Unauthorized("unknown key"))
}

/// The key in `Authorization: Bearer K` or `Authorization: Key K`; the scheme in any case.
pub fn credentials(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim();
    let (scheme, key) = text.split_once(' ')?;
    let known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("key");
    let key = key.trim();
    (known && !key.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(value: &str) -> Option<String> {
        let headers: HeaderMap = [(header::AUTHORIZATION, value.parse().unwrap())].into_iter().collect();
        credentials(&headers).map(str::to_owned)
    }

    #[test]
    fn both_schemes_are_read_in_any_case() {
        for value in ["Bearer abc", "bearer abc", "Key abc", "KEY  abc "] {
            assert_eq!(key_of(value).as_deref(), Some("abc"), "{value}");
        }
        for value in ["", "abc", "Basic abc", "Bearer", "Bearer ", "Bearerabc"] {
            assert_eq!(key_of(value), None, "{value}");
        }
    }
}
