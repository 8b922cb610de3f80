//! Uploads that come in parts: any number of requests in any order, then one that puts them together.
//!
//! The parts lie in a folder of the upload until then. What goes wrong with them (a client that is gone, a restart) leaves
//! files that the sweep for orphans removes.

use super::links::PUT_LIFETIME;
use super::uploads::{create_ticket, finish_ticket};
use crate::app::App;
use crate::refusal::Refusal;
use afterimage_core::PictureLimits;
use afterimage_jobs::{Blobs, KeyId, Upload, UploadId, UploadState};
use bytes::{Bytes, BytesMut};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex as Turn, Semaphore};

/// Highest number of a part. Clients make parts of 10 MB.
pub const MOST_PARTS: u32 = 1000;

/// Uploads in parts that one key may have under way: with [`most_bytes`] each they bound what lies on the disk.
const MOST_AT_ONCE: usize = 16;

/// Uploads that are put together at once, each in memory as a whole.
const PUT_TOGETHER: usize = 2;

/// Bytes that all parts of an upload may have, and so one alone: those of a picture.
pub fn most_bytes() -> usize {
    usize::try_from(PictureLimits::default().file_bytes).unwrap_or(usize::MAX)
}

/// Uploads in parts that are under way. One process has the data folder, so it knows all of them; those from before a
/// restart come back with their next part.
#[derive(Debug)]
pub struct UploadsInParts {
    under_way: Mutex<HashMap<UploadId, UnderWay>>,
    put_together: Semaphore,
}

#[derive(Debug)]
struct UnderWay {
    key: KeyId,
    since: Instant,
    /// Bytes of the parts that lie on the disk, as far as this process put them there.
    bytes: u64,
    /// Whoever counts the bytes that are there and adds to them.
    turn: Arc<Turn<()>>,
}

impl Default for UploadsInParts {
    fn default() -> Self {
        Self { under_way: Mutex::default(), put_together: Semaphore::new(PUT_TOGETHER) }
    }
}

impl UploadsInParts {
    /// The turn of `upload`, which counts as under way from now on.
    fn enter(&self, upload: &Upload, lifetime: Duration) -> Result<Arc<Turn<()>>, Refusal> {
        let mut all = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, one| one.since.elapsed() < lifetime);
        if let Some(known) = all.get(&upload.id) {
            return Ok(Arc::clone(&known.turn));
        }
        if all.values().filter(|one| one.key == upload.key).count() >= MOST_AT_ONCE {
            return Err(Refusal::BadBody(format!(
                "{MOST_AT_ONCE} uploads in parts are under way for this key; complete them first"
            )));
        }
        let turn = Arc::<Turn<()>>::default();
        let one = UnderWay { key: upload.key.clone(), since: Instant::now(), bytes: 0, turn: Arc::clone(&turn) };
        all.insert(upload.id.clone(), one);
        Ok(turn)
    }

    /// Notes the bytes of the parts of `upload`.
    fn hold(&self, upload: &UploadId, bytes: u64) {
        let mut all = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(one) = all.get_mut(upload) {
            one.bytes = bytes;
        }
    }

    /// Bytes of the parts of all uploads of `key` but `upload`.
    fn held_beside(&self, upload: &UploadId, key: &KeyId) -> u64 {
        let all = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|(id, one)| *id != upload && one.key == *key).map(|(_, one)| one.bytes).sum()
    }

    fn leave(&self, upload: &UploadId) {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(upload);
    }
}

/// Notes an upload whose bytes come in parts.
///
/// # Errors
/// [`Refusal::BadBody`] when the key has too many under way; those of the store.
pub async fn create_in_parts(
    app: &App,
    key: &KeyId,
    filename: &str,
    declared_type: &str,
    kept_for: Option<Duration>,
) -> Result<Upload, Refusal> {
    let upload = create_ticket(app, key, filename, declared_type, kept_for).await?;
    app.in_parts.enter(&upload, PUT_LIFETIME)?;
    Ok(upload)
}

/// Takes part `number` of the upload `id`, in place of one that came under the same number before; returns its tag.
///
/// # Errors
/// [`Refusal::NotFound`] for an upload that is unknown or complete, [`Refusal::BadBody`] for a number that no part has or
/// a part without bytes, and when all parts together are more than a picture may have; [`Refusal::OverQuota`] and
/// [`Refusal::DiskFull`].
pub async fn put_part(app: &App, id: &UploadId, number: u32, bytes: Bytes) -> Result<String, Refusal> {
    if !(1..=MOST_PARTS).contains(&number) {
        return Err(Refusal::BadBody(format!("part {number}: parts have numbers from 1 to {MOST_PARTS}")));
    }
    if bytes.is_empty() {
        return Err(Refusal::BadBody(format!("part {number}: has no bytes")));
    }
    let upload = pending(app, id).await?;
    let turn = app.in_parts.enter(&upload, PUT_LIFETIME)?;
    let _turn = turn.lock().await;
    let path = Blobs::part_path(id, number);
    let others = app.blobs.list(&Blobs::parts_path(id)).await?;
    let others: u64 = others.iter().filter(|part| part.path != path).map(|part| part.bytes).sum();
    if others + bytes.len() as u64 > most_bytes() as u64 {
        return Err(too_large());
    }
    // Parts are in no row yet, so those that lie there count beside this one, those of the key's other uploads as well.
    let (length, tag) = (bytes.len() as u64, tag(&bytes));
    let beside = others + app.in_parts.held_beside(id, &upload.key);
    let reserved = app.room.reserve_beside(app.store.as_ref(), &upload.key, length, beside).await?;
    app.blobs.put(&path, bytes).await?;
    app.in_parts.hold(id, others + length);
    drop(reserved);
    Ok(tag)
}

/// Puts the parts that `request` lists together and keeps them as the upload `id`. One that is complete already stays as
/// it is: clients repeat the request when its answer was lost.
///
/// # Errors
/// [`Refusal::NotFound`] for an upload that is unknown, [`Refusal::BadBody`] for a list that does not fit what came and
/// for what is no picture.
pub async fn complete(app: &App, id: &UploadId, request: &Map<String, Value>) -> Result<Upload, Refusal> {
    let upload = app.store.upload(id).await?.ok_or_else(unknown)?;
    if matches!(upload.state, UploadState::Ready(_)) {
        return Ok(upload);
    }
    let listed = listed_parts(request)?;
    // The semaphore is never closed.
    let _place = app.in_parts.put_together.acquire().await.map_err(|_| Refusal::Internal)?;
    let turn = app.in_parts.enter(&pending(app, id).await?, PUT_LIFETIME)?;
    let _turn = turn.lock().await;
    let mut whole = BytesMut::new();
    for (number, given) in listed {
        let refused = |what: &str| Refusal::BadBody(format!("part {number}: {what}"));
        let part = app.blobs.get(&Blobs::part_path(id, number)).await?.ok_or_else(|| refused("has not been sent"))?;
        if given.trim_matches('"') != tag(&part).trim_matches('"') {
            return Err(refused("its etag is another one than was answered; send it again"));
        }
        if whole.len() + part.len() > most_bytes() {
            return Err(too_large());
        }
        whole.extend_from_slice(&part);
    }
    let upload = finish_ticket(app, id, whole.freeze()).await?;
    app.in_parts.leave(id);
    if let Err(error) = app.blobs.delete_parts(id).await {
        tracing::warn!(%error, "the parts of an upload were not removed");
    }
    Ok(upload)
}

/// The upload `id` while it takes parts, which it does no longer when its key was revoked.
async fn pending(app: &App, id: &UploadId) -> Result<Upload, Refusal> {
    let upload = app.store.upload(id).await?.filter(|upload| upload.state == UploadState::Pending);
    let upload = upload.ok_or_else(unknown)?;
    app.store.key(&upload.key).await?.map(|_| upload).ok_or_else(unknown)
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
    use afterimage_jobs::Timestamp;
    use serde_json::json;

    fn upload(key: &str) -> Upload {
        Upload {
            id: UploadId::random(),
            key: KeyId::from(key),
            filename: String::new(),
            declared_type: String::new(),
            state: UploadState::Pending,
            created_at: Timestamp(0),
            kept_for: None,
        }
    }

    #[test]
    fn a_key_has_so_many_under_way_whatever_others_do() {
        let (all, hour) = (UploadsInParts::default(), Duration::from_hours(1));
        let first: Vec<Upload> = (0..MOST_AT_ONCE).map(|_| upload("a")).collect();
        assert!(first.iter().all(|upload| all.enter(upload, hour).is_ok()));
        assert!(all.enter(&upload("a"), hour).is_err());
        assert!(all.enter(&first[3], hour).is_ok(), "one that is under way goes on");
        assert!(all.enter(&upload("b"), hour).is_ok());
        all.leave(&first[3].id);
        assert!(all.enter(&upload("a"), hour).is_ok());
        assert!(all.enter(&upload("a"), hour).is_err());
        assert!(all.enter(&upload("a"), Duration::ZERO).is_ok(), "the others are too old");
    }

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
