//! Why something could not be fetched, in words that may be shown to whoever named the address.

use super::web_url::UrlProblem;
use std::time::Duration;

/// Why something could not be fetched.
///
/// Nothing here tells what is reachable from the server's network: a private address, a name that does not resolve, a
/// closed port and a failed handshake all are [`FetchError::Unreachable`]. Private addresses are refused before any
/// connection, so time tells nothing either.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The text is no usable address.
    #[error("{0}")]
    Url(#[from] UrlProblem),
    /// Refused, not found, or not answering; which of them is only logged.
    #[error("the address could not be fetched")]
    Unreachable,
    /// A redirect from https to http.
    #[error("the address redirects from https to http")]
    Downgrade,
    /// More redirects than are followed.
    #[error("the address redirects more than {0} times")]
    Redirects(u32),
    /// Another status than 200.
    #[error("the address answered with status {0}")]
    Status(u16),
    /// Compressed, which is of no use to pictures but can hide gigabytes.
    #[error("the address answered with a compressed body; pictures are accepted as they are")]
    Encoded,
    /// More bytes than are accepted.
    #[error("the picture has more than {limit} bytes")]
    TooLarge {
        /// Bytes that are accepted.
        limit: u64,
    },
    /// Something else than a picture, by its first bytes.
    #[error("the address does not lead to a picture; JPEG, PNG, WebP, GIF, BMP and TIFF are accepted")]
    NotAPicture,
    /// The body did not come in time.
    #[error("the picture did not arrive within {} seconds", limit.as_secs())]
    TooSlow {
        /// Time that was allowed.
        limit: Duration,
    },
    /// The body ended early.
    #[error("the transfer of the picture broke off")]
    BrokenOff,
}
