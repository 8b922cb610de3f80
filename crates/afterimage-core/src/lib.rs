//! What every Afterimage crate shares: the generation request, its limits, and errors that name what is wrong.
//!
//! This crate knows nothing of tensors, HTTP or SQL.

mod balance;
mod error;
mod field;
mod generation_facts;
pub mod limits;
mod lora;
mod lora_folder;
mod model_facts;
mod model_name;
mod name_text;
mod output_format;
mod picture;
mod range;
mod request;
mod role;
mod safety;
mod size;
mod stage;
mod task;
mod text;

pub use balance::PictureBalance;
pub use error::{Error, Result};
pub use field::Field;
pub use generation_facts::{GenerationFacts, PictureFacts};
pub use limits::PictureLimits;
pub use lora::{LoraChoice, LoraName};
pub use lora_folder::LoraFolder;
pub use model_facts::ModelFacts;
pub use model_name::ModelName;
pub use output_format::OutputFormat;
pub use picture::Picture;
pub use request::{Enlarge, GenerationRequest, VariationSeed};
pub use role::{FileReading, MaskReading, PictureRole};
pub use safety::{OnFlag, SafetyFacts};
pub use size::{ParseSizeError, Size};
pub use stage::{Stage, Timings};
pub use task::{EmptyPrompt, InpaintSettings, StrengthSpan, Task, VariationSettings};
pub use text::{bounded, shortened, shortened_to};
