//! From a request and its pictures to new pictures.
//!
//! | file | what |
//! |---|---|
//! | `models.rs` | the models of one base and Redux pair, each built when first needed |
//! | `encodings.rs` | encoded prompts and pictures of earlier requests |
//! | `context.rs` | prompt and pictures to the tokens that condition the transformer |
//! | `latents.rs` | packing, the start of sampling, pixels |
//! | `preview.rs` | what the picture will look like, while it is being made |
//! | `clock.rs` | the stages' times |
//! | `plan.rs` | one pass, or a small one and a refinement |
//! | `pass.rs` | once through the sampler, at one size |
//! | `generate.rs` | the order of things |

mod clock;
mod context;
mod encodings;
mod finite;
mod generate;
mod latents;
mod load_time;
mod models;
mod pass;
mod plan;
mod preview;

#[cfg(test)]
mod tests;

pub use context::bench_context;
pub use generate::generate;
pub(crate) use latents::usable_size;
pub use models::Models;
