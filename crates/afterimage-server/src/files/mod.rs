//! Files by address: results and uploads, each under a signed address that expires.

mod links;
mod media;
mod once;
mod parts;
mod redirect;
mod response;
mod results;
mod routes;
mod signing;
mod under_way;
mod uploads;

pub use links::{FileLinks, OwnFile, SIGNED_PATHS};
pub use media::Media;
pub use once::BeingSent;
pub use parts::create_in_parts;
pub use results::ResultFiles;
pub use routes::router;
pub use signing::{Purpose, Signer};
pub use under_way::UploadsInParts;
pub use uploads::{create_ticket, store_upload};
