//! Uploads with a token: a client trades its key for a token that can do nothing but send files, and sends them.

use super::error::{Answer, Error, respond};
use super::token::{TokenState, make_token, read_token};
use super::uploads::parts_refusal;
use crate::app::App;
use crate::auth::{Gate, credentials, require_key};
use crate::files::store_upload;
use crate::http::body::{UPLOAD_LIMIT, drain};
use crate::refusal::Refusal;
use afterimage_jobs::{ApiKey, Clock, KeyId, SystemClock, Timestamp, UploadState};
use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

/// How long a token sends files.
const TOKEN_LIFETIME: Duration = Duration::from_hours(1);

/// The header with a file's name.
const FILE_NAME: &str = "x-fal-file-name";

/// A token, and where to use it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FalUploadToken)]
pub struct UploadAccess {
    /// To send in `Authorization`, after the type.
    token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// `/files/upload` is under this address.
    base_url: String,
    /// When it ends.
    expires_at: String,
}

/// A stored file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FalUploaded)]
pub struct Uploaded {
    /// Where to read it; usable as `image_url`.
    access_url: String,
}

/// Get a token that sends files
///
/// Any `storage_type` is taken and means the same.
#[utoipa::path(post, path = "/storage/auth/token", tag = "fal", responses((status = 200, description = "The token", body = UploadAccess)))]
pub async fn token(
    State(app): State<Arc<App>>,
    Extension(key): Extension<ApiKey>,
    request: Request,
) -> Answer<Json<UploadAccess>> {
    let (head, body) = request.into_parts();
    // Nothing in the body matters.
    drain(&head.headers, body).await;
    let expires = SystemClock.now().plus(TOKEN_LIFETIME);
    Ok(Json(UploadAccess {
        token: make_token(app.links.signer(), &key.id, expires.0 / 1000),
        token_type: "Bearer",
        base_url: app.public_url.for_request(&head.headers),
        expires_at: with_offset(expires).ok_or(Refusal::Internal)?,
    }))
}

/// Upload a picture
///
/// With the token of `/storage/auth/token`, or with a key.
#[utoipa::path(post, path = "/files/upload", tag = "fal", responses((status = 200, description = "The stored file", body = Uploaded)))]
pub async fn upload(
    State(app): State<Arc<App>>,
    Extension(key): Extension<ApiKey>,
    request: Request,
) -> Answer<Json<Uploaded>> {
    let (head, body) = request.into_parts();
    let bytes = app.bodies.read(&head.headers, body, UPLOAD_LIMIT).await?;
    let name = head.headers.get(FILE_NAME).map(|value| String::from_utf8_lossy(value.as_bytes())).unwrap_or_default();
    let upload = store_upload(&app, &key.id, &name, bytes).await?;
    let UploadState::Ready(facts) = &upload.state else { return Err(Refusal::Internal.into()) };
    let base = app.public_url.for_request(&head.headers);
    Ok(Json(Uploaded { access_url: app.links.upload(&base, &upload, &facts.content_type) }))
}

/// Upload a picture in parts
///
/// Always refused: clients do so for files of more than 100 MB, which is more than a picture may have.
#[utoipa::path(post, path = "/files/upload/multipart", tag = "fal", responses((status = 400, description = "Too large for a picture", body = super::error::ErrorBody)))]
pub async fn upload_parts() -> Error {
    Error(parts_refusal())
}

/// Like [`require_key`], for requests that may have a token instead.
pub async fn require_key_or_token(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let signer = gate.app.links.signer();
    let now = SystemClock.now().0 / 1000;
    let outcome = match credentials(request.headers()).map(|text| read_token(signer, text, now)) {
        // A key, or a token that somebody made up, which then counts as a wrong key.
        None | Some(TokenState::NoToken) => return require_key(State(gate), request, next).await,
        Some(TokenState::Of(id)) => key_in_use(&gate.app, &id).await,
        Some(TokenState::Expired) => Err(Refusal::Unauthorized("the upload token has expired; ask for another one")),
    };
    match outcome {
        Ok(key) => {
            request.extensions_mut().insert(key);
            next.run(request).await
        }
        Err(refusal) => {
            let (head, body) = request.into_parts();
            drain(&head.headers, body).await;
            respond(&refusal)
        }
    }
}

/// The key `id`, which may have been revoked since its token was made.
async fn key_in_use(app: &App, id: &KeyId) -> Result<ApiKey, Refusal> {
    let keys = app.store.keys().await?;
    let key = keys.into_iter().find(|key| key.id == *id && key.revoked_at.is_none());
    key.ok_or(Refusal::Unauthorized("the key of this upload token was revoked"))
}

/// `timestamp` with its offset in numbers: Pythons before 3.11 do not read `Z`.
fn with_offset(timestamp: Timestamp) -> Option<String> {
    let time = OffsetDateTime::from_unix_timestamp(timestamp.0 / 1000).ok()?.format(&Rfc3339).ok()?;
    Some(time.replace('Z', "+00:00"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_numeric_offset() {
        assert_eq!(with_offset(Timestamp(1_750_000_000_999)).unwrap(), "2025-06-15T15:06:40+00:00");
    }
}
