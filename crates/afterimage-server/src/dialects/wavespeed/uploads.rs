//! Both upload flows: the file in a form, and a ticket with the bytes following by PUT.

use super::error::Answer;
use super::prediction::Envelope;
use crate::files::{Media, create_ticket, store_upload};
use crate::http::PublicUrl;
use crate::http::body::UPLOAD_LIMIT;
use crate::http::json::{Fields, read_object};
use crate::http::multipart::parts;
use crate::parameters::{Kind, Parameter, parse};
use crate::problem::{Problem, ProblemKind};
use crate::refusal::Refusal;
use afterimage_core::PictureLimits;
use afterimage_jobs::{ApiKey, UploadState};
use axum::Json;
use axum::extract::{Extension, Request, State};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A stored file.
#[derive(Debug, Serialize, ToSchema)]
pub struct Uploaded {
    /// `image`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Where to read it; usable as `image`.
    download_url: String,
    /// As sent.
    filename: String,
    /// Bytes.
    size: u64,
}

/// Where to send the bytes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ticket)]
pub struct UploadTicket {
    /// Where the file will be; usable as `image` once the bytes are there.
    download_url: String,
    /// The request that takes the bytes, without a key.
    upload: TicketRequest,
}

/// The request that takes the bytes.
#[derive(Debug, Serialize, ToSchema)]
pub struct TicketRequest {
    /// `PUT`.
    method: &'static str,
    /// Its address.
    url: String,
    /// Headers to send with it.
    headers: BTreeMap<&'static str, String>,
}

/// Upload a picture in a form
#[utoipa::path(post, path = "/api/v3/media/upload/binary", tag = "wavespeed", responses((status = 200, description = "The stored file", body = Envelope<Uploaded>)))]
pub async fn binary(
    State(media): State<Media>,
    State(public_url): State<PublicUrl>,
    Extension(key): Extension<ApiKey>,
    request: Request,
) -> Answer<Json<Envelope<Uploaded>>> {
    let (head, body) = request.into_parts();
    // Parts are copies: the body stays until the file is stored, and with it its share of memory.
    let body = media.bodies.read(&key.id, &head.headers, body, UPLOAD_LIMIT).await.map_err(Refusal::from)?;
    let parts = parts(&head.headers, body.clone(), |name| name == "file")
        .await
        .map_err(|error| Refusal::BadBody(error.to_string()))?;
    let file = parts.into_iter().next().ok_or_else(|| {
        Refusal::from(Problem::new("file", ProblemKind::Missing, "missing; expected a form field with the picture"))
    })?;
    let filename = file.filename.unwrap_or_default();
    let upload = store_upload(&media, &key.id, &filename, file.bytes, None).await?;
    let UploadState::Ready(facts) = &upload.state else { return Err(Refusal::Internal.into()) };
    let base = public_url.for_request(&head.headers);
    Ok(Json(Envelope::success(Uploaded {
        kind: "image",
        download_url: media.links.upload(&base, &upload, &facts.content_type),
        filename: upload.filename.clone(),
        size: facts.bytes,
    })))
}

/// Ask where to send a picture
///
/// The bytes follow by the request that the answer describes.
#[utoipa::path(post, path = "/api/v3/media/uploads", tag = "wavespeed", responses((status = 200, description = "Where to send it", body = Envelope<UploadTicket>)))]
pub async fn ticket(
    State(media): State<Media>,
    State(public_url): State<PublicUrl>,
    Extension(key): Extension<ApiKey>,
    request: Request,
) -> Answer<Json<Envelope<UploadTicket>>> {
    let (head, body) = request.into_parts();
    let (object, _) =
        read_object(&media.bodies, &key.id, &head.headers, body, Fields::of(&ticket_parameters())).await?;
    let values = parse(&ticket_parameters(), &object).map_err(Refusal::from)?;
    let declared_type = values.text("content_type").unwrap_or_default();
    let filename = values.text("filename").filter(|name| !name.trim().is_empty()).ok_or_else(|| {
        Refusal::from(Problem::new("filename", ProblemKind::Missing, "empty; expected the file's name, such as in.png"))
    })?;
    let upload = create_ticket(&media, &key.id, filename, declared_type, None).await?;
    let base = public_url.for_request(&head.headers);
    let mut headers = BTreeMap::new();
    if !declared_type.is_empty() {
        headers.insert("Content-Type", declared_type.to_owned());
    }
    Ok(Json(Envelope::success(UploadTicket {
        download_url: media.links.upload(&base, &upload, declared_type),
        upload: TicketRequest { method: "PUT", url: media.links.put(&base, &upload), headers },
    })))
}

/// What a ticket's request takes.
pub fn ticket_parameters() -> [Parameter; 3] {
    let most = i64::try_from(PictureLimits::default().file_bytes).unwrap_or(i64::MAX);
    [
        Parameter::required("filename", Kind::Text { max_bytes: 16 * 1024 }, "Name for showing."),
        Parameter::optional("size", Kind::Integer { range: 1..=most, default: None }, "Bytes of the file."),
        Parameter::optional("content_type", Kind::Text { max_bytes: 255 }, "Media type."),
    ]
}
