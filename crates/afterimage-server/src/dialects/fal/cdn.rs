//! Uploads with a token: a client trades its key for a token that can do nothing but send files, and sends them.

use super::error::{Answer, Shape};
use super::lifecycle::kept_for;
use super::token::{EXPIRED, TokenGate, TokenState, make_token, read_token};
use crate::auth::{credentials, require_key};
use crate::dialects::rfc3339_with_offset;
use crate::error_shape::refuse;
use crate::files::{FileLinks, Media, create_in_parts, store_upload};
use crate::http::PublicUrl;
use crate::http::body::{UPLOAD_LIMIT, drain};
use crate::refusal::Refusal;
use afterimage_jobs::{ApiKey, Clock, SystemClock, Timestamp, UploadState};
use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use serde::Serialize;
use std::time::Duration;
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
    State(links): State<FileLinks>,
    State(public_url): State<PublicUrl>,
    Extension(key): Extension<ApiKey>,
    request: Request,
) -> Answer<Json<UploadAccess>> {
    let (head, body) = request.into_parts();
    // Nothing in the body matters.
    drain(&head.headers, body).await;
    // Whole seconds: Pythons before 3.11 read three or six digits after them, or none.
    let expires = SystemClock.now().plus(TOKEN_LIFETIME).unix_seconds();
    Ok(Json(UploadAccess {
        token: make_token(links.signer(), &key.id, expires),
        token_type: "Bearer",
        base_url: public_url.for_request(&head.headers),
        expires_at: rfc3339_with_offset(Timestamp(expires * 1000)),
    }))
}

/// Upload a picture
///
/// With the token of `/storage/auth/token`, or with a key.
#[utoipa::path(post, path = "/files/upload", tag = "fal", responses((status = 200, description = "The stored file", body = Uploaded)))]
pub async fn upload(
    State(media): State<Media>,
    State(public_url): State<PublicUrl>,
    Extension(key): Extension<ApiKey>,
    request: Request,
) -> Answer<Json<Uploaded>> {
    let (head, body) = request.into_parts();
    let kept_for = kept_for(&head.headers)?;
    let bytes = media.bodies.read(&key.id, &head.headers, body, UPLOAD_LIMIT).await?;
    let name = head.headers.get(FILE_NAME).map(|value| String::from_utf8_lossy(value.as_bytes())).unwrap_or_default();
    let upload = store_upload(&media, &key.id, &name, bytes, kept_for).await?;
    let UploadState::Ready(facts) = &upload.state else { return Err(Refusal::Internal.into()) };
    let base = public_url.for_request(&head.headers);
    Ok(Json(Uploaded { access_url: media.links.upload(&base, &upload, &facts.content_type) }))
}

/// An upload that takes parts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FalUploadInParts)]
pub struct UploadInParts {
    /// Where the file will be; usable as `image_url` once it is complete.
    access_url: String,
    /// Stands in the addresses of the parts, `{access_url}/multipart/{uploadId}/1` and so on.
    #[serde(rename = "uploadId")]
    upload_id: String,
}

/// Begin to upload a picture in parts
///
/// The parts follow in any order by `PUT` to `{access_url}/multipart/{uploadId}/{number}`, each answered with its `ETag`;
/// `POST` to `{access_url}/multipart/{uploadId}/complete` with `{"parts": [{"partNumber": 1, "etag": "…"}]}` puts them
/// together. Together they have at most the 50 MB of a picture.
#[utoipa::path(post, path = "/files/upload/multipart", tag = "fal", responses((status = 200, description = "Where to send them", body = UploadInParts)))]
pub async fn upload_parts(
    State(media): State<Media>,
    State(public_url): State<PublicUrl>,
    Extension(key): Extension<ApiKey>,
    request: Request,
) -> Answer<Json<UploadInParts>> {
    let (head, body) = request.into_parts();
    // Nothing in the body matters.
    drain(&head.headers, body).await;
    let text = |name: &str| head.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let declared_type = text("content-type").unwrap_or_default();
    let name = text(FILE_NAME).unwrap_or_default();
    let upload = create_in_parts(&media, &key.id, &name, &declared_type, kept_for(&head.headers)?).await?;
    let base = public_url.for_request(&head.headers);
    Ok(Json(UploadInParts {
        access_url: media.links.upload_without_query(&base, &upload, &declared_type),
        upload_id: media.links.parts_ticket(&upload),
    }))
}

/// Like [`require_key`], for requests that may have a token instead.
pub async fn require_key_or_token(State(gate): State<TokenGate>, mut request: Request, next: Next) -> Response {
    let signer = &gate.signer;
    let now = SystemClock.now().unix_seconds();
    let outcome = match credentials(request.headers()).map(|text| read_token(signer, text, now)) {
        // A key, or a token that somebody made up, which then counts as a wrong key.
        None | Some(TokenState::NoToken) => return require_key(State(gate.gate), request, next).await,
        Some(TokenState::Of(id)) => gate.gate.auth.key_of_token(&id).await,
        Some(TokenState::Expired) => Err(Refusal::Unauthorized(EXPIRED)),
    };
    match outcome {
        Ok(key) => {
            request.extensions_mut().insert(key);
            next.run(request).await
        }
        Err(refusal) => refuse::<Shape>(request, &refusal).await,
    }
}
