//! What every route shares: reading bodies within limits, the address results start with, layers.

pub mod body;
pub mod layers;
pub mod multipart;
pub mod public_url;

pub use body::{BodyError, BodyReader};
pub use public_url::PublicUrl;
