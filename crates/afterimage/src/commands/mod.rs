//! One file for each command.

mod bench;
mod engine_process;
mod img2img;
mod keys;
mod models;
mod serve;
mod vary;

pub use bench::Bench;
pub use engine_process::EngineProcess;
pub use img2img::Img2Img;
pub use keys::{Keys, KeysCommand};
pub use models::{Models, ModelsCommand};
pub use serve::Serve;
pub use vary::Vary;
