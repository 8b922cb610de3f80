//! A clock for programs that can be set: `libfaketime`, which is loaded into them.
//!
//! Where there is none, tests say so and pass, unless `AFTERIMAGE_REQUIRE_FAKETIME` is set.

use std::path::PathBuf;
use tempfile::TempDir;

/// Set where a missing library is a failure.
const REQUIRED: &str = "AFTERIMAGE_REQUIRE_FAKETIME";

/// The clock of all programs that have its [`FakeClock::variables`].
pub struct FakeClock {
    library: PathBuf,
    pub folder: TempDir,
}

impl FakeClock {
    /// One that is right; `None` where there is no library.
    pub fn new() -> Option<Self> {
        let Some(library) = library() else {
            assert!(std::env::var_os(REQUIRED).is_none(), "libfaketime is not installed");
            eprintln!("skipped: no libfaketime here");
            return None;
        };
        let clock = Self { library, folder: tempfile::tempdir().unwrap() };
        clock.set_ahead(0);
        Some(clock)
    }

    /// For the environment of a program.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.folder.path().join("clock").display().to_string()),
            // A machine has one clock: with the setting kept for a second, each of a program's processes has its own.
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }

    /// Sets it so many seconds ahead of what it should be.
    pub fn set_ahead(&self, seconds: i64) {
        // At once: half a file would be no setting at all.
        let next = self.folder.path().join("next");
        std::fs::write(&next, format!("{seconds:+}\n")).unwrap();
        std::fs::rename(next, self.folder.path().join("clock")).unwrap();
    }
}

fn library() -> Option<PathBuf> {
    let architectures = std::fs::read_dir("/usr/lib").ok()?.flatten();
    architectures.map(|folder| folder.path().join("faketime/libfaketime.so.1")).find(|file| file.exists())
}
