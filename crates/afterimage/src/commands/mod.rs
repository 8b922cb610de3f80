//! One file for each command.

mod again;
mod bench;
mod check;
mod completions;
#[cfg(feature = "gpu")]
mod doctor;
mod engine_process;
mod img2img;
mod import;
mod keys;
mod licences;
mod mcp;
mod migrate;
mod models;
mod pull;
mod remove;
mod serve;
mod synth;
mod vary;
mod verify;
mod worker;

pub use again::Again;
pub use bench::Bench;
pub use check::Check;
pub use completions::Completions;
#[cfg(feature = "gpu")]
pub use doctor::Doctor;
pub use engine_process::EngineProcess;
pub use img2img::Img2Img;
pub use import::Import;
pub use keys::{Keys, KeysCommand};
pub use licences::Licences;
pub use mcp::Mcp;
pub use migrate::Migrate;
pub use models::{Models, ModelsCommand};
pub use serve::Serve;
pub use vary::Vary;
pub use worker::Worker;
