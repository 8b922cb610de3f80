//! Reporting the ends of jobs to addresses that clients named.
//!
//! The rows to send are written by the transaction that ends a job; a [`Deliverer`] takes them from the outbox, so
//! neither jobs nor requests ever wait for a receiver. Each webhook is sent at least once or given up after the
//! attempts of its dialect, which also decides body, headers and signature ([`Render`]).

mod deliverer;
pub mod ed25519;
mod message;
mod receiver_queues;
mod schedule;
pub mod signature;

pub use deliverer::Deliverer;
pub use message::{Message, Render, RenderError};
pub use schedule::Schedule;
