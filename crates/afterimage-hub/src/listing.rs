//! What a repository holds, as the hub's `/api/models/…/revision/…` tells it.

use crate::client::{Elsewhere, HubClient, RequestFailure, passing, without_address};
use crate::error::HubError;
use crate::file_path::FilePath;
use crate::licence::Licence;
use crate::refusal::page;
use crate::repository_name::{CommitId, RepositoryName, Revision};
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

/// Largest answer that is read: thousands of files.
const MOST_BYTES: usize = 32 << 20;

/// A repository at one commit.
#[derive(Debug)]
pub(crate) struct RepositoryListing {
    pub commit: CommitId,
    pub files: Vec<FilePath>,
    pub licence: Licence,
}

#[derive(Deserialize)]
struct ModelInfo {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
    /// `false`, `"auto"` or `"manual"`.
    #[serde(default)]
    gated: Value,
    #[serde(default, rename = "cardData")]
    card_data: Value,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl RepositoryListing {
    /// Asks the hub.
    pub async fn fetch(
        client: &HubClient,
        repository: &RepositoryName,
        revision: &Revision,
    ) -> Result<Self, RequestFailure> {
        let names = ["api", "models", repository.owner(), repository.name(), "revision", revision.as_str()];
        let request = (Method::GET, client.address(names));
        let mut answer = client.send(request, 0, Elsewhere::Follow, (repository, revision.as_str())).await?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.response.chunk().await.map_err(|error| passing(&without_address(error)))? {
            body.extend_from_slice(&chunk);
            if body.len() > MOST_BYTES {
                return Err(nonsense(repository, "the list of files is longer than 32 MB").into());
            }
        }
        Ok(Self::parse(&body, repository, &page(client.endpoint(), repository))?)
    }

    /// Reads the hub's JSON. One name that could leave the cache spoils the whole: nobody has such a file with good
    /// intent.
    fn parse(body: &[u8], repository: &RepositoryName, page: &str) -> Result<Self, HubError> {
        let info: ModelInfo = serde_json::from_slice(body)
            .map_err(|error| nonsense(repository, &format!("the list of files cannot be read: {error}")))?;
        let commit = CommitId::parse(&info.sha).ok_or_else(|| {
            nonsense(repository, &format!("`{}` is no commit", afterimage_core::shortened(&info.sha)))
        })?;
        let file = |sibling: &Sibling| {
            FilePath::parse(&sibling.rfilename).map_err(|problem| {
                let name = sibling.rfilename.escape_debug().to_string();
                nonsense(
                    repository,
                    &format!("the hub lists a file `{}`, which {problem}", afterimage_core::shortened(&name)),
                )
            })
        };
        let files = info.siblings.iter().map(file).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { commit, files, licence: licence(&info, page) })
    }
}

fn licence(info: &ModelInfo, page: &str) -> Licence {
    let card = |key: &str| {
        let value = info.card_data.get(key)?;
        // Several licences are a list.
        value.as_str().or_else(|| value.get(0)?.as_str()).map(str::to_owned)
    };
    let tag = info.tags.iter().find_map(|tag| tag.strip_prefix("license:")).map(str::to_owned);
    let link = card("license_link").map(|link| {
        let is_file = FilePath::parse(&link).is_ok();
        if is_file { format!("{page}/blob/main/{link}") } else { link }
    });
    Licence {
        id: card("license").or(tag),
        name: card("license_name"),
        link,
        is_gated: !matches!(info.gated, Value::Null | Value::Bool(false)),
    }
}

fn nonsense(repository: &RepositoryName, problem: &str) -> HubError {
    HubError::Transfer { subject: repository.to_string(), problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn parse(body: &str) -> Result<RepositoryListing, String> {
        let repository = "me/model".parse().unwrap();
        RepositoryListing::parse(body.as_bytes(), &repository, "https://hub/me/model")
            .map_err(|error| error.to_string())
    }

    #[test]
    fn files_and_licence_are_read() {
        let body = format!(
            r#"{{"sha": "{COMMIT}", "gated": "auto", "tags": ["license:other"], "cardData": {{"license": "other",
                "license_name": "flux-1-dev-non-commercial-license", "license_link": "LICENSE.md"}},
                "siblings": [{{"rfilename": "vae/config.json"}}, {{"rfilename": "LICENSE.md"}}]}}"#
        );
        let listing = parse(&body).unwrap();
        assert_eq!(listing.files.iter().map(FilePath::as_str).collect::<Vec<_>>(), ["vae/config.json", "LICENSE.md"]);
        let expected = "flux-1-dev-non-commercial-license, gated (https://hub/me/model/blob/main/LICENSE.md)";
        assert_eq!(listing.licence.to_string(), expected);
        let bare = parse(&format!(r#"{{"sha": "{COMMIT}", "tags": ["x", "license:mit"], "gated": false}}"#)).unwrap();
        assert_eq!((bare.licence.to_string().as_str(), bare.licence.needs_acceptance()), ("mit", false));
    }

    #[test]
    fn hostile_listings_are_refused() {
        for (name, part) in [
            ("../../.bashrc", "leaves its folder"),
            ("/etc/passwd", "is an absolute path"),
            ("a\\\\..\\\\b", "no file name may have"),
            ("a/../../b", "leaves its folder"),
            ("", "is empty"),
        ] {
            let message =
                parse(&format!(r#"{{"sha": "{COMMIT}", "siblings": [{{"rfilename": "{name}"}}]}}"#)).unwrap_err();
            assert!(message.starts_with("me/model: the hub lists a file") && message.contains(part), "{message}");
        }
        for body in [r#"{"sha": "../../x"}"#, r#"{"sha": 3}"#, "[]", "<html>", ""] {
            assert!(parse(body).unwrap_err().starts_with("me/model: "), "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_refused(body in "[{}\\[\\]\":,a-z0-9]{0,60}", inner in "[./a\\\\]{0,8}") {
            let _ = parse(&body);
            let listed = serde_json::json!({"sha": COMMIT, "siblings": [{"rfilename": inner}]}).to_string();
            prop_assert!(parse(&listed).is_ok_and(|it| it.files[0].as_str() == inner) || FilePath::parse(&inner).is_err());
        }
    }
}
