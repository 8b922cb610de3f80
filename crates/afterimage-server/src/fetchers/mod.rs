//! Pictures are fetched before a worker takes the job, so that no worker waits for somebody's slow host.
//!
//! A job whose pictures lie elsewhere is queued and not to be claimed. A pool of fetchers, shared between keys (see
//! `FetchSlots`), takes such jobs under a lease, stores their pictures and releases them to the workers. What happens to
//! a job meanwhile (cancelled, deleted, late, taken by another server) is noticed as with workers, at once by
//! [`afterimage_jobs::worker::Hints`], else at the next renewal; its fetch is dropped then. A server that dies loses its leases, and the pictures
//! are fetched again.

mod job;
mod pool;
mod slots;

pub use job::FetchParts;
pub use pool::{POOL, run_fetchers};

#[cfg(test)]
mod tests;
