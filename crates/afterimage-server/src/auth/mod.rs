//! Who is asking: API keys, and what happens to those who guess them.

mod guard;

use crate::http::TrustedProxies;
use crate::http::body::drain;
use crate::refusal::Refusal;
use afterimage_jobs::{ApiKey, KeyId, Store};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
pub use guard::{GuessGuard, KnownKeys};
use std::net::IpAddr;
use std::sync::Arc;

/// The parameter of a query that holds a token, which stands in for a key where a page must not know it.
pub const TOKEN_PARAMETER: &str = "fal_jwt_token";

/// What it takes to tell whose a request is. Clones share all of it.
#[derive(Clone)]
pub struct Auth {
    store: Arc<dyn Store>,
    /// Keys found a moment ago.
    known_keys: Arc<KnownKeys>,
    /// Those who guess keys.
    guesses: Arc<GuessGuard>,
    /// Whose word about a request's sender is believed.
    proxies: TrustedProxies,
}

impl Auth {
    /// Keys of `store`, for requests that come directly or through `proxies`.
    pub fn new(store: Arc<dyn Store>, proxies: TrustedProxies) -> Self {
        Self { store, known_keys: Arc::default(), guesses: Arc::default(), proxies }
    }

    /// The key whose secret is `secret`, sent by `address`. A valid key passes whatever else its address sent: whoever
    /// shares an address with somebody who guesses, or stands behind the same proxy, keeps working. Only wrong keys are
    /// slowed.
    ///
    /// # Errors
    /// [`Refusal::Unauthorized`], [`Refusal::TooManyWrongKeys`], those of the store.
    pub async fn key_of_secret(&self, address: IpAddr, secret: Option<&str>) -> Result<ApiKey, Refusal> {
        let secret = secret.ok_or(Refusal::Unauthorized("missing key; send it as `Authorization: Bearer KEY`"))?;
        if let Some(key) = self.known_keys.get(secret) {
            return Ok(key);
        }
        let _turn = if self.known_keys.is_in_use(secret) { None } else { Some(self.guesses.turn(address).await) };
        if let Some(key) = self.store.find_key(secret).await? {
            self.known_keys.remember(secret, &key);
            return Ok(key);
        }
        self.known_keys.forget(secret);
        if self.guesses.is_too_much(address) {
            return Err(Refusal::TooManyWrongKeys);
        }
        Err(Refusal::Unauthorized("unknown key"))
    }

    /// The key that a token stands for.
    ///
    /// # Errors
    /// [`Refusal::Unauthorized`] when it was revoked, those of the store.
    pub async fn key_of_token(&self, id: &KeyId) -> Result<ApiKey, Refusal> {
        self.store.key(id).await?.ok_or(Refusal::Unauthorized("the key of this token was revoked"))
    }
}

/// How a dialect renders a refusal.
pub type Renderer = fn(&Refusal) -> Response;

/// What a dialect's authentication needs.
#[derive(Clone)]
pub struct Gate {
    /// Tells whose a request is.
    pub auth: Auth,
    /// The dialect's error shape.
    pub render: Renderer,
}

/// Lets only requests with a known key pass, with the [`ApiKey`] in their extensions. Runs before any body is read.
pub async fn require_key(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let address = gate.auth.proxies.client(&request);
    let secret = credentials(request.headers()).map(str::to_owned);
    match gate.auth.key_of_secret(address, secret.as_deref()).await {
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
    use afterimage_jobs::{KeyStore, MemoryStore, NewKey, SystemClock};

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

    #[tokio::test]
    async fn a_valid_key_passes_beside_wrong_ones_and_a_revoked_one_does_not() {
        let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
        let (key, secret) = store.create_key(NewKey::default()).await.unwrap();
        let auth = Auth::new(store.clone(), TrustedProxies::default());
        let address = IpAddr::from([10, 0, 0, 1]);
        let refused = loop {
            match auth.key_of_secret(address, Some("wrong")).await {
                Err(Refusal::Unauthorized("unknown key")) => {}
                other => break other,
            }
        };
        assert!(matches!(refused, Err(Refusal::TooManyWrongKeys)), "{refused:?}");
        assert_eq!(auth.key_of_secret(address, Some(secret.expose())).await.unwrap().id, key.id);
        assert!(matches!(auth.key_of_secret(address, None).await, Err(Refusal::Unauthorized(_))));
        assert_eq!(auth.key_of_token(&key.id).await.unwrap().id, key.id);
        store.revoke_key(&key.id).await.unwrap();
        assert!(matches!(auth.key_of_token(&key.id).await, Err(Refusal::Unauthorized(_))));
    }
}
