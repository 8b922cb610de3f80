//! The engine process as the server runs it: the real program as a child, on the embedded model.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    reason = "a failure anywhere in a test should end it; clippy's exception covers only the test functions"
)]

#[cfg(target_os = "linux")]
#[path = "engine_process/orphans.rs"]
mod orphans;
#[path = "engine_process/pipes.rs"]
mod pipes;
#[path = "engine_process/supervision.rs"]
mod supervision;
#[path = "../../afterimage-jobs/tests/support/waiting.rs"]
mod waiting;
