//! Running other programs to their end.

use std::fs::File;
use std::io;
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Longest run of a script. They take seconds; a cold machine that installs packages needs more.
const LIMIT: Duration = Duration::from_secs(300);

/// What a program wrote, standard error included, and how it ended.
#[derive(Debug)]
pub struct Outcome {
    pub status: ExitStatus,
    pub output: String,
}

/// Runs `command` to its end, or kills it after [`LIMIT`].
///
/// # Errors
/// When there is no such program.
pub fn run(command: &mut Command) -> io::Result<Outcome> {
    // A file, unlike a pipe, can be read after a program was killed whose own children live on.
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("output");
    let file = File::create(&path)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        // The servers are on this machine, whatever way the rest of the world is reached by.
        .env("NO_PROXY", "127.0.0.1")
        .env("no_proxy", "127.0.0.1")
        .spawn()?;
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if start.elapsed() > LIMIT {
            child.kill()?;
            break child.wait()?;
        }
        sleep(Duration::from_millis(10));
    };
    let output = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
    Ok(Outcome { status, output })
}

/// As [`run`], and fails the test with the output unless the program succeeds.
#[track_caller]
pub fn succeed(command: &mut Command) -> String {
    let outcome = run(command).unwrap();
    assert!(outcome.status.success(), "{command:?}: {}\n{}", outcome.status, outcome.output);
    outcome.output
}
