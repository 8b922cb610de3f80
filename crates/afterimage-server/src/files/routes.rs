//! Serving files, and taking the bytes of uploads.

use super::links::FileLinks;
use super::media::Media;
use super::parts::{complete, most_bytes, put_part};
use super::redirect::redirect;
use super::response::stored_file;
use super::signing::Purpose;
use super::uploads::finish_ticket;
use crate::error_shape::{Neutral, ShapedRefusal};
use crate::http::body::UPLOAD_LIMIT;
use crate::http::json::{Fields, read_object};
use crate::refusal::Refusal;
use afterimage_jobs::{JobId, KeyId, UploadId, UploadState};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

/// Routes under `/media`.
pub fn router(media: Media) -> Router {
    Router::new()
        .route("/results/{job}/{file}", get(result))
        .route("/uploads/{file}", get(upload))
        .route("/put/{id}", put(put_upload))
        .route("/parts/{id}/{number}", put(put_signed_part))
        .route("/parts/{id}/complete", post(complete_signed))
        // The same where a client puts what it sends behind the address that the file will have.
        .route("/files/{expires}/{signature}/{file}", get(upload_by_path))
        .route("/files/{expires}/{signature}/{file}/multipart/{ticket}/{number}", put(put_part_behind))
        .route("/files/{expires}/{signature}/{file}/multipart/{ticket}/complete", post(complete_behind))
        .with_state(media)
}

/// The signed part of an address.
#[derive(Debug, Deserialize)]
struct AddressSignature {
    expires: i64,
    signature: String,
}

impl AddressSignature {
    /// Whether it allows `purpose` on `subject` now.
    fn allow(&self, links: &FileLinks, purpose: Purpose, subject: &str) -> Result<(), Refusal> {
        links.allows(purpose, subject, self.expires, &self.signature).then_some(()).ok_or_else(unknown)
    }
}

/// The query of an address; one without a signature looks like one with a wrong one.
type SignedQuery = Result<Query<AddressSignature>, QueryRejection>;

/// What handlers return: these addresses belong to no dialect, so neither do their refusals.
type FileAnswer<T = Response> = Result<T, ShapedRefusal<Neutral>>;

/// A file that is not there and one that may not be read look the same.
fn unknown() -> Refusal {
    Refusal::NotFound("no such file, or its address has expired".to_owned())
}

async fn result(
    State(media): State<Media>,
    Path((job, file)): Path<(String, String)>,
    signed: SignedQuery,
    method: Method,
    headers: HeaderMap,
) -> FileAnswer {
    let Query(signed) = signed.map_err(|_| unknown())?;
    let index: usize = file.split('.').next().and_then(|stem| stem.parse().ok()).ok_or_else(unknown)?;
    let id = JobId::parse(&job).ok_or_else(unknown)?;
    let subject = format!("{id}/{index}");
    signed.allow(&media.links, Purpose::Result, &subject)?;
    let job = media.store.job(&id).await?.ok_or_else(unknown)?;
    if job.deleted {
        return Err(Refusal::Gone("the result was deleted".to_owned()).into());
    }
    let result = job.result.ok_or_else(unknown)?;
    let file = result.files.get(index).ok_or_else(unknown)?;
    give(&media, (&method, &headers), &file.blob, &file.content_type).await
}

async fn upload(
    State(media): State<Media>,
    Path(file): Path<String>,
    signed: SignedQuery,
    method: Method,
    headers: HeaderMap,
) -> FileAnswer {
    let Query(signed) = signed.map_err(|_| unknown())?;
    read_upload(&media, &file, &signed, (&method, &headers)).await
}

async fn upload_by_path(
    State(media): State<Media>,
    Path((expires, signature, file)): Path<(String, String, String)>,
    method: Method,
    headers: HeaderMap,
) -> FileAnswer {
    let expires = expires.parse().map_err(|_| unknown())?;
    read_upload(&media, &file, &AddressSignature { expires, signature }, (&method, &headers)).await
}

/// The file of `path`, or where it is.
async fn give(media: &Media, request: (&Method, &HeaderMap), path: &str, content_type: &str) -> FileAnswer {
    let (method, headers) = request;
    if let Some(elsewhere) = redirect(media, method, path).await? {
        return Ok(elsewhere);
    }
    stored_file(&media.blobs, headers, path, content_type).await?.ok_or_else(|| unknown().into())
}

async fn read_upload(
    media: &Media,
    file: &str,
    signed: &AddressSignature,
    request: (&Method, &HeaderMap),
) -> FileAnswer {
    let id = file.split('.').next().and_then(UploadId::parse).ok_or_else(unknown)?;
    signed.allow(&media.links, Purpose::Upload, id.as_str())?;
    let upload = media.store.upload(&id).await?.ok_or_else(unknown)?;
    let UploadState::Ready(facts) = upload.state else { return Err(unknown().into()) };
    give(media, request, &facts.blob, &facts.content_type).await
}

async fn put_upload(
    State(media): State<Media>,
    Path(id): Path<String>,
    signed: SignedQuery,
    request: Request,
) -> FileAnswer {
    let Query(signed) = signed.map_err(|_| unknown())?;
    let id = UploadId::parse(&id).ok_or_else(unknown)?;
    signed.allow(&media.links, Purpose::Put, id.as_str())?;
    let key = key_of(&media, &id).await?;
    let (parts, body) = request.into_parts();
    let bytes = media.bodies.read(&key, &parts.headers, body, UPLOAD_LIMIT).await.map_err(Refusal::from)?;
    finish_ticket(&media, &id, bytes).await?;
    Ok(StatusCode::OK.into_response())
}

/// Whose upload `id` is. Its ticket ends with the key, and its bytes count on the key's share.
async fn key_of(media: &Media, id: &UploadId) -> Result<KeyId, Refusal> {
    let upload = media.store.upload(id).await?.ok_or_else(unknown)?;
    Ok(media.store.key(&upload.key).await?.ok_or_else(unknown)?.id)
}

/// A part that was taken, as its client repeats it when it completes the upload.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TakenPart {
    part_number: u32,
    etag: String,
}

async fn put_signed_part(
    State(media): State<Media>,
    Path((id, number)): Path<(String, String)>,
    signed: SignedQuery,
    request: Request,
) -> FileAnswer {
    let id = signed_parts(&media, &id, signed)?;
    take_part(&media, &id, &number, request).await
}

async fn put_part_behind(
    State(media): State<Media>,
    Path((_, _, file, ticket, number)): Path<(String, String, String, String, String)>,
    request: Request,
) -> FileAnswer {
    let id = parts_behind(&media, &file, &ticket)?;
    take_part(&media, &id, &number, request).await
}

async fn complete_signed(
    State(media): State<Media>,
    Path(id): Path<String>,
    signed: SignedQuery,
    request: Request,
) -> FileAnswer {
    let id = signed_parts(&media, &id, signed)?;
    complete_parts(&media, &id, request).await
}

async fn complete_behind(
    State(media): State<Media>,
    Path((_, _, file, ticket)): Path<(String, String, String, String)>,
    request: Request,
) -> FileAnswer {
    let id = parts_behind(&media, &file, &ticket)?;
    complete_parts(&media, &id, request).await
}

/// The upload whose parts the query of an address allows to send.
fn signed_parts(media: &Media, id: &str, signed: SignedQuery) -> Result<UploadId, Refusal> {
    let Query(signed) = signed.map_err(|_| unknown())?;
    let id = UploadId::parse(id).ok_or_else(unknown)?;
    signed.allow(&media.links, Purpose::Parts, id.as_str())?;
    Ok(id)
}

/// The upload whose parts a ticket behind the address of `file` allows to send.
fn parts_behind(media: &Media, file: &str, ticket: &str) -> Result<UploadId, Refusal> {
    let id = file.split('.').next().and_then(UploadId::parse).ok_or_else(unknown)?;
    media.links.allows_parts(&id, ticket).then_some(id).ok_or_else(unknown)
}

async fn take_part(media: &Media, id: &UploadId, number: &str, request: Request) -> FileAnswer {
    // One that is no number is refused as one that no part has.
    let part_number = number.parse().unwrap_or(0);
    let key = key_of(media, id).await?;
    let (head, body) = request.into_parts();
    let bytes = media.bodies.read(&key, &head.headers, body, most_bytes()).await.map_err(Refusal::from)?;
    let etag = put_part(media, id, part_number, bytes).await?;
    let header = HeaderValue::from_str(&etag).map_err(|_| Refusal::Internal)?;
    let mut response = Json(TakenPart { part_number, etag }).into_response();
    response.headers_mut().insert(header::ETAG, header);
    Ok(response)
}

async fn complete_parts(media: &Media, id: &UploadId, request: Request) -> FileAnswer {
    let key = key_of(media, id).await?;
    let (head, body) = request.into_parts();
    let (object, _) = read_object(&media.bodies, &key, &head.headers, body, Fields::small(&["parts"])).await?;
    let upload = complete(media, id, &object).await?;
    let UploadState::Ready(facts) = upload.state else { return Err(Refusal::Internal.into()) };
    Ok(Json(serde_json::json!({"size": facts.bytes, "content_type": facts.content_type})).into_response())
}
