//! Taking in files before a request names them.

use crate::app::App;
use crate::refusal::Refusal;
use afterimage_jobs::{Blobs, KeyId, NewUpload, Upload, UploadFacts, UploadId};
use bytes::Bytes;
use std::time::Duration;

/// Longest file name that is kept, for showing.
const FILENAME_CHARACTERS: usize = 200;

/// Checks `bytes` as a picture and stores them as an upload of `key`, which expires after `kept_for` if that is shorter
/// than usual.
///
/// # Errors
/// [`Refusal::BadBody`] for anything that is not a readable picture within the limits; [`Refusal::OverQuota`] and
/// [`Refusal::DiskFull`]; those of the store.
pub async fn store_upload(
    app: &App,
    key: &KeyId,
    filename: &str,
    bytes: Bytes,
    kept_for: Option<Duration>,
) -> Result<Upload, Refusal> {
    let id = UploadId::random();
    let _reserved = app.room.reserve(app.store.as_ref(), key, bytes.len() as u64).await?;
    let facts = store_bytes(app, key, &id, bytes).await?;
    let upload = NewUpload {
        id,
        key: key.clone(),
        filename: shown_name(filename),
        declared_type: facts.content_type.clone(),
        facts: Some(facts),
        kept_for,
    };
    Ok(app.store.create_upload(upload).await?)
}

/// Notes an upload whose bytes come later. It expires as [`store_upload`]'s.
///
/// # Errors
/// [`Refusal::OverQuota`], [`Refusal::DiskFull`], those of the store.
pub async fn create_ticket(
    app: &App,
    key: &KeyId,
    filename: &str,
    declared_type: &str,
    kept_for: Option<Duration>,
) -> Result<Upload, Refusal> {
    // The bytes come later; who has no room now need not begin.
    drop(app.room.reserve(app.store.as_ref(), key, 0).await?);
    let upload = NewUpload {
        id: UploadId::random(),
        key: key.clone(),
        filename: shown_name(filename),
        declared_type: shown_name(declared_type),
        facts: None,
        kept_for,
    };
    Ok(app.store.create_upload(upload).await?)
}

/// Takes the bytes of a noted upload, on behalf of the key that asked for it.
///
/// # Errors
/// [`Refusal::NotFound`] when the upload is complete already or unknown, or its key was revoked; else as
/// [`store_upload`].
pub async fn finish_ticket(app: &App, id: &UploadId, bytes: Bytes) -> Result<Upload, Refusal> {
    let refusal = || Refusal::NotFound("unknown upload, or its bytes have come already".to_owned());
    let _sending = app.being_sent.enter(id).ok_or_else(refusal)?;
    let upload = app.store.upload(id).await?.ok_or_else(refusal)?;
    if upload.state != afterimage_jobs::UploadState::Pending || app.store.key(&upload.key).await?.is_none() {
        return Err(refusal());
    }
    let _reserved = app.room.reserve(app.store.as_ref(), &upload.key, bytes.len() as u64).await?;
    let facts = store_bytes(app, &upload.key, id, bytes).await?;
    app.store.finish_upload(id, facts).await?.ok_or_else(refusal)
}

async fn store_bytes(app: &App, key: &KeyId, id: &UploadId, bytes: Bytes) -> Result<UploadFacts, Refusal> {
    let facts =
        app.decode.inspect(key, bytes.clone()).await.map_err(|error| Refusal::BadBody(format!("file: {error}")))?;
    let blob = Blobs::upload_path(id);
    let length = bytes.len() as u64;
    app.blobs.put(&blob, bytes).await?;
    Ok(UploadFacts {
        blob,
        content_type: facts.format.media_type().to_owned(),
        bytes: length,
        width: facts.width,
        height: facts.height,
    })
}

/// A client's text for showing: no control characters, bounded. It never becomes a path.
fn shown_name(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(FILENAME_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_printable() {
        assert_eq!(shown_name("a\0b\r\nc.png"), "abc.png");
        assert_eq!(shown_name(&"x".repeat(5000)).len(), FILENAME_CHARACTERS);
    }
}
