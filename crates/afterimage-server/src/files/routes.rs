//! Serving files, and taking the bytes of uploads.

use super::signing::Purpose;
use super::uploads::finish_ticket;
use crate::app::App;
use crate::error_shape::{Neutral, Refused};
use crate::http::body::UPLOAD_LIMIT;
use crate::refusal::Refusal;
use afterimage_jobs::{JobId, UploadId, UploadState};
use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use serde::Deserialize;
use std::sync::Arc;

/// Routes under `/media`.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/results/{job}/{file}", get(result))
        .route("/uploads/{file}", get(upload))
        .route("/put/{id}", put(put_upload))
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
    let output = result.outputs.get(index).ok_or_else(unknown)?;
    file_response(&app, &output.blob, &output.content_type).await
}

async fn upload(State(app): State<Arc<App>>, Path(file): Path<String>, ticket: Signed) -> Result<Response, Error> {
    let Query(ticket) = ticket.map_err(|_| unknown())?;
    let id = file.split('.').next().and_then(UploadId::parse).ok_or_else(unknown)?;
    if !app.links.allows(Purpose::Upload, id.as_str(), ticket.expires, &ticket.signature) {
        return Err(unknown().into());
    }
    let upload = app.store.upload(&id).await?.ok_or_else(unknown)?;
    let UploadState::Ready(facts) = upload.state else { return Err(unknown().into()) };
    file_response(&app, &facts.blob, &facts.content_type).await
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
    // The ticket is its key's: it ends with it, and its bytes count on that key's share.
    let upload = app.store.upload(&id).await?.ok_or_else(unknown)?;
    let key = app.store.key(&upload.key).await?.ok_or_else(unknown)?;
    let (parts, body) = request.into_parts();
    let bytes = app.bodies.read(&key.id, &parts.headers, body, UPLOAD_LIMIT).await.map_err(Refusal::from)?;
    finish_ticket(&app, &id, bytes).await?;
    Ok(StatusCode::OK.into_response())
}

/// The bytes of a stored picture. The type is the one that was found when it was stored, and nothing in the file can
/// become active: no sniffing, no scripts, no framing.
async fn file_response(app: &App, blob: &str, content_type: &str) -> Result<Response, Error> {
    let bytes = app.blobs.get(blob).await?.ok_or_else(unknown)?;
    let mut response = Body::from(bytes).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(content_type).map_err(|_| Refusal::Internal)?);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("inline"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; sandbox; frame-ancestors 'none'"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=3600, immutable"));
    Ok(response)
}
