//! The engine in a supervised child process of the same binary: a crash, an out-of-memory kill or a hang costs one
//! attempt of one job, and the server goes on.
//!
//! | file | what |
//! |---|---|
//! | `frame.rs` | length-prefixed frames on the pipes |
//! | `protocol.rs` | the messages in them |
//! | `child/` | the engine process: reads jobs, computes, tells how far it is |
//! | `launch.rs` | how to start one: arguments, environment |
//! | `supervisor/` | keeps processes alive, hands them jobs, ends them when they hang |
//! | `events.rs` | progress and previews for whoever watches, in memory only |
//! | `executor.rs` | the queue's executor on top of all this |

pub mod child;
mod events;
mod executor;
mod frame;
mod launch;
mod protocol;
mod supervisor;

pub use events::{Attempt, Event, Events, Noted, Watcher};
pub use executor::{EngineExecutor, SourceReader};
pub use frame::{Frame, FrameCodec, FrameError, FrameReader};
pub use launch::EngineCommand;
pub use protocol::{Command, FailureKind, GenerationFailure, PROTOCOL_VERSION, Report, Summary, Ticket};
pub use supervisor::{EngineProcesses, Limits, OpenFailure, Outcome, ProcessState, ProcessStatus, Work};
