//! Files by address: results and uploads, each under a signed address that expires.

mod links;
mod once;
mod parts;
mod response;
mod routes;
mod signing;
mod uploads;

pub use links::{FileLinks, OwnFile, SIGNED_PATHS};
pub use once::BeingSent;
pub use parts::{UploadsInParts, create_in_parts};
pub use routes::router;
pub use signing::{Purpose, Signer};
pub use uploads::{create_ticket, store_upload};
