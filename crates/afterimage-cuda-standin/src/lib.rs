//! A stand-in for NVIDIA's driver library, for tests on machines without a card.
//!
//! Built as a shared library, it takes the place of `libcuda.so.1` in a child process ([`install`]). Device memory is host
//! memory under addresses that nobody can read, and a launch runs a host twin of the kernel, which is found by the SHA-256 of
//! the cubin in the kernels' table. What a real card would answer with wrong numbers or a broken context, or not at all, is
//! refused and told on stderr: accesses outside live memory, before it was allocated or after it was freed, misaligned ones,
//! grids and blocks of the wrong size, outputs that overlap inputs, handles that do not live.
//!
//! | variable | what |
//! |---|---|
//! | `CUDA_STANDIN` | the pretended cards and their faults: `settings.rs` |
//! | `CUDA_STANDIN_TABLE` | path of the table of kernels |
//! | `CUDA_STANDIN_REPORT` | where a [`StandInReport`] is written; `{pid}` stands for the process |
//!
//! Tests of this crate call the functions directly, after [`restart`].
//!
//! | file | what |
//! |---|---|
//! | `entry/` | the exported functions |
//! | `driver.rs` | the state, and what every call goes through |
//! | `queue.rs`, `operation.rs` | work for a card, at once or when somebody waits |
//! | `memory.rs`, `pinned.rs`, `handles.rs` | what lives |
//! | `descriptors.rs`, `cublaslt.rs` | what NVIDIA's library for products keeps and does |
//! | `table.rs`, `family.rs` | which kernel a cubin is |
//! | `frame.rs`, `grid.rs` | a launch: arguments, accesses, blocks |
//! | `twins/`, `numbers.rs`, `weights.rs`, `decode.rs` | what kernels compute |
//! | `record.rs`, `written.rs` | launches as cases for Triton's interpreter |
//! | `settings.rs`, `status.rs`, `host.rs`, `report.rs`, `library.rs` | settings, codes, C pointers, report, installing |

mod cublaslt;
mod decode;
mod descriptors;
mod driver;
pub mod entry;
mod family;
mod frame;
mod grid;
mod handles;
mod host;
mod library;
mod memory;
mod numbers;
mod operation;
mod pinned;
mod queue;
mod record;
mod report;
mod settings;
mod status;
mod table;
mod twins;
mod weights;
mod written;

pub use host::{HostPointer, Out};
pub use library::{install, install_cublaslt, library_path};
pub use report::{StandInCardReport, StandInReport};
pub use status::StandInStatus;
pub use table::hexadecimal;

use driver::StandInDriver;
use std::sync::{Mutex, MutexGuard, PoisonError};
use table::StandInTable;

/// Alone with the driver until it is dropped.
#[derive(Debug)]
pub struct Restarted {
    _alone: MutexGuard<'static, ()>,
}

/// A new driver in this process, with settings as in `CUDA_STANDIN` and the JSON of a table, for this thread alone.
///
/// # Errors
/// What is wrong with the table.
pub fn restart(settings: &str, table: &str) -> Result<Restarted, String> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut driver = StandInDriver::new(settings);
    driver.table = Some(StandInTable::parse(table)?);
    driver::set_current(0);
    *driver::lock() = Some(driver);
    Ok(Restarted { _alone: alone })
}

impl Restarted {
    /// What happened so far.
    pub fn report(&self) -> StandInReport {
        driver::lock().as_ref().map(StandInDriver::report).unwrap_or_default()
    }
}
