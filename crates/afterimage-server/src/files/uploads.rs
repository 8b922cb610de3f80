//! Taking in files before a request names them.

use super::media::Media;
use crate::refusal::Refusal;
use afterimage_jobs::{Blobs, KeyId, NewUpload, Upload, UploadFacts, UploadId, UploadState};
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
    media: &Media,
    key: &KeyId,
    filename: &str,
    bytes: Bytes,
    kept_for: Option<Duration>,
) -> Result<Upload, Refusal> {
    let id = UploadId::random();
    let _reserved = media.room.reserve(media.store.as_ref(), key, bytes.len() as u64).await?;
    let facts = store_bytes(media, key, &id, bytes).await?;
    let upload = NewUpload {
        id,
        key: key.clone(),
        filename: shown_name(filename),
        declared_type: facts.content_type.clone(),
        facts: Some(facts),
        kept_for,
    };
    Ok(media.store.create_upload(upload).await?)
}

/// Notes an upload whose bytes come later. It expires as [`store_upload`]'s.
///
/// # Errors
/// [`Refusal::OverQuota`], [`Refusal::DiskFull`], those of the store.
pub async fn create_ticket(
    media: &Media,
    key: &KeyId,
    filename: &str,
    declared_type: &str,
    kept_for: Option<Duration>,
) -> Result<Upload, Refusal> {
    // The bytes come later; who has no room now need not begin.
    drop(media.room.reserve(media.store.as_ref(), key, 0).await?);
    let upload = NewUpload {
        id: UploadId::random(),
        key: key.clone(),
        filename: shown_name(filename),
        declared_type: shown_name(declared_type),
        facts: None,
        kept_for,
    };
    Ok(media.store.create_upload(upload).await?)
}

/// Takes the bytes of a noted upload, on behalf of the key that asked for it.
///
/// # Errors
/// [`Refusal::NotFound`] when the upload is complete already or unknown, or its key was revoked; else as
/// [`store_upload`].
pub async fn finish_ticket(media: &Media, id: &UploadId, bytes: Bytes) -> Result<Upload, Refusal> {
    let refusal = || Refusal::NotFound("unknown upload, or its bytes have come already".to_owned());
    let _sending = media.being_sent.enter(id).ok_or_else(refusal)?;
    let upload = media.store.upload(id).await?.ok_or_else(refusal)?;
    if upload.state != UploadState::Pending || media.store.key(&upload.key).await?.is_none() {
        return Err(refusal());
    }
    let _reserved = media.room.reserve(media.store.as_ref(), &upload.key, bytes.len() as u64).await?;
    let facts = store_bytes(media, &upload.key, id, bytes).await?;
    let blob = facts.blob.clone();
    if let Some(upload) = media.store.finish_upload(id, facts).await? {
        return Ok(upload);
    }
    // Another host was first; what it stored is another file.
    if let Err(error) = media.blobs.delete(&blob).await {
        tracing::warn!(%error, "the bytes of an upload that came twice were not removed");
    }
    Err(refusal())
}

async fn store_bytes(media: &Media, key: &KeyId, id: &UploadId, bytes: Bytes) -> Result<UploadFacts, Refusal> {
    let checked =
        media.pictures.check(key, bytes.clone()).await.map_err(|error| Refusal::BadBody(format!("file: {error}")))?;
    let blob = Blobs::new_upload_path(id, checked.format.media_type());
    let length = bytes.len() as u64;
    media.blobs.put(&blob, bytes).await?;
    Ok(UploadFacts {
        blob,
        content_type: checked.format.media_type().to_owned(),
        bytes: length,
        width: checked.width,
        height: checked.height,
    })
}

/// A client's text for showing: no control characters, bounded. It never becomes a path.
fn shown_name(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(FILENAME_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{BeingSent, FileLinks, Signer, UploadsInParts};
    use crate::free_space::Disks;
    use crate::http::BodyReader;
    use crate::picture_check::PictureChecker;
    use crate::storage_room::StorageRoom;
    use afterimage_core::OutputFormat;
    use afterimage_imaging::{OutputMetadata, Picture, encode};
    use afterimage_jobs::{KeyStore, MemoryStore, NewKey, SystemClock};
    use std::sync::Arc;
    use tempfile::TempDir;

    /// Files of one key, who may keep `quota` bytes.
    async fn media(quota: Option<u64>) -> (Media, KeyId, TempDir) {
        let store = MemoryStore::new(Arc::new(SystemClock));
        let key = store.create_key(NewKey::default()).await.unwrap().0.id;
        let folder = tempfile::tempdir().unwrap();
        let media = Media {
            store: Arc::new(store),
            blobs: Blobs::local(folder.path()).unwrap(),
            redirects: false,
            links: FileLinks::new(Signer::new([1; 32]), Duration::from_hours(1)),
            room: Arc::new(StorageRoom::new(quota, Disks::of(Vec::new()))),
            pictures: PictureChecker::default(),
            bodies: BodyReader::default(),
            in_parts: Arc::<UploadsInParts>::default(),
            being_sent: Arc::<BeingSent>::default(),
        };
        (media, key, folder)
    }

    fn png() -> Bytes {
        let picture = Picture::from_rgb(4, 3, vec![7; 36]).unwrap();
        encode(&picture, OutputFormat::Png, &OutputMetadata::minimal()).unwrap().into()
    }

    #[tokio::test]
    async fn pictures_are_kept_and_nothing_else() {
        let (media, key, _folder) = media(None).await;
        let upload = store_upload(&media, &key, "a.png", png(), None).await.unwrap();
        let UploadState::Ready(facts) = upload.state else { panic!("{:?}", upload.state) };
        assert_eq!((facts.content_type.as_str(), facts.width, facts.height), ("image/png", 4, 3));
        assert_eq!(media.blobs.get(&facts.blob).await.unwrap().unwrap(), png());
        let refused = store_upload(&media, &key, "a.png", Bytes::from_static(b"<svg/>"), None).await;
        assert!(matches!(refused, Err(Refusal::BadBody(_))), "{refused:?}");
    }

    #[tokio::test]
    async fn a_ticket_takes_its_bytes_once() {
        let (media, key, _folder) = media(None).await;
        let ticket = create_ticket(&media, &key, "a.png", "image/png", None).await.unwrap();
        assert_eq!(ticket.state, UploadState::Pending);
        let upload = finish_ticket(&media, &ticket.id, png()).await.unwrap();
        assert!(matches!(upload.state, UploadState::Ready(_)));
        assert!(matches!(finish_ticket(&media, &ticket.id, png()).await, Err(Refusal::NotFound(_))));
        let late = create_ticket(&media, &key, "b.png", "image/png", None).await.unwrap();
        media.store.revoke_key(&key).await.unwrap();
        assert!(matches!(finish_ticket(&media, &late.id, png()).await, Err(Refusal::NotFound(_))), "its key is gone");
    }

    /// Each host knows only its own senders; both find the upload pending.
    #[tokio::test]
    async fn of_two_hosts_that_take_the_same_upload_one_keeps_its_file() {
        let (media, key, _folder) = media(None).await;
        for _ in 0..50 {
            let elsewhere = Media { being_sent: Arc::default(), in_parts: Arc::default(), ..media.clone() };
            let ticket = create_ticket(&media, &key, "a.png", "image/png", None).await.unwrap();
            let (here, there) =
                tokio::join!(finish_ticket(&media, &ticket.id, png()), finish_ticket(&elsewhere, &ticket.id, png()));
            let taken: Vec<Upload> = [here, there].into_iter().filter_map(Result::ok).collect();
            let [Upload { state: UploadState::Ready(facts), .. }] = &taken[..] else { panic!("{taken:?}") };
            let folder = format!("uploads/{}", ticket.id);
            let files: Vec<String> =
                media.blobs.list(&folder).await.unwrap().into_iter().map(|file| file.path).collect();
            assert_eq!(files, std::slice::from_ref(&facts.blob));
        }
    }

    #[tokio::test]
    async fn a_key_keeps_no_more_than_its_quota() {
        let (media, key, _folder) = media(Some(png().len() as u64)).await;
        store_upload(&media, &key, "a.png", png(), None).await.unwrap();
        let refused = store_upload(&media, &key, "b.png", png(), None).await;
        assert!(matches!(refused, Err(Refusal::OverQuota { .. })), "{refused:?}");
        assert!(create_ticket(&media, &key, "c.png", "", None).await.is_err(), "nor may it begin another one");
    }

    #[test]
    fn names_are_bounded_and_printable() {
        assert_eq!(shown_name("a\0b\r\nc.png"), "abc.png");
        assert_eq!(shown_name(&"x".repeat(5000)).len(), FILENAME_CHARACTERS);
    }
}
