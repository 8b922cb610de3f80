//! Ctrl-C and the system's request to end.

use crate::context::Context;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Runs a long generation, sends `signal` after `delay` and checks how it ends.
fn interrupted(signal: &str, delay: Duration) {
    let context = Context::new();
    let arguments = [
        "vary",
        "photo.png",
        "--size",
        "512x512",
        "--steps",
        "50",
        "--seed",
        "1",
        "--num-images",
        "4",
        "--output",
        "out",
    ];
    let mut child =
        context.command(&arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Real time: a process of its own, which says nothing while it works.
    sleep(delay);
    assert!(child.try_wait().unwrap().is_none(), "ended before the signal");
    let sent = Instant::now();
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "cancelled\n");
    assert!(sent.elapsed() < Duration::from_secs(20), "took {:?}", sent.elapsed());
    assert!(context.names_in("out").is_empty());
    assert_eq!(context.names_in("."), ["out", "photo.png"]);
}

#[test]
fn ctrl_c_ends_within_a_step_and_leaves_nothing() {
    interrupted("-INT", Duration::from_millis(1500));
}

#[test]
fn sigterm_ends_it_too() {
    interrupted("-TERM", Duration::from_millis(1500));
}
