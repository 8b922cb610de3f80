//! What every route shares: reading bodies within limits, the address results start with, layers.

pub mod body;
mod coding;
pub mod forwarded;
pub mod layers;
pub mod multipart;
pub mod public_url;
mod slashes;

pub use body::{BodyError, BodyReader};
pub use coding::KNOWN as KNOWN_CODINGS;
pub use forwarded::TrustedProxies;
pub use public_url::PublicUrl;
pub use slashes::{normal_path, without_extra_slashes};
