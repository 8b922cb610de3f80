//! Uploads that come in parts: any number of requests in any order, then one that puts them together.
//!
//! The parts lie in a folder of the upload until then. What goes wrong with them (a client that is gone, a restart) leaves
//! files that the sweep for orphans removes.

use super::links::PUT_LIFETIME;
use super::media::Media;
use super::uploads::{create_ticket, finish_ticket};
use crate::refusal::Refusal;
use afterimage_core::PictureLimits;
use afterimage_jobs::{Blobs, KeyId, Upload, UploadId, UploadState};
use bytes::{Bytes, BytesMut};
use serde_json::{Map, Value};
use std::time::Duration;

/// Highest number of a part. Clients make parts of 10 MB.
pub const MOST_PARTS: u32 = 1000;

/// Bytes that all parts of an upload may have, and so one alone: those of a picture.
pub fn most_bytes() -> usize {
    usize::try_from(PictureLimits::default().file_bytes).unwrap_or(usize::MAX)
}

/// Notes an upload whose bytes come in parts.
///
/// # Errors
/// [`Refusal::BadBody`] when the key has too many under way; those of the store.
pub async fn create_in_parts(
    media: &Media,
    key: &KeyId,
    filename: &str,
    declared_type: &str,
    kept_for: Option<Duration>,
) -> Result<Upload, Refusal> {
    let upload = create_ticket(media, key, filename, declared_type, kept_for).await?;
    media.in_parts.enter(&upload, PUT_LIFETIME)?;
    Ok(upload)
}

/// Takes part `number` of the upload `id`, in place of one that came under the same number before; returns its tag.
///
/// # Errors
/// [`Refusal::NotFound`] for an upload that is unknown or complete, [`Refusal::BadBody`] for a number that no part has or
/// a part without bytes, and when all parts together are more than a picture may have; [`Refusal::OverQuota`] and
/// [`Refusal::DiskFull`].
pub async fn put_part(media: &Media, id: &UploadId, number: u32, bytes: Bytes) -> Result<String, Refusal> {
    if !(1..=MOST_PARTS).contains(&number) {
        return Err(Refusal::BadBody(format!("part {number}: parts have numbers from 1 to {MOST_PARTS}")));
    }
    if bytes.is_empty() {
        return Err(Refusal::BadBody(format!("part {number}: has no bytes")));
    }
    let upload = pending(media, id).await?;
    let turn = media.in_parts.enter(&upload, PUT_LIFETIME)?;
    let _turn = turn.lock().await;
    let path = Blobs::part_path(id, number);
    let others = media.blobs.list(&Blobs::parts_path(id)).await?;
    let others: u64 = others.iter().filter(|part| part.path != path).map(|part| part.bytes).sum();
    if others + bytes.len() as u64 > most_bytes() as u64 {
        return Err(too_large());
    }
    // Parts are in no row yet, so those that lie there count beside this one, those of the key's other uploads as well.
    let (length, tag) = (bytes.len() as u64, tag(&bytes));
    let beside = others + media.in_parts.held_beside(id, &upload.key);
    let reserved = media.room.reserve_beside(media.store.as_ref(), &upload.key, length, beside).await?;
    media.blobs.put(&path, bytes).await?;
    media.in_parts.hold(id, others + length);
    drop(reserved);
    Ok(tag)
}

/// Puts the parts that `request` lists together and keeps them as the upload `id`. One that is complete already stays as
/// it is: clients repeat the request when its answer was lost.
///
/// # Errors
/// [`Refusal::NotFound`] for an upload that is unknown, [`Refusal::BadBody`] for a list that does not fit what came and
/// for what is no picture.
pub async fn complete(media: &Media, id: &UploadId, request: &Map<String, Value>) -> Result<Upload, Refusal> {
    let upload = media.store.upload(id).await?.ok_or_else(unknown)?;
    if matches!(upload.state, UploadState::Ready(_)) {
        return Ok(upload);
    }
    let listed = listed_parts(request)?;
    let _turn_to_put_together = media.in_parts.turn_to_put_together().await?;
    let turn = media.in_parts.enter(&pending(media, id).await?, PUT_LIFETIME)?;
    let _turn = turn.lock().await;
    let mut whole = BytesMut::new();
    for (number, given) in listed {
        let refused = |what: &str| Refusal::BadBody(format!("part {number}: {what}"));
        let part = media.blobs.get(&Blobs::part_path(id, number)).await?.ok_or_else(|| refused("has not been sent"))?;
        if given.trim_matches('"') != tag(&part).trim_matches('"') {
            return Err(refused("its etag is another one than was answered; send it again"));
        }
        if whole.len() + part.len() > most_bytes() {
            return Err(too_large());
        }
        whole.extend_from_slice(&part);
    }
    let upload = finish_ticket(media, id, whole.freeze()).await?;
    media.in_parts.leave(id);
    if let Err(error) = media.blobs.delete_parts(id).await {
        tracing::warn!(%error, "the parts of an upload were not removed");
    }
    Ok(upload)
}

/// The upload `id` while it takes parts, which it does no longer when its key was revoked.
async fn pending(media: &Media, id: &UploadId) -> Result<Upload, Refusal> {
    let upload = media.store.upload(id).await?.filter(|upload| upload.state == UploadState::Pending);
    let upload = upload.ok_or_else(unknown)?;
    media.store.key(&upload.key).await?.map(|_| upload).ok_or_else(unknown)
}

fn too_large() -> Refusal {
    let most = most_bytes() / 1_000_000;
    Refusal::BadBody(format!("all parts together have more than {most} MB, the most that a picture may have"))
}

fn unknown() -> Refusal {
    Refusal::NotFound("unknown upload, or it is complete already".to_owned())
}

/// The tag of a part, in quotes as in `ETag`.
fn tag(bytes: &[u8]) -> String {
    format!("\"{}\"", Blobs::sha256(bytes))
}

/// Numbers and tags under `parts`, in the order of the numbers.
fn listed_parts(request: &Map<String, Value>) -> Result<Vec<(u32, String)>, Refusal> {
    let refused = |what: &str| {
        let expected = "expected [{\"partNumber\": 1, \"etag\": \"…\"}, …] with each part once";
        Refusal::BadBody(format!("parts: {what}; {expected}"))
    };
    let list = request.get("parts").and_then(Value::as_array).filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| refused("missing"))?;
    let read = |part: &Value| {
        let number = part.get("partNumber").or_else(|| part.get("part_number"))?;
        let number = number.as_u64().or_else(|| number.as_str()?.parse().ok())?;
        let number = u32::try_from(number).ok().filter(|number| (1..=MOST_PARTS).contains(number))?;
        Some((number, part.get("etag").or_else(|| part.get("ETag"))?.as_str()?.to_owned()))
    };
    let mut parts: Vec<_> =
        list.iter().map(read).collect::<Option<_>>().ok_or_else(|| refused("a part is unreadable"))?;
    parts.sort();
    if parts.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(refused("a part is listed twice"));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_are_sorted_and_checked() {
        let of = |parts: Value| listed_parts(json!({"parts": parts}).as_object().unwrap());
        let good = json!([{"partNumber": 2, "etag": "b"}, {"partNumber": "1", "ETag": "a"}]);
        assert_eq!(of(good).unwrap(), [(1, "a".to_owned()), (2, "b".to_owned())]);
        for bad in [
            json!(null),
            json!([]),
            json!("x"),
            json!([{}]),
            json!([{"partNumber": 0, "etag": "a"}]),
            json!([{"partNumber": 1001, "etag": "a"}]),
            json!([{"partNumber": 1.5, "etag": "a"}]),
            json!([{"partNumber": 1}]),
            json!([{"partNumber": 1, "etag": "a"}, {"partNumber": 1, "etag": "b"}]),
        ] {
            assert!(matches!(of(bad.clone()), Err(Refusal::BadBody(_))), "{bad}");
        }
    }
}
