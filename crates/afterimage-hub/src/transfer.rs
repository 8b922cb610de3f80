//! One file from the hub into the cache's `blobs`.

use crate::cache::HubCache;
use crate::client::{Elsewhere, HubAnswer, HubClient, RequestFailure, passing, without_address};
use crate::error::HubError;
use crate::facts::{FileFacts, address, checksum, text};
use crate::file_path::FilePath;
use crate::observer::PullObserver;
use crate::partial::PartialFile;
use crate::repository_name::{CommitId, RepositoryName};
use reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE};
use reqwest::{Method, StatusCode};
use std::time::Duration;

/// How often to look whether another program is done.
const LOCK_PAUSE: Duration = Duration::from_millis(200);

/// What is fetched.
#[derive(Clone, Copy)]
pub(crate) struct Wish<'a> {
    pub repository: &'a RepositoryName,
    pub commit: &'a CommitId,
    pub file: &'a FilePath,
    pub facts: FileFacts,
}

impl Wish<'_> {
    fn failed(&self, problem: impl Into<String>) -> HubError {
        HubError::Transfer { subject: format!("{}/{}", self.repository, self.file), problem: problem.into() }
    }
}

/// Whether the bytes are there: as many as there should be. That they are the right ones was checked when they came, and
/// `verify` checks it again, which leaves a mark where they are not.
pub(crate) fn is_there(cache: &HubCache, wish: &Wish<'_>) -> bool {
    if cache.damage_mark(wish.repository, wish.facts.checksum).exists() {
        return false;
    }
    let blob = cache.blob(wish.repository, wish.facts.checksum);
    blob.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == wish.facts.size)
}

/// Fetches the bytes of `wish` and checks them. What has arrived when it fails is kept for the next try, unless it is wrong.
pub(crate) async fn fetch(
    client: &HubClient,
    cache: &HubCache,
    wish: Wish<'_>,
    observer: &dyn PullObserver,
) -> Result<(), HubError> {
    let _lock = loop {
        match cache.try_lock(wish.repository, wish.facts.checksum)? {
            Some(lock) => break lock,
            None => tokio::time::sleep(LOCK_PAUSE).await,
        }
    };
    if is_there(cache, &wish) {
        observer.advanced(wish.facts.size);
        return Ok(());
    }
    let path = cache.partial(wish.repository, wish.facts.checksum);
    let mut partial = PartialFile::open(path, wish.facts, observer).await?;
    let mut failures = 0;
    while !partial.is_complete() {
        let before = partial.length();
        let (problem, asked) = match receive(client, &wish, &mut partial, observer).await {
            Ok(()) => continue,
            Err(RequestFailure::Lasting(error)) => return Err(error),
            Err(RequestFailure::Passing { problem, pause }) => (problem, pause),
        };
        failures = if partial.length() > before { 1 } else { failures + 1 };
        if failures >= client.patience().attempts {
            let (length, size) = (partial.length(), wish.facts.size);
            let problem = format!("{problem}, after {length} of {size} bytes; the same command goes on from there");
            return Err(wish.failed(problem));
        }
        let pause = client.patience().pause(failures, asked);
        observer.trying_again(&problem, pause);
        tokio::time::sleep(pause).await;
    }
    let size = partial.length();
    match partial.finish(&cache.blob(wish.repository, wish.facts.checksum))? {
        Ok(()) => {
            let _ = std::fs::remove_file(cache.damage_mark(wish.repository, wish.facts.checksum));
            observer.finished(wish.file, size);
            Ok(())
        }
        Err(found) => {
            let expected = wish.facts.checksum;
            let kind = expected.kind();
            let problem = format!(
                "arrived damaged: its {kind} is {found}, expected {expected}; it is removed, run the command again"
            );
            Err(wish.failed(problem))
        }
    }
}

/// Receives what is missing, or a part of it.
async fn receive(
    client: &HubClient,
    wish: &Wish<'_>,
    partial: &mut PartialFile,
    observer: &dyn PullObserver,
) -> Result<(), RequestFailure> {
    let request = (Method::GET, address(client, wish.repository, wish.commit, wish.file));
    let subject = (wish.repository, wish.file.as_str());
    let mut answer = client.send(request, partial.length(), Elsewhere::Follow, subject).await?;
    if answer.response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
        partial.restart(observer)?;
        return Err(passing("the rest cannot be had alone"));
    }
    check(&answer, wish, partial, observer)?;
    loop {
        match answer.response.chunk().await {
            Ok(Some(chunk)) if partial.length() + chunk.len() as u64 > wish.facts.size => {
                partial.restart(observer)?;
                return Err(wish
                    .failed(format!("is longer than the {} bytes that the hub names", wish.facts.size))
                    .into());
            }
            Ok(Some(chunk)) => partial.append(&chunk, observer)?,
            Ok(None) if partial.is_complete() => return Ok(()),
            Ok(None) => return Err(passing("the connection ended early")),
            Err(error) => return Err(passing(&without_address(error))),
        }
    }
}

/// Refuses an answer that is not the rest of this file; starts anew when it is the whole.
fn check(
    answer: &HubAnswer,
    wish: &Wish<'_>,
    partial: &mut PartialFile,
    observer: &dyn PullObserver,
) -> Result<(), RequestFailure> {
    let FileFacts { checksum: expected, size } = wish.facts;
    if let Some(found) = checksum(&answer.hub).filter(|found| *found != expected) {
        let problem =
            format!("changed at the hub while it was fetched (ETag {expected}, now {found}); run the command again");
        return Err(wish.failed(problem).into());
    }
    let headers = answer.response.headers();
    if let Some(encoding) = text(headers, CONTENT_ENCODING.as_str()).filter(|encoding| *encoding != "identity") {
        let problem = format!("comes as {}, expected its own bytes", afterimage_core::shortened(encoding));
        return Err(wish.failed(problem).into());
    }
    let wrong_length = |found: &str| {
        let found = afterimage_core::shortened(found);
        RequestFailure::from(wish.failed(format!("has another length than the hub names: {found}, expected {size}")))
    };
    if answer.response.status() == StatusCode::PARTIAL_CONTENT {
        let range = text(headers, CONTENT_RANGE.as_str()).unwrap_or_default();
        let (start, total) =
            parse_range(range).ok_or_else(|| wish.failed("a part of it comes without Content-Range"))?;
        if total.is_some_and(|total| total != size) {
            return Err(wrong_length(range));
        }
        if start != partial.length() {
            let problem = format!("another part of it comes than was asked for: {}", afterimage_core::shortened(range));
            return Err(wish.failed(problem).into());
        }
        return Ok(());
    }
    // Whoever does not know ranges sends the whole.
    if partial.length() > 0 {
        partial.restart(observer)?;
    }
    match text(headers, CONTENT_LENGTH.as_str()) {
        Some(length) if length != size.to_string() => Err(wrong_length(length)),
        _ => Ok(()),
    }
}

/// First byte and length of the whole in `bytes FIRST-LAST/LENGTH`; the length may be `*`.
fn parse_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some((start.parse().ok()?, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        assert_eq!(parse_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(parse_range("bytes 5-9/*"), Some((5, None)));
        for text in ["", "bytes */10", "bytes 5-9", "5-9/10", "bytes x-9/10", "bytes 5-9/x"] {
            assert_eq!(parse_range(text), None, "{text}");
        }
    }
}
