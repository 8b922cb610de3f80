//! Uploads by ticket: the answer says where to send the bytes, and where they will be.

use super::error::{Answer, Error};
use super::lifecycle::kept_for;
use crate::app::App;
use crate::dialects::json::{Fields, read_object};
use crate::dialects::parameters::{Kind, Parameter, parse};
use crate::files::create_ticket;
use crate::refusal::Refusal;
use afterimage_core::PictureLimits;
use afterimage_jobs::ApiKey;
use axum::Json;
use axum::extract::{Extension, Request, State};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Where to send a file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FalUploadTicket)]
pub struct Ticket {
    /// Takes the bytes by PUT, once, without a key.
    upload_url: String,
    /// Where the file will be; usable as `image_url` once the bytes are there.
    file_url: String,
}

/// Ask where to send a picture
///
/// The bytes follow by `PUT` to `upload_url`. Any `storage_type` is taken and means the same.
#[utoipa::path(post, path = "/storage/upload/initiate", tag = "fal", responses((status = 200, description = "Where to send it", body = Ticket)))]
pub async fn initiate(
    State(app): State<Arc<App>>,
    Extension(key): Extension<ApiKey>,
    request: Request,
) -> Answer<Json<Ticket>> {
    let (head, body) = request.into_parts();
    let (object, _) = read_object(&app, &key.id, &head.headers, body, Fields::of(&ticket_parameters())).await?;
    let values = parse(&ticket_parameters(), &object).map_err(Refusal::from)?;
    let declared_type = values.text("content_type").unwrap_or_default();
    let name = values.text("file_name").unwrap_or_default();
    let upload = create_ticket(&app, &key.id, name, declared_type, kept_for(&head.headers)?).await?;
    let base = app.public_url.for_request(&head.headers);
    Ok(Json(Ticket {
        upload_url: app.links.put(&base, &upload),
        file_url: app.links.upload(&base, &upload, declared_type),
    }))
}

/// Ask where to send a picture in parts
///
/// Always refused: clients do so for files of more than 90 MB, which is more than a picture may have.
#[utoipa::path(post, path = "/storage/upload/initiate-multipart", tag = "fal", responses((status = 400, description = "Too large for a picture", body = super::error::ErrorBody)))]
pub async fn initiate_parts() -> Error {
    parts_refusal().into()
}

/// Why nothing is taken in parts: told before the client sends all that would be refused at the end.
pub fn parts_refusal() -> Refusal {
    let most = PictureLimits::default().file_bytes / 1_000_000;
    Refusal::BadBody(format!(
        "uploads in parts are not supported: a picture may have at most {most} MB, which fit in one request"
    ))
}

/// What a ticket's request takes.
pub fn ticket_parameters() -> [Parameter; 2] {
    [
        Parameter::optional("content_type", Kind::Text { max_bytes: 255 }, "Media type."),
        Parameter::optional("file_name", Kind::Text { max_bytes: 16 * 1024 }, "Name for showing."),
    ]
}
