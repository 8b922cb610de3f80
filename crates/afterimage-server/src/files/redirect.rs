//! Sending whoever asks for a file to the bucket that has it.

use super::media::Media;
use crate::refusal::Refusal;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::time::Duration;

/// How long the bucket's address works: enough to begin a download.
const VALID_FOR: Duration = Duration::from_mins(5);

/// An answer with the bucket's own address of the file, if that is how files are to be given out. It works for GET alone, so
/// other methods are answered here.
///
/// # Errors
/// [`Refusal::Unavailable`] when there are no credentials to sign it with.
pub(super) async fn redirect(media: &Media, method: &Method, path: &str) -> Result<Option<Response>, Refusal> {
    if !media.redirects || method != Method::GET {
        return Ok(None);
    }
    let Some(address) = media.blobs.address(path, VALID_FOR).await? else { return Ok(None) };
    let mut response = StatusCode::TEMPORARY_REDIRECT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, HeaderValue::from_str(&address).map_err(|_| Refusal::Internal)?);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(Some(response))
}
