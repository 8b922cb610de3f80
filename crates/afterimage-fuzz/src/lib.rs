//! A small driver for the files in `fuzz/targets`: changes seeds at random and runs the target on them.
//!
//! It knows nothing of coverage, so it finds less than libFuzzer, but it needs neither a C++ compiler nor flags of its
//! own, and so builds with the workspace in seconds. See `fuzz/README.md`.

mod mutation;

use mutation::Mutator;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// A run that takes longer is a finding.
const LONGEST_RUN: Duration = Duration::from_secs(10);

/// What a target takes.
pub trait Input<'a>: Sized {
    /// `None` when the bytes are no such input.
    fn from_bytes(bytes: &'a [u8]) -> Option<Self>;
}

impl<'a> Input<'a> for &'a [u8] {
    fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        Some(bytes)
    }
}

impl<'a> Input<'a> for &'a str {
    fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        str::from_utf8(bytes).ok()
    }
}

/// Makes a function `fuzz` of a target; the form is that of libFuzzer's macro of the same name.
#[macro_export]
macro_rules! fuzz_target {
    (|$input:ident: $kind:ty| $body:expr) => {
        $crate::fuzz_target!(init: (), |$input: $kind| $body);
    };
    (init: $init:expr, |$input:ident: $kind:ty| $body:expr $(,)?) => {
        pub fn fuzz(arguments: &$crate::Arguments) -> std::process::ExitCode {
            $init;
            $crate::run(arguments, |bytes| {
                if let Some($input) = <$kind as $crate::Input>::from_bytes(bytes) {
                    $body
                }
            })
        }
    };
}

/// What the command line says.
pub struct Arguments {
    /// Name of a file in `fuzz/targets`.
    pub target: String,
    seconds: u64,
    /// A folder of files, or one file that is run as it is.
    seeds: PathBuf,
    /// A folder for an input that the target stumbles over; this one by default.
    findings: PathBuf,
}

/// Reads `TARGET SECONDS SEEDS [FINDINGS]`, `None` when it is something else.
pub fn arguments() -> Option<Arguments> {
    let mut words = std::env::args().skip(1);
    let (target, seconds, seeds) = (words.next()?, words.next()?.parse().ok()?, words.next()?.into());
    Some(Arguments { target, seconds, seeds, findings: words.next().unwrap_or_else(|| ".".to_owned()).into() })
}

/// Runs a target for the time that was asked for, or until it stumbles.
pub fn run(arguments: &Arguments, target: impl Fn(&[u8])) -> ExitCode {
    let name = &arguments.target;
    let seeds = match read_seeds(&arguments.seeds) {
        Ok(seeds) if !seeds.is_empty() => seeds,
        outcome => {
            let problem = outcome.err().map_or_else(|| "no seeds".to_owned(), |error| error.to_string());
            eprintln!("{}: {problem}; make seeds with fuzz/seeds.py", arguments.seeds.display());
            return ExitCode::from(2);
        }
    };
    match search(&target, seeds, Duration::from_secs(arguments.seconds)) {
        Ok(runs) => {
            println!("{name}: {runs} inputs in {} s, no finding", arguments.seconds);
            ExitCode::SUCCESS
        }
        Err(finding) => {
            let path = arguments.findings.join(format!("finding-{name}"));
            let written = std::fs::write(&path, &finding.input);
            let place = written.map_or_else(|error| error.to_string(), |()| path.display().to_string());
            eprintln!("{name}: {}; the input: {place}", finding.what);
            ExitCode::FAILURE
        }
    }
}

fn read_seeds(path: &Path) -> std::io::Result<Vec<Vec<u8>>> {
    if path.is_file() {
        return Ok(vec![std::fs::read(path)?]);
    }
    let mut files: Vec<_> = path.read_dir()?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.sort();
    files.into_iter().filter(|path| path.is_file()).map(std::fs::read).collect()
}

struct Finding {
    what: String,
    input: Vec<u8>,
}

/// The seeds as they are, then changed ones until the time is over. How many there were.
fn search(target: &impl Fn(&[u8]), seeds: Vec<Vec<u8>>, time: Duration) -> Result<u64, Finding> {
    let begin = Instant::now();
    let mut runs = 0;
    for seed in &seeds {
        try_out(target, seed)?;
        runs += 1;
    }
    let mut mutator = Mutator::new(seeds, fastrand::u64(..));
    while begin.elapsed() < time {
        try_out(target, &mutator.input())?;
        runs += 1;
    }
    Ok(runs)
}

fn try_out(target: &impl Fn(&[u8]), input: &[u8]) -> Result<(), Finding> {
    let finding = |what| Finding { what, input: input.to_vec() };
    let begin = Instant::now();
    catch_unwind(AssertUnwindSafe(|| target(input))).map_err(|panic| finding(message(&*panic)))?;
    let elapsed = begin.elapsed();
    if elapsed > LONGEST_RUN { Err(finding(format!("took {elapsed:?}"))) } else { Ok(()) }
}

fn message(panic: &dyn Any) -> String {
    let text =
        panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panicked: {}", text.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_panics_is_found() {
        let target = |input: &[u8]| assert!(!input.contains(&0xff), "found");
        let seeds = vec![b"a seed".to_vec(), vec![0; 20]];
        let Err(finding) = search(&target, seeds, Duration::from_secs(20)) else { panic!("nothing was found") };
        assert!(finding.input.contains(&0xff) && finding.what == "panicked: found", "{}", finding.what);
    }

    #[test]
    fn one_that_does_not_runs_to_the_end() {
        let runs =
            search(&|_: &[u8]| {}, vec![b"a seed".to_vec()], Duration::from_millis(50)).map_err(|finding| finding.what);
        assert!(runs.is_ok_and(|runs| runs > 10));
    }
}
