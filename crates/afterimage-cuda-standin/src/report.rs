//! What happened, for whoever watches the process: written as JSON to the path in `CUDA_STANDIN_REPORT` when a
//! context is released and when the process ends. `{pid}` in the path stands for the process.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Totals since the library was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandInReport {
    /// One a card.
    pub cards: Vec<StandInCardReport>,
    /// Calls by entry point.
    pub calls: BTreeMap<String, u64>,
    /// Launches by variant.
    pub launches: BTreeMap<String, u64>,
    /// Bytes that were copied from the host.
    pub bytes_to_cards: u64,
    /// Bytes that were copied to the host.
    pub bytes_to_host: u64,
    /// Bytes of pinned host memory that live.
    pub pinned_bytes: u64,
    /// Streams that were not destroyed.
    pub streams: u64,
    /// Events that were not destroyed.
    pub events: u64,
    /// Modules that were not unloaded.
    pub modules: u64,
    /// Handles and descriptors of cuBLASLt that were not destroyed.
    #[serde(default)]
    pub library_objects: u64,
    /// What was wrong, as it was told on stderr; at most a hundred.
    pub complaints: Vec<String>,
}

/// A card's memory, in bytes as they were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandInCardReport {
    /// Allocated and not freed.
    pub live_bytes: u64,
    /// The most that was live at a time.
    pub peak_bytes: u64,
    /// Live when the context was released.
    pub leaked_bytes: u64,
    /// Not freed.
    pub live_allocations: u64,
    /// All that there ever were.
    pub allocations: u64,
}

unsafe extern "C" {
    /// The C library's.
    safe fn atexit(callback: extern "C" fn()) -> i32;
}

/// Has `write_last` called when the process ends, if somebody asked for a report.
pub(crate) fn at_exit(write_last: extern "C" fn()) {
    if std::env::var_os("CUDA_STANDIN_REPORT").is_some() {
        // Where there is no room for another callback, the last report stays.
        atexit(write_last);
    }
}

/// Writes the report if somebody asked for one.
pub(crate) fn write(report: impl FnOnce() -> StandInReport) {
    let Ok(path) = std::env::var("CUDA_STANDIN_REPORT") else { return };
    let path = path.replace("{pid}", &std::process::id().to_string());
    let written = serde_json::to_vec_pretty(&report()).map_err(|error| error.to_string());
    if let Err(problem) = written.and_then(|text| std::fs::write(&path, text).map_err(|error| error.to_string())) {
        eprintln!("CUDA stand-in: {path}: {problem}");
    }
}
