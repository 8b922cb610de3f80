//! What every route shares: reading bodies within limits, the address results start with, layers, files of the program.

mod asset;
pub mod body;
mod body_error;
pub mod bounded_json;
mod coding;
pub mod forwarded;
mod idempotency;
pub mod json;
pub mod layers;
pub mod multipart;
mod off_thread;
pub mod public_url;
mod slashes;

pub use asset::Asset;
pub use body::BodyReader;
pub use body_error::{BodyError, KNOWN_CODINGS};
pub use forwarded::TrustedProxies;
pub use idempotency::idempotency;
pub use off_thread::off_thread;
pub use public_url::PublicUrl;
pub use slashes::{normal_path, without_extra_slashes};
