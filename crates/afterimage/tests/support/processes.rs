//! Finding processes by a mark in their environment, which children inherit.

use std::fs;
use std::process::{Command, Stdio};

/// Name of the variable that holds the mark.
pub const MARK: &str = "STARTED_FOR_TEST";

/// Processes with this mark that are alive. One that has ended shows no environment, even while nobody has asked for
/// its exit code.
pub fn marked(mark: &str) -> Vec<u32> {
    let wanted = format!("{MARK}={mark}");
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    processes
        .filter(|pid: &u32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
        })
        .collect()
}

/// Sends a signal such as `-STOP`. A process that has just ended is no error.
pub fn signal(name: &str, pids: &[u32]) {
    if pids.is_empty() {
        return;
    }
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    Command::new("kill").arg(name).args(pids).stderr(Stdio::null()).status().unwrap();
}
