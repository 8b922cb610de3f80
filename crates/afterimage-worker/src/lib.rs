//! The engine in supervised child processes of the same binary: a crash, an out-of-memory kill or a hang costs one attempt
//! of one job, and whoever runs them goes on.
//!
//! | file | what |
//! |---|---|
//! | `frame.rs` | length-prefixed frames on the pipes |
//! | `protocol.rs` | the messages in them |
//! | `child/` | the engine process: reads jobs, computes, tells how far it is |
//! | `launch.rs` | how to start one: arguments, environment |
//! | `group.rs` | which of them are alike, and whose jobs they run |
//! | `supervisor/` | keeps processes alive, hands them jobs, ends them when they hang |
//! | `sources.rs` | a job's pictures |
//! | `executor.rs` | the queue's executor on top of all this |
//! | `engines.rs` | what a server sees of it |
//!
//! This crate knows nothing of HTTP.

pub mod child;
mod engines;
mod executor;
mod frame;
mod group;
mod launch;
mod protocol;
mod sources;
mod supervisor;

pub use engines::EngineSets;
pub use executor::EngineExecutor;
pub use frame::{Frame, FrameCodec, FrameError, FrameReader};
pub use group::{EngineGroup, EngineSet};
pub use launch::{BUILTIN_CHECKER, EngineCommand, REQUIRED_CHECKER};
pub use protocol::{Command, JobNumber, PROTOCOL_VERSION, Report, Work};
pub use supervisor::{EngineProcesses, OpenFailure, ProcessState, ProcessStatus, SupervisorLimits};
