//! Serving files, and taking the bytes of uploads.

use super::parts::{complete, most_bytes, put_part};
use super::response::stored_file;
use super::signing::Purpose;
use super::uploads::finish_ticket;
use crate::app::App;
use crate::dialects::json::{Fields, read_object};
use crate::error_shape::{Neutral, Refused};
use crate::http::body::UPLOAD_LIMIT;
use crate::refusal::Refusal;
use afterimage_jobs::{JobId, KeyId, UploadId, UploadState};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Routes under `/media`.
pub fn router(app: Arc<App>) -> Router {
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
        .with_state(app)
}

/// The signed part of an address.
#[derive(Debug, Deserialize)]
struct Ticket {
    expires: i64,
    signature: String,
}

/// The query of an address; one without a signature looks like one with a wrong one.
type Signed = Result<Query<Ticket>, QueryRejection>;

/// A refusal of this module: these addresses belong to no dialect.
type Error = Refused<Neutral>;

/// A file that is not there and one that may not be read look the same.
fn unknown() -> Refusal {
    Refusal::NotFound("no such file, or its address has expired".to_owned())
}

async fn result(
    State(app): State<Arc<App>>,
    Path((job, file)): Path<(String, String)>,
    ticket: Signed,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let Query(ticket) = ticket.map_err(|_| unknown())?;
    let index: usize = file.split('.').next().and_then(|stem| stem.parse().ok()).ok_or_else(unknown)?;
    let id = JobId::parse(&job).ok_or_else(unknown)?;
    let subject = format!("{id}/{index}");
    if !app.links.allows(Purpose::Result, &subject, ticket.expires, &ticket.signature) {
        return Err(unknown().into());
    }
    let job = app.store.job(&id).await?.ok_or_else(unknown)?;
    if job.deleted {
        return Err(Refusal::Gone("the result was deleted".to_owned()).into());
    }
    let result = job.result.ok_or_else(unknown)?;
    let file = result.files.get(index).ok_or_else(unknown)?;
    stored_file(&app.blobs, &headers, &file.blob, &file.content_type).await?.ok_or_else(|| unknown().into())
}

async fn upload(
    State(app): State<Arc<App>>,
    Path(file): Path<String>,
    ticket: Signed,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let Query(ticket) = ticket.map_err(|_| unknown())?;
    read_upload(&app, &file, &ticket, &headers).await
}

async fn upload_by_path(
    State(app): State<Arc<App>>,
    Path((expires, signature, file)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let expires = expires.parse().map_err(|_| unknown())?;
    read_upload(&app, &file, &Ticket { expires, signature }, &headers).await
}

async fn read_upload(app: &App, file: &str, ticket: &Ticket, headers: &HeaderMap) -> Result<Response, Error> {
    let id = file.split('.').next().and_then(UploadId::parse).ok_or_else(unknown)?;
    if !app.links.allows(Purpose::Upload, id.as_str(), ticket.expires, &ticket.signature) {
        return Err(unknown().into());
    }
    let upload = app.store.upload(&id).await?.ok_or_else(unknown)?;
    let UploadState::Ready(facts) = upload.state else { return Err(unknown().into()) };
    stored_file(&app.blobs, headers, &facts.blob, &facts.content_type).await?.ok_or_else(|| unknown().into())
}

async fn put_upload(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    ticket: Signed,
    request: Request,
) -> Result<Response, Error> {
    let Query(ticket) = ticket.map_err(|_| unknown())?;
    let id = UploadId::parse(&id).ok_or_else(unknown)?;
    if !app.links.allows(Purpose::Put, id.as_str(), ticket.expires, &ticket.signature) {
        return Err(unknown().into());
    }
    let key = key_of(&app, &id).await?;
    let (parts, body) = request.into_parts();
    let bytes = app.bodies.read(&key, &parts.headers, body, UPLOAD_LIMIT).await.map_err(Refusal::from)?;
    finish_ticket(&app, &id, bytes).await?;
    Ok(StatusCode::OK.into_response())
}

/// Whose upload `id` is. Its ticket ends with the key, and its bytes count on the key's share.
async fn key_of(app: &App, id: &UploadId) -> Result<KeyId, Refusal> {
    let upload = app.store.upload(id).await?.ok_or_else(unknown)?;
    Ok(app.store.key(&upload.key).await?.ok_or_else(unknown)?.id)
}

/// A part that was taken, as its client repeats it when it completes the upload.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TakenPart {
    part_number: u32,
    etag: String,
}

async fn put_signed_part(
    State(app): State<Arc<App>>,
    Path((id, number)): Path<(String, String)>,
    ticket: Signed,
    request: Request,
) -> Result<Response, Error> {
    let id = signed_parts(&app, &id, ticket)?;
    take_part(&app, &id, &number, request).await
}

async fn put_part_behind(
    State(app): State<Arc<App>>,
    Path((_, _, file, ticket, number)): Path<(String, String, String, String, String)>,
    request: Request,
) -> Result<Response, Error> {
    let id = parts_behind(&app, &file, &ticket)?;
    take_part(&app, &id, &number, request).await
}

async fn complete_signed(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    ticket: Signed,
    request: Request,
) -> Result<Response, Error> {
    let id = signed_parts(&app, &id, ticket)?;
    complete_parts(&app, &id, request).await
}

async fn complete_behind(
    State(app): State<Arc<App>>,
    Path((_, _, file, ticket)): Path<(String, String, String, String)>,
    request: Request,
) -> Result<Response, Error> {
    let id = parts_behind(&app, &file, &ticket)?;
    complete_parts(&app, &id, request).await
}

/// The upload whose parts the query of an address allows to send.
fn signed_parts(app: &App, id: &str, ticket: Signed) -> Result<UploadId, Refusal> {
    let Query(ticket) = ticket.map_err(|_| unknown())?;
    let id = UploadId::parse(id).ok_or_else(unknown)?;
    let allowed = app.links.allows(Purpose::Parts, id.as_str(), ticket.expires, &ticket.signature);
    allowed.then_some(id).ok_or_else(unknown)
}

/// The upload whose parts a ticket behind the address of `file` allows to send.
fn parts_behind(app: &App, file: &str, ticket: &str) -> Result<UploadId, Refusal> {
    let id = file.split('.').next().and_then(UploadId::parse).ok_or_else(unknown)?;
    app.links.allows_parts(&id, ticket).then_some(id).ok_or_else(unknown)
}

async fn take_part(app: &App, id: &UploadId, number: &str, request: Request) -> Result<Response, Error> {
    // One that is no number is refused as one that no part has.
    let part_number = number.parse().unwrap_or(0);
    let key = key_of(app, id).await?;
    let (head, body) = request.into_parts();
    let bytes = app.bodies.read(&key, &head.headers, body, most_bytes()).await.map_err(Refusal::from)?;
    let etag = put_part(app, id, part_number, bytes).await?;
    let header = HeaderValue::from_str(&etag).map_err(|_| Refusal::Internal)?;
    let mut response = Json(TakenPart { part_number, etag }).into_response();
    response.headers_mut().insert(header::ETAG, header);
    Ok(response)
}

async fn complete_parts(app: &App, id: &UploadId, request: Request) -> Result<Response, Error> {
    let key = key_of(app, id).await?;
    let (head, body) = request.into_parts();
    let (object, _) = read_object(app, &key, &head.headers, body, Fields::small(&["parts"])).await?;
    let upload = complete(app, id, &object).await?;
    let UploadState::Ready(facts) = upload.state else { return Err(Refusal::Internal.into()) };
    Ok(Json(serde_json::json!({"size": facts.bytes, "content_type": facts.content_type})).into_response())
}
