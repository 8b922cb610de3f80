//! Where results go: names, checks before the models run, and writing that leaves nothing half-done.

mod plan;
mod write;

pub use plan::{OutputPlan, OutputTarget, ResultName, folder_of};
pub use write::{ignore_file_size_signal, print_json, print_text, write_pictures};
