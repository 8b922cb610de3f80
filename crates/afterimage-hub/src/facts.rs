//! What the hub says of one file before it is fetched.

use crate::checksum::Checksum;
use crate::client::{Elsewhere, HubClient, RequestFailure};
use crate::error::HubError;
use crate::file_path::FilePath;
use crate::repository_name::{CommitId, RepositoryName};
use reqwest::header::{CONTENT_LENGTH, ETAG, HeaderMap};
use reqwest::{Method, StatusCode};
use url::Url;

/// Length and checksum of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileFacts {
    pub checksum: Checksum,
    pub size: u64,
}

/// The address of `file` at `commit`.
pub(crate) fn address(client: &HubClient, repository: &RepositoryName, commit: &CommitId, file: &FilePath) -> Url {
    let folder = [repository.owner(), repository.name(), "resolve", commit.as_str()];
    client.address(folder.into_iter().chain(file.names()))
}

impl FileFacts {
    /// Asks the hub, with `HEAD`.
    pub async fn fetch(
        client: &HubClient,
        repository: &RepositoryName,
        commit: &CommitId,
        file: &FilePath,
    ) -> Result<Self, RequestFailure> {
        let request = (Method::HEAD, address(client, repository, commit, file));
        let answer = client.send(request, 0, Elsewhere::Stop, (repository, file.as_str())).await?;
        let subject = || format!("{repository}/{file}");
        let refuse = |problem: String| RequestFailure::Lasting(HubError::Transfer { subject: subject(), problem });
        if let Some(found) = text(&answer.hub, "x-repo-commit").filter(|found| *found != commit.as_str()) {
            let found = afterimage_core::shortened(found);
            return Err(refuse(format!("the hub answers for commit {found}, expected {}", commit.as_str())));
        }
        let checksum = checksum(&answer.hub)
            .ok_or_else(|| refuse("the hub names no checksum (ETag); expected a SHA-256 or git's SHA-1".to_owned()))?;
        // A redirect's own length is not the file's.
        let own = (answer.response.status() == StatusCode::OK)
            .then(|| text(answer.response.headers(), CONTENT_LENGTH.as_str()));
        let size = text(&answer.hub, "x-linked-size").or(own.flatten()).and_then(|size| size.parse().ok());
        if let Some(size) = size {
            return Ok(Self { checksum, size });
        }
        // Mirrors that send on without a word about the length: the store knows it.
        let request = (Method::HEAD, address(client, repository, commit, file));
        let answer = client.send(request, 0, Elsewhere::Follow, (repository, file.as_str())).await?;
        let size = text(answer.response.headers(), CONTENT_LENGTH.as_str()).and_then(|size| size.parse().ok());
        let size = size.ok_or_else(|| refuse("neither the hub nor its store names a length".to_owned()))?;
        Ok(Self { checksum, size })
    }
}

/// The checksum that the hub's headers name, of large files in a header of its own.
pub(crate) fn checksum(hub: &HeaderMap) -> Option<Checksum> {
    Checksum::from_etag(text(hub, "x-linked-etag").or_else(|| text(hub, ETAG.as_str()))?)
}

/// A header's text.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
