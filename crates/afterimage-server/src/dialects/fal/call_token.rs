//! Tokens for pages: whoever has a key trades it for a token that calls some models for a short time, and a script that
//! must not know the key puts it into the query.

use super::error::{Answer, Shape};
use super::token::{Caller, EXPIRED, TokenGate, TokenState, make_call_token, read_call_token};
use crate::auth::{TOKEN_PARAMETER, credentials, require_key};
use crate::error_shape::refuse;
use crate::files::FileLinks;
use crate::http::BodyReader;
use crate::http::json::{Fields, read_object};
use crate::problem::{Problem, ProblemKind};
use crate::refusal::Refusal;
use afterimage_jobs::{ApiKey, Clock, KeyId, SystemClock};
use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

/// How long a token works unless something else is asked for, in seconds.
const DEFAULT_SECONDS: i64 = 120;

/// The longest that can be asked for, in seconds.
const MOST_SECONDS: i64 = 3600;

/// Apps that one token may name.
const MOST_APPS: usize = 50;

/// Bytes of an app's name.
const APP_BYTES: usize = 200;

/// Get a token for a page
///
/// It calls the apps it was made for, in the query as `fal_jwt_token`.
#[utoipa::path(post, path = "/tokens/", tag = "fal", responses((status = 200, description = "The token", body = String, content_type = "application/json")))]
pub async fn token(
    State(bodies): State<BodyReader>,
    State(links): State<FileLinks>,
    Extension(key): Extension<ApiKey>,
    request: Request,
) -> Answer<Json<String>> {
    let (head, body) = request.into_parts();
    let fields = Fields::small(&["allowed_apps", "token_expiration"]);
    let (object, _) = read_object(&bodies, &key.id, &head.headers, body, fields).await?;
    let caller = Caller { key: key.id.to_string(), apps: apps(&object)? };
    let expires = SystemClock.now().unix_seconds() + seconds(&object)?;
    Ok(Json(make_call_token(links.signer(), &caller, expires)))
}

/// What the body of [`token`] takes, for the documentation.
pub fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["allowed_apps"],
        "properties": {
            "allowed_apps": {
                "type": "array",
                "items": {"type": "string", "maxLength": APP_BYTES},
                "minItems": 1,
                "maxItems": MOST_APPS,
                "description": "Models, such as flux-1 or fal-ai/flux-1/dev/redux.",
            },
            "token_expiration": {
                "type": "integer",
                "minimum": 1,
                "maximum": MOST_SECONDS,
                "default": DEFAULT_SECONDS,
                "description": "Seconds.",
            },
        },
    })
}

fn apps(object: &Map<String, Value>) -> Result<Vec<String>, Problem> {
    let refused = |kind| {
        let message =
            format!("expected 1 to {MOST_APPS} apps, such as [\"flux-1\"], of at most {APP_BYTES} bytes each");
        Problem::new("allowed_apps", kind, message)
    };
    let Some(value) = object.get("allowed_apps") else { return Err(refused(ProblemKind::Missing)) };
    let list = value.as_array().ok_or_else(|| refused(ProblemKind::WrongType))?;
    if !(1..=MOST_APPS).contains(&list.len()) {
        return Err(refused(ProblemKind::OutOfRange));
    }
    let apps = list.iter().map(|app| app.as_str().filter(|app| app.len() <= APP_BYTES).map(str::to_owned));
    apps.collect::<Option<_>>().ok_or_else(|| refused(ProblemKind::WrongType))
}

fn seconds(object: &Map<String, Value>) -> Result<i64, Problem> {
    match object.get("token_expiration") {
        None | Some(Value::Null) => Ok(DEFAULT_SECONDS),
        Some(value) => whole(value).filter(|seconds| (1..=MOST_SECONDS).contains(seconds)).ok_or_else(|| {
            let message = format!("expected 1 to {MOST_SECONDS} seconds");
            Problem::new("token_expiration", ProblemKind::OutOfRange, message)
        }),
    }
}

/// A whole number, also as text, like every number of this dialect.
fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// Like [`require_key`], for requests that may have a token in the query instead. What it allows is then in the
/// request's extensions as [`Caller`].
pub async fn require_key_or_token(State(gate): State<TokenGate>, mut request: Request, next: Next) -> Response {
    let token = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
        .find(|(name, _)| name == TOKEN_PARAMETER)
        .map(|(_, token)| token.into_owned());
    // A key says more than a token.
    let Some(token) = token.filter(|_| credentials(request.headers()).is_none()) else {
        return require_key(State(gate.gate), request, next).await;
    };
    let outcome = match read_call_token(&gate.signer, &token, SystemClock.now().unix_seconds()) {
        TokenState::Of(caller) => {
            gate.gate.auth.key_of_token(&KeyId::from(caller.key.as_str())).await.map(|key| (key, caller))
        }
        TokenState::Expired => Err(Refusal::Unauthorized(EXPIRED)),
        TokenState::NoToken => Err(Refusal::Unauthorized("unknown token")),
    };
    match outcome {
        Ok((key, caller)) => {
            request.extensions_mut().insert(key);
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refusal) => refuse::<Shape>(request, &refusal).await,
    }
}

/// Refuses a caller whose token is not for `model`.
///
/// # Errors
/// [`Refusal::Unauthorized`].
pub fn check(caller: Option<&Caller>, model: &str) -> Result<(), Refusal> {
    match caller {
        Some(caller) if !caller.may_call(model) => Err(Refusal::Unauthorized("this token is for other apps")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_checked() {
        let of = |body: Value| {
            let object = body.as_object().unwrap().clone();
            apps(&object).and_then(|apps| Ok((apps, seconds(&object)?))).map_err(|problem| problem.field)
        };
        let one = vec!["flux-1".to_owned()];
        assert_eq!(of(json!({"allowed_apps": one})), Ok((one.clone(), 120)));
        assert_eq!(of(json!({"allowed_apps": one, "token_expiration": 3600})), Ok((one.clone(), 3600)));
        assert_eq!(of(json!({"allowed_apps": one, "token_expiration": "60"})), Ok((one.clone(), 60)));
        let many = vec!["a"; MOST_APPS + 1];
        for bad in [json!(null), json!([]), json!([1]), json!("flux-1"), json!(many), json!(["a".repeat(201)])] {
            assert_eq!(of(json!({"allowed_apps": bad})), Err("allowed_apps".to_owned()), "{bad}");
        }
        assert_eq!(of(json!({})), Err("allowed_apps".to_owned()));
        for bad in [json!(0), json!(-1), json!(3601), json!("6o"), json!("3601"), json!(1.5), json!([])] {
            let body = json!({"allowed_apps": one, "token_expiration": bad});
            assert_eq!(of(body), Err("token_expiration".to_owned()), "{bad}");
        }
    }
}
