//! What every Afterimage crate shares: the generation request, its limits, and errors that name what is wrong.
//!
//! This crate knows nothing of tensors, HTTP or SQL.

mod error;
mod limits;
mod picture;
mod request;
mod size;
mod text;

pub use error::{Error, Result};
pub use limits::{Limits, PictureLimits};
pub use picture::Picture;
pub use request::{EmptyPrompt, Enlarge, GenerationRequest, Task, VariationSettings};
pub use size::{ParseSizeError, Size};
pub use text::{shortened, shortened_to};
