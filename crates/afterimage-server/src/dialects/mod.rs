//! The wire formats, one folder each. A dialect parses and checks requests, and renders jobs and refusals; everything
//! else is shared.

pub mod fal;
mod generation;
pub mod json;
mod model;
pub mod openai;
pub mod parameters;
mod stored;
pub mod wavespeed;

pub use generation::{Flow, field_name, generation};
pub use model::Model;
pub use stored::own_job;
