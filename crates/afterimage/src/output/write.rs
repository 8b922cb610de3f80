//! Writing that is all or nothing: a temporary file beside the target, flushed to the disk, then renamed.

use super::plan::{OutputTarget, folder_of};
use crate::cancel;
use crate::failure::{CommandFailure, describe};
use serde::Serialize;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::{Builder, TempPath};

/// Writes `text` and a line break to standard output.
///
/// # Errors
/// A failure with exit code 1, for example when the reader has gone.
pub fn print_text(text: &str) -> Result<(), CommandFailure> {
    to_standard_output(format!("{text}\n").as_bytes())
}

/// The same with one line of JSON.
///
/// # Errors
/// Those of [`print_text`].
pub fn print_json(value: &impl Serialize) -> Result<(), CommandFailure> {
    print_text(&serde_json::to_string(value).map_err(|error| CommandFailure::other(error.to_string()))?)
}

/// Writes each file's bytes to its target. Regular files appear under their names only when all are on the disk.
///
/// # Errors
/// A failure with exit code 1: the disk is full, the reader of a pipe has gone, or Ctrl-C came in between.
pub fn write_pictures(targets: &[OutputTarget], files: &[Vec<u8>]) -> Result<(), CommandFailure> {
    ignore_file_size_signal()?;
    let mut staged = Vec::new();
    for (target, bytes) in targets.iter().zip(files) {
        match target {
            OutputTarget::StandardOutput => to_standard_output(bytes)?,
            OutputTarget::Special(path) => {
                write_special(path, bytes).map_err(|error| CommandFailure::io(path, &error))?;
            }
            OutputTarget::File { shown, real } => {
                staged.push((
                    Staged::write(real, bytes).map_err(|error| CommandFailure::io(shown, &error))?,
                    shown,
                    real,
                ));
            }
        }
    }
    if cancel::requested() {
        return Err(CommandFailure::cancelled());
    }
    for (file, shown, real) in staged {
        file.rename(real).map_err(|error| CommandFailure::io(shown, &error))?;
    }
    Ok(())
}

/// A complete temporary file beside its target; removed when dropped.
struct Staged {
    file: Option<TempPath>,
    path: PathBuf,
}

impl Staged {
    fn write(target: &Path, bytes: &[u8]) -> io::Result<Self> {
        let mut builder = Builder::new();
        builder.prefix(".afterimage-").suffix(".tmp");
        #[cfg(unix)]
        builder.permissions(permissions(target));
        let (mut file, path) = builder.tempfile_in(folder_of(target))?.into_parts();
        let staged = Self { path: path.to_path_buf(), file: Some(path) };
        cancel::started(&staged.path);
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(staged)
    }

    fn rename(mut self, target: &Path) -> io::Result<()> {
        match self.file.take() {
            Some(path) => path.persist(target).map_err(|error| error.error),
            None => Ok(()),
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        drop(self.file.take());
        cancel::finished(&self.path);
    }
}

/// Those of the file that is replaced; for a new one what the umask leaves of rw-rw-rw-, as for any other program
/// (temporary files are private by default).
#[cfg(unix)]
fn permissions(target: &Path) -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(target).map_or_else(|_| PermissionsExt::from_mode(0o666), |existing| existing.permissions())
}

fn write_special(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.write_all(bytes)?;
    file.flush()
}

fn to_standard_output(bytes: &[u8]) -> Result<(), CommandFailure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(|error| CommandFailure::other(format!("standard output: {}", describe(&error))))
}

/// Beyond the file size limit of the process (`ulimit -f`) the system's default is to kill the program, which would
/// leave the temporary file. With any handler the write fails like one on a full disk.
#[cfg(unix)]
pub fn ignore_file_size_signal() -> Result<(), CommandFailure> {
    use signal_hook::consts::SIGXFSZ;
    signal_hook::flag::register(SIGXFSZ, std::sync::Arc::default())
        .map(|_| ())
        .map_err(|error| CommandFailure::other(format!("cannot watch the file size limit: {}", describe(&error))))
}

#[cfg(not(unix))]
pub fn ignore_file_size_signal() -> Result<(), CommandFailure> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn target(folder: &Path, name: &str) -> OutputTarget {
        let path = folder.join(name);
        OutputTarget::File { shown: path.clone(), real: path }
    }

    #[test]
    fn files_are_written_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let targets = [target(folder.path(), "a"), target(folder.path(), "b")];
        for contents in ["first", "second"] {
            let files = vec![contents.as_bytes().to_vec(), b"other".to_vec()];
            assert!(write_pictures(&targets, &files).is_ok());
            assert_eq!(fs::read_to_string(folder.path().join("a")).unwrap(), contents);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn when_one_cannot_be_written_none_appears() {
        let folder = tempfile::tempdir().unwrap();
        let targets = [target(folder.path(), "a"), target(&folder.path().join("gone"), "b")];
        assert!(write_pictures(&targets, &[vec![1], vec![2]]).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_new_file_is_as_readable_as_the_umask_allows() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        assert!(write_pictures(&[target(folder.path(), "a")], &[vec![1]]).is_ok());
        fs::write(folder.path().join("b"), b"x").unwrap();
        let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode("a"), mode("b"));
    }
}
