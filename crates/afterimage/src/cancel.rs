//! Ctrl-C, SIGTERM and SIGHUP: the first asks the generation to stop, the second ends the program at once. Neither
//! leaves a temporary file behind.

use crate::failure::CommandFailure;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

static REQUESTED: AtomicBool = AtomicBool::new(false);
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Installs the handler. Called after all input has been read: a handler keeps a blocked read of standard input alive,
/// and before that point the default action has nothing to clean up.
pub fn install() -> Result<(), CommandFailure> {
    ctrlc::set_handler(|| {
        if REQUESTED.swap(true, Ordering::SeqCst) {
            for path in unfinished().iter() {
                let _ = std::fs::remove_file(path);
            }
            CommandFailure::cancelled().print();
            process::exit(1);
        }
    })
    .map_err(|error| CommandFailure::other(format!("cannot watch for Ctrl-C: {error}")))
}

/// Whether someone asked to stop.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

/// Removes `path` if the program is ended by force before [`finished`].
pub fn started(path: &Path) {
    unfinished().push(path.to_path_buf());
}

/// `path` has been renamed or removed.
pub fn finished(path: &Path) {
    unfinished().retain(|other| other != path);
}

fn unfinished() -> MutexGuard<'static, Vec<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}
