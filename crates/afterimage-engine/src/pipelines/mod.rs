//! From a request and its pictures to new pictures.
//!
//! | file | what |
//! |---|---|
//! | `models.rs` | the models of one base and Redux pair, each built when first needed |
//! | `context.rs` | prompt and pictures to the tokens that condition the transformer |
//! | `latents.rs` | packing, the start of sampling, pixels |
//! | `generate.rs` | the order of things |

mod context;
mod generate;
mod latents;
mod models;

#[cfg(test)]
mod tests;

pub use context::bench_context;
pub use generate::generate;
pub(crate) use latents::usable_size;
pub use models::Models;
