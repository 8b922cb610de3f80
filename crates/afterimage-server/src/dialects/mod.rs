//! The wire formats, one folder each. A dialect parses and checks requests, and renders jobs and refusals; everything
//! else is shared.

pub mod fal;
mod field_problem;
mod generation;
mod model;
pub mod openai;
mod parts;
mod pictures;
mod safety;
mod stored;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod time_text;
pub mod wavespeed;

pub use field_problem::FieldProblem;
pub use generation::{Flow, field_name, generation};
pub use model::Model;
pub use parts::DialectParts;
pub use pictures::{PLAIN_NAMES, PictureNames, TakenPictures, take_pictures};
pub use safety::{flags, is_all_hidden};
pub use stored::own_job;
pub use time_text::{rfc3339, rfc3339_with_offset};

/// The ids of all models that the dialects know.
pub fn model_ids() -> impl Iterator<Item = &'static str> {
    let ids = wavespeed::MODELS.iter().chain(&fal::MODELS).map(|model| model.id);
    ids.chain([openai::MODEL])
}
