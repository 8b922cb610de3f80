//! Keeps engine processes alive and hands them jobs.
//!
//! One task for each process (`restarter.rs`) starts it, waits for its models, takes jobs from the queues of its group
//! (`assignments.rs`) and starts it again when it dies (`process.rs` is one process from start to end, `run.rs` one job in it), unless
//! its device failed too often (`losses.rs`). A job therefore
//! always goes to a process that is ready and has its models, if there is one.

mod assignments;
mod limits;
mod losses;
mod process;
mod processes;
mod restarter;
mod run;
mod state;

pub use limits::SupervisorLimits;
pub use processes::EngineProcesses;
pub use state::{OpenFailure, ProcessState, ProcessStatus};
