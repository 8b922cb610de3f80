//! Reaching addresses that requests name, without reaching what they must not.
//!
//! Every address that a client gives us, for a picture or a webhook, goes the same way: [`parse_web_url`] refuses texts
//! that two parsers could read differently; the host is resolved once and all its addresses are checked against
//! [`is_public`]; the connection is made to those checked addresses and no others, so a name that points somewhere
//! else a moment later changes nothing. Redirects are followed by hand, each hop through the same checks.

mod address;
pub mod data_uri;
mod error;
mod fetcher;
mod outbound;
mod resolve;
mod tls;
mod web_url;

#[cfg(test)]
pub(crate) mod testing;

pub use address::is_public;
pub use error::FetchError;
pub use fetcher::{FetchLimits, Fetcher};
pub use outbound::{Outbound, OutboundOptions};
pub use resolve::{Resolve, SystemResolver};
pub use tls::platform_tls;
pub use web_url::{UrlProblem, parse_web_url};
