//! Following jobs: waiting for their ends, and hearing how far they are.

mod follower;
mod hang_up;
mod listener;
mod synchronous;

pub use follower::{EndSignals, Follower, POLL, RETRY, is_over_here, seen};
pub use hang_up::CancelOnDrop;
pub use listener::{JobListener, JobUpdate, Look, Signal, event_stream, next_look, next_update};
pub use synchronous::{FollowedJob, SyncRunner, until_ended};

#[cfg(test)]
mod tests;
