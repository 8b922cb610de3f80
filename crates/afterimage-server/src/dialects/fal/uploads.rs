//! Uploads by ticket: the answer says where to send the bytes, and where they will be.

use super::error::Answer;
use super::lifecycle::kept_for;
use crate::files::{Media, create_in_parts, create_ticket};
use crate::http::json::{Fields, read_object};
use crate::http::{BodyReader, PublicUrl};
use crate::parameters::{Kind, Parameter, Values, parse};
use crate::refusal::Refusal;
use afterimage_jobs::{ApiKey, KeyId};
use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;

/// Where to send a file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FalUploadTicket)]
pub struct UploadTicket {
    /// Takes the bytes by PUT, once, without a key.
    upload_url: String,
    /// Where the file will be; usable as `image_url` once the bytes are there.
    file_url: String,
}

/// Ask where to send a picture
///
/// The bytes follow by `PUT` to `upload_url`. Any `storage_type` is taken and means the same.
#[utoipa::path(post, path = "/storage/upload/initiate", tag = "fal", responses((status = 200, description = "Where to send it", body = UploadTicket)))]
pub async fn initiate(
    State(media): State<Media>,
    State(public_url): State<PublicUrl>,
    Extension(key): Extension<ApiKey>,
    request: Request,
) -> Answer<Json<UploadTicket>> {
    let (values, headers) = read(&media.bodies, &key.id, request).await?;
    let declared_type = values.text("content_type").unwrap_or_default();
    let name = values.text("file_name").unwrap_or_default();
    let upload = create_ticket(&media, &key.id, name, declared_type, kept_for(&headers)?).await?;
    let base = public_url.for_request(&headers);
    Ok(Json(UploadTicket {
        upload_url: media.links.put(&base, &upload),
        file_url: media.links.upload(&base, &upload, declared_type),
    }))
}

async fn read(bodies: &BodyReader, key: &KeyId, request: Request) -> Result<(Values, HeaderMap), Refusal> {
    let (head, body) = request.into_parts();
    let (object, _) = read_object(bodies, key, &head.headers, body, Fields::of(&ticket_parameters())).await?;
    Ok((parse(&ticket_parameters(), &object)?, head.headers))
}

/// Where to send the parts of a file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FalPartsTicket)]
pub struct PartsUploadTicket {
    /// Takes each part by PUT under its number, `{upload_url}/1` and so on with the query behind it, and the list of them
    /// by POST under `complete`; both without a key.
    upload_url: String,
    /// Where the file will be; usable as `image_url` once it is complete.
    file_url: String,
}

/// Ask where to send a picture in parts
///
/// The parts follow in any order by `PUT`, each answered with its number and etag; `POST` to `complete` with
/// `{"parts": [{"partNumber": 1, "etag": "…"}]}` puts them together. Together they have at most the 50 MB of a picture. Any
/// `storage_type` is taken and means the same.
#[utoipa::path(post, path = "/storage/upload/initiate-multipart", tag = "fal", responses((status = 200, description = "Where to send them", body = PartsUploadTicket)))]
pub async fn initiate_parts(
    State(media): State<Media>,
    State(public_url): State<PublicUrl>,
    Extension(key): Extension<ApiKey>,
    request: Request,
) -> Answer<Json<PartsUploadTicket>> {
    let (values, headers) = read(&media.bodies, &key.id, request).await?;
    let declared_type = values.text("content_type").unwrap_or_default();
    let name = values.text("file_name").unwrap_or_default();
    let upload = create_in_parts(&media, &key.id, name, declared_type, kept_for(&headers)?).await?;
    let base = public_url.for_request(&headers);
    Ok(Json(PartsUploadTicket {
        upload_url: media.links.parts(&base, &upload),
        file_url: media.links.upload(&base, &upload, declared_type),
    }))
}

/// What a ticket's request takes.
pub fn ticket_parameters() -> [Parameter; 2] {
    [
        Parameter::optional("content_type", Kind::Text { max_bytes: 255 }, "Media type."),
        Parameter::optional("file_name", Kind::Text { max_bytes: 16 * 1024 }, "Name for showing."),
    ]
}
