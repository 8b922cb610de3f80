//! From a request and its pictures to new pictures.
//!
//! | file | what |
//! |---|---|
//! | `model_files.rs` | the folders and files of one base and Redux pair, and what their configurations say |
//! | `part.rs`, `published.rs` | one network's weights and configuration: its own, a neighbouring one, or the published one |
//! | `networks.rs`, `lazy.rs`, `load_time.rs` | their networks on a device, each built when first needed |
//! | `residence.rs`, `memory_use.rs` | which of them stay in memory; what a request takes |
//! | `loras.rs` | which LoRAs a request uses |
//! | `cache.rs` | values that are kept for the next request |
//! | `encodings.rs` | encoded prompts and pictures of earlier requests |
//! | `encode.rs` | prompts and pictures to tokens, unless they are known |
//! | `context.rs` | tokens to what conditions the transformer |
//! | `latents.rs` | packing, the start of sampling, pixels |
//! | `preview.rs` | what the picture will look like, while it is being made |
//! | `clock.rs` | the stages' times |
//! | `plan.rs` | one pass, or a small one and a refinement |
//! | `pass.rs` | once through the sampler, at one size |
//! | `inpaint.rs` | what inpainting works on and keeps, and its results put back |
//! | `noise.rs` | the noise that every picture starts from |
//! | `order.rs` | what is asked of a pipeline |
//! | `run.rs` | the order of things between conditions and pictures |
//! | `generate.rs` | the order of things around it |
//! | `any_device.rs` | all of it with the device hidden |

mod any_device;
mod cache;
mod clock;
mod context;
mod encode;
mod encodings;
mod finite;
mod generate;
mod inpaint;
mod latents;
mod lazy;
mod load_time;
mod loras;
mod memory_use;
mod model_files;
mod networks;
mod noise;
mod order;
mod part;
mod pass;
mod plan;
mod preview;
mod published;
mod residence;
mod run;

#[cfg(test)]
mod control_tests;
#[cfg(test)]
mod narrow_tests;
#[cfg(test)]
mod quality;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod step_cache_tests;
#[cfg(test)]
mod tests;

pub(crate) use any_device::{Pipeline, open};
pub(crate) use context::{PictureTokens, join};
pub(crate) use encode::{encode_picture, encode_text};
pub(crate) use encodings::Encodings;
pub(crate) use latents::usable_size;
pub(crate) use loras::LoraLibrary;
pub(crate) use model_files::ModelFiles;
pub(crate) use networks::Networks;
pub(crate) use order::Order;
pub(crate) use residence::Network;
