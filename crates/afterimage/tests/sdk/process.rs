//! Running other programs to their end.

use std::fs::File;
use std::io;
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Longest run of a script. They take seconds; a cold machine that installs packages needs more.
const LIMIT: Duration = Duration::from_mins(5);

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
    // The servers are on this machine, whatever way the rest of the world is reached by.
    let direct = ["no_proxy", "NO_PROXY"].into_iter().find_map(|name| std::env::var(name).ok());
    let direct = direct.map_or_else(|| "127.0.0.1".to_owned(), |hosts| format!("{hosts},127.0.0.1"));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .env("NO_PROXY", &direct)
        .env("no_proxy", &direct)
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
        // Real time: a process of its own, which is killed when it takes too long.
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
