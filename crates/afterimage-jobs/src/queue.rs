//! Which queue a job waits in.

use afterimage_core::ModelName;

/// Jobs for one of a server's sets of models wait in a queue of their own, by turns among its keys; `None` is the queue of
/// those that name no set.
pub type Queue = Option<ModelName>;

/// The queues of a server whose only set of models has no name.
pub const UNNAMED: [Queue; 1] = [None];
