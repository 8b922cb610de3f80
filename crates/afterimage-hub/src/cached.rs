//! What is in the cache already, without asking the hub.

use crate::cache::{HubCache, bytes_of, create_parent};
use crate::catalogue::by_repository;
use crate::checksum::Checksum;
use crate::error::HubError;
use crate::file_path::FilePath;
use crate::known::KnownModel;
use crate::observer::PullObserver;
use crate::reference::HubReference;
use crate::repository_name::{RepositoryName, Revision};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes that are read at once.
const BLOCK: usize = 4 << 20;

/// A repository in the cache.
#[derive(Debug)]
pub struct CachedRepository {
    /// Which.
    pub repository: RepositoryName,
    /// What is known of it by heart.
    pub known: Option<&'static KnownModel>,
    /// The files as they were at `main`, if that was fetched.
    pub snapshot: Option<PathBuf>,
    /// Parts that a known model needs and that are not there.
    pub missing: Vec<&'static str>,
    /// Bytes on the disk, of all revisions and what has arrived in part.
    pub bytes: u64,
}

/// What [`HubCache::verify`] found.
#[derive(Debug)]
pub struct Verified {
    /// Files whose checksum is right, and their bytes.
    pub right: (usize, u64),
    /// Files that are not what the hub gave out.
    pub damaged: Vec<DamagedFile>,
    /// Files whose checksum is not known: they are no links into the cache.
    pub unknown: usize,
}

/// A file that is not what the hub gave out.
#[derive(Debug, PartialEq, Eq)]
pub struct DamagedFile {
    /// Its path in the repository.
    pub file: String,
    /// What is wrong with it.
    pub problem: String,
}

impl HubCache {
    /// What is there of `repository`.
    pub fn describe(&self, repository: RepositoryName) -> CachedRepository {
        let known = by_repository(&repository);
        let commit = self.commit(&repository, &Revision::default());
        let snapshot = commit.map(|commit| self.snapshot(&repository, &commit)).filter(|folder| folder.is_dir());
        let missing = known.map(|known| known.missing(snapshot.as_deref(), &|_| true)).unwrap_or_default();
        let bytes = bytes_of(&self.repository(&repository));
        CachedRepository { repository, known, snapshot, missing, bytes }
    }

    /// The folder or file that `reference` names. Of a known model the parts have to be there that `is_needed` says so of
    /// by their names.
    ///
    /// # Errors
    /// [`HubError::NotCached`], which says what is missing and which command fetches it.
    pub fn find(&self, reference: &HubReference, is_needed: &dyn Fn(&str) -> bool) -> Result<PathBuf, HubError> {
        let refuse = |what: &str| self.not_cached(reference, what, &reference.needed_parts(is_needed));
        let snapshot = self.snapshot_of(reference).ok_or_else(|| refuse("is not"))?;
        match (&reference.file, reference.known) {
            (Some(file), _) => {
                let path = file.below(&snapshot);
                if path.exists() { Ok(path) } else { Err(refuse(&format!("{file} is not"))) }
            }
            (None, Some(known)) => match known.missing(Some(&snapshot), is_needed) {
                missing if missing.is_empty() => Ok(snapshot),
                missing => {
                    let verb = if missing.len() == 1 { "is" } else { "are" };
                    Err(refuse(&format!("{} {verb} not", missing.join(", "))))
                }
            },
            (None, None) => Ok(snapshot),
        }
    }

    fn not_cached(&self, reference: &HubReference, what: &str, only: &[String]) -> HubError {
        let mut command = reference.command();
        for part in only {
            command.extend([" --only ", part]);
        }
        let problem = format!("{what} in {}; `{command}` fetches it", self.root().display());
        HubError::NotCached { repository: reference.to_string(), problem }
    }

    fn snapshot_of(&self, reference: &HubReference) -> Option<PathBuf> {
        let commit = self.commit(&reference.repository, &reference.revision)?;
        Some(self.snapshot(&reference.repository, &commit)).filter(|folder| folder.is_dir())
    }

    /// Reads every file of a snapshot, or those that `reference` names, and compares it with its checksum. The next pull
    /// fetches those anew that are damaged, for which they are marked; their bytes stay.
    ///
    /// # Errors
    /// [`HubError::NotCached`] when nothing of it is there, [`HubError::Io`], [`HubError::Cancelled`].
    pub fn verify(&self, reference: &HubReference, observer: &dyn PullObserver) -> Result<Verified, HubError> {
        let snapshot = self.snapshot_of(reference).ok_or_else(|| self.not_cached(reference, "is not", &[]))?;
        let mut files = Vec::new();
        collect(&snapshot, &snapshot, &mut files)?;
        if let Some(wanted) = &reference.file {
            let path = wanted.below(&snapshot);
            files.retain(|file| file.below(&snapshot).starts_with(&path));
            if files.is_empty() {
                return Err(self.not_cached(reference, "is not", &[]));
            }
        }
        files.sort();
        let bytes = |file: &FilePath| file.below(&snapshot).metadata().map_or(0, |metadata| metadata.len());
        observer.planned(&reference.repository, files.len(), files.iter().map(bytes).sum());
        let mut verified = Verified { right: (0, 0), damaged: Vec::new(), unknown: 0 };
        for file in files {
            let path = file.below(&snapshot);
            let Some(checksum) = named_checksum(&path) else {
                verified.unknown += 1;
                continue;
            };
            let damage = |problem: String| DamagedFile { file: file.to_string(), problem };
            let mark = self.damage_mark(&reference.repository, checksum);
            match add_up(&path, checksum, observer)? {
                None => verified.damaged.push(damage("its bytes are gone".to_owned())),
                Some((_, Some(found))) => {
                    // Where nothing can be written, nothing can be fetched either, and that says why.
                    let _ = create_parent(&mark).map(|()| fs::write(&mark, []));
                    let kind = checksum.kind();
                    verified.damaged.push(damage(format!("its {kind} is {found}, expected {checksum}")));
                }
                Some((length, None)) => {
                    let _ = fs::remove_file(&mark);
                    verified.right = (verified.right.0 + 1, verified.right.1 + length);
                    observer.finished(&file, length);
                }
            }
        }
        Ok(verified)
    }
}

/// The files below `folder`, by their paths below `root`. Links to files count, links to folders are not followed.
fn collect(root: &Path, folder: &Path, files: &mut Vec<FilePath>) -> Result<(), HubError> {
    let failed = |error| HubError::io(folder, error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if entry.file_type().map_err(failed)?.is_dir() {
            collect(root, &path, files)?;
        } else if let Ok(relative) = path.strip_prefix(root) {
            let names: Vec<_> = relative.components().map(|part| part.as_os_str().to_string_lossy()).collect();
            files.extend(FilePath::parse(&names.join("/")));
        }
    }
    Ok(())
}

/// The checksum that the link `path` names.
fn named_checksum(path: &Path) -> Option<Checksum> {
    Checksum::from_name(fs::read_link(path).ok()?.file_name()?.to_str()?)
}

/// Length of `path` and, where it differs from `expected`, its checksum; nothing when there is no such file.
fn add_up(
    path: &Path,
    expected: Checksum,
    observer: &dyn PullObserver,
) -> Result<Option<(u64, Option<String>)>, HubError> {
    let failed = |error| HubError::io(path, error);
    let Ok(mut file) = File::open(path) else { return Ok(None) };
    let length = file.metadata().map_err(failed)?.len();
    let mut running = expected.begin(length);
    let mut block = vec![0; BLOCK];
    loop {
        if observer.is_cancelled() {
            return Err(HubError::Cancelled);
        }
        let read = file.read(&mut block).map_err(failed)?;
        if read == 0 {
            return Ok(Some((length, running.mismatch())));
        }
        running.update(&block[..read]);
        observer.advanced(read as u64);
    }
}
