//! What the hub means by a status that is no success, and what to do about it.

use crate::error::HubError;
use crate::repository_name::RepositoryName;
use crate::token::AccessToken;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use url::Url;

/// Whom a request was sent to, by whom, and about what.
pub(crate) struct Asked<'a> {
    pub endpoint: &'a Url,
    pub token: Option<&'a AccessToken>,
    pub repository: &'a RepositoryName,
    /// The file or revision, for messages.
    pub what: &'a str,
}

/// The error for an answer with `status`, which is neither a success nor a redirect. The hub says more in
/// `X-Error-Code` and `X-Error-Message`.
pub(crate) fn refusal(status: StatusCode, headers: &HeaderMap, asked: &Asked<'_>) -> HubError {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let code = header("x-error-code");
    let page = page(asked.endpoint, asked.repository);
    let problem = match (status.as_u16(), code, asked.token) {
        (_, "GatedRepo", None) => {
            format!(
                "is gated: accept its licence at {page}, then set HF_TOKEN to a token of that account ({})",
                tokens(asked)
            )
        }
        (_, "GatedRepo", Some(token)) => format!(
            "is gated, and the account of the token in {} has no access: accept the licence at {page}; a fine-grained \
             token must be allowed to read gated repositories",
            token.origin()
        ),
        (_, "RevisionNotFound", _) => format!("has no revision `{}`", afterimage_core::shortened(asked.what)),
        (_, "EntryNotFound", _) => format!("has no file `{}`", afterimage_core::shortened(asked.what)),
        (_, "DisabledRepo", _) => "is disabled by the hub".to_owned(),
        (401, "", Some(token)) => {
            format!("the hub does not accept the token in {}; make one at {}", token.origin(), tokens(asked))
        }
        (401 | 403 | 404, "RepoNotFound" | "", None) => {
            format!("no such repository, or one that needs a token: see {page}; HF_TOKEN holds the token")
        }
        (404, "RepoNotFound" | "", Some(_)) => {
            format!("no such repository, or none that the token may read: see {page}")
        }
        (403, ..) => format!("the hub forbids it{}: see {page}", quoted(header("x-error-message"))),
        (status, ..) => {
            let problem = format!("the hub answers {status}{}", quoted(header("x-error-message")));
            return HubError::Transfer { subject: asked.repository.to_string(), problem };
        }
    };
    HubError::Access { repository: asked.repository.to_string(), problem }
}

/// The page where people read about a repository and accept its licence.
pub(crate) fn page(endpoint: &Url, repository: &RepositoryName) -> String {
    format!("{}/{repository}", endpoint.as_str().trim_end_matches('/'))
}

/// The page where people make tokens.
fn tokens(asked: &Asked<'_>) -> String {
    format!("{}/settings/tokens", asked.endpoint.as_str().trim_end_matches('/'))
}

fn quoted(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(" ({})", afterimage_core::shortened(message)) }
}
