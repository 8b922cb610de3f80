//! The cache in the layout of Python's `huggingface_hub`:
//!
//! ```text
//! models--OWNER--NAME/blobs/CHECKSUM               a file's bytes; CHECKSUM.incomplete while they arrive
//! models--OWNER--NAME/snapshots/COMMIT/PATH        a symbolic link to them
//! models--OWNER--NAME/refs/REVISION                the commit that a branch or tag stood for
//! .locks/models--OWNER--NAME/CHECKSUM.lock         locked by whoever fetches the file
//! ```

use crate::checksum::Checksum;
use crate::error::HubError;
use crate::file_path::FilePath;
use crate::reference::HubReference;
use crate::repository_name::{CommitId, RepositoryName, Revision};
use std::collections::hash_map::RandomState;
use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The folder that holds all repositories.
#[derive(Clone, Debug)]
pub struct HubCache {
    root: PathBuf,
}

impl HubCache {
    /// The cache in `root`, which need not exist.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of `repository`.
    pub(crate) fn repository(&self, repository: &RepositoryName) -> PathBuf {
        self.root.join(repository.folder())
    }

    /// The folder of its locks.
    pub(crate) fn locks(&self, repository: &RepositoryName) -> PathBuf {
        self.root.join(".locks").join(repository.folder())
    }

    /// Where the bytes of a file are.
    pub(crate) fn blob(&self, repository: &RepositoryName, checksum: Checksum) -> PathBuf {
        self.repository(repository).join("blobs").join(checksum.to_string())
    }

    /// Where the bytes of a file are while they arrive. Python's tools go on with such a file, too.
    pub(crate) fn partial(&self, repository: &RepositoryName, checksum: Checksum) -> PathBuf {
        self.repository(repository).join("blobs").join(format!("{checksum}.incomplete"))
    }

    /// The empty file that says that the bytes of a file were found damaged. Python's tools do not look there.
    pub(crate) fn damage_mark(&self, repository: &RepositoryName, checksum: Checksum) -> PathBuf {
        self.locks(repository).join(format!("{checksum}.damaged"))
    }

    /// The folder of the files at `commit`.
    pub(crate) fn snapshot(&self, repository: &RepositoryName, commit: &CommitId) -> PathBuf {
        self.repository(repository).join("snapshots").join(commit.as_str())
    }

    /// The commit that `revision` stands for, as far as this machine knows.
    pub(crate) fn commit(&self, repository: &RepositoryName, revision: &Revision) -> Option<CommitId> {
        revision.as_commit().or_else(|| {
            let path = revision.path().below(&self.repository(repository).join("refs"));
            // Anything but a short file, such as a pipe, might never end.
            fs::metadata(&path).ok().filter(|about| about.is_file() && about.len() < 1024)?;
            CommitId::parse(fs::read_to_string(path).ok()?.trim())
        })
    }

    /// Writes down that `revision` stands for `commit`.
    pub(crate) fn remember(
        &self,
        repository: &RepositoryName,
        revision: &Revision,
        commit: &CommitId,
    ) -> Result<(), HubError> {
        if revision.as_commit().is_some() || self.commit(repository, revision).as_ref() == Some(commit) {
            return Ok(());
        }
        let path = revision.path().below(&self.repository(repository).join("refs"));
        create_parent(&path)?;
        let temporary = beside(&path);
        let written = fs::write(&temporary, commit.as_str()).and_then(|()| fs::rename(&temporary, &path));
        written.map_err(|error| {
            let _ = fs::remove_file(&temporary);
            HubError::io(&path, error)
        })
    }

    /// Puts `file`, whose bytes are there already, into the snapshot of `commit`.
    pub(crate) fn link(
        &self,
        repository: &RepositoryName,
        commit: &CommitId,
        file: &FilePath,
        checksum: Checksum,
    ) -> Result<(), HubError> {
        let path = file.below(&self.snapshot(repository, commit));
        let blob = self.blob(repository, checksum);
        // Relative, so that the cache may be moved: out of the folders, the commit and `snapshots`.
        let mut target: PathBuf = file.names().map(|_| "..").collect();
        target.extend(["..", "blobs", &checksum.to_string()]);
        if fs::read_link(&path).is_ok_and(|current| current == target) {
            return Ok(());
        }
        create_parent(&path)?;
        let temporary = beside(&path);
        let linked = symbolic_link(&target, &temporary)
            // File systems without links: the bytes themselves move, as Python's tools do it.
            .or_else(|error| match error.kind() {
                ErrorKind::Unsupported | ErrorKind::PermissionDenied => {
                    fs::hard_link(&blob, &temporary).or_else(|_| fs::rename(&blob, &temporary))
                }
                _ => Err(error),
            })
            .and_then(|()| fs::rename(&temporary, &path));
        linked.map_err(|error| {
            let _ = fs::remove_file(&temporary);
            HubError::io(&path, error)
        })
    }

    /// Locks the bytes of a file against other programs that would fetch them; nothing while one of them does.
    pub(crate) fn try_lock(&self, repository: &RepositoryName, checksum: Checksum) -> Result<Option<File>, HubError> {
        let path = self.locks(repository).join(format!("{checksum}.lock"));
        create_parent(&path)?;
        let failed = |error: io::Error| HubError::io(&path, error);
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            // Network file systems without locks: two programs at once are the rarer trouble.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(Some(file)),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// The repositories that are there, sorted.
    ///
    /// # Errors
    /// [`HubError::Io`] when the folder is there and cannot be read.
    pub fn repositories(&self) -> Result<Vec<RepositoryName>, HubError> {
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(HubError::io(&self.root, error)),
        };
        let names = entries.flatten().filter_map(|entry| RepositoryName::from_folder(entry.file_name().to_str()?));
        let mut names: Vec<_> = names.collect();
        names.sort();
        Ok(names)
    }

    /// The cache and the repository, revision or file in it that the path of a folder or file means.
    pub fn of_path(path: &Path) -> Option<(Self, HubReference)> {
        // Not by following links: a file of a snapshot is one.
        let path = std::path::absolute(path).ok()?;
        let folder = path.ancestors().find(|folder| repository_of(folder).is_some())?;
        let mut reference: HubReference = repository_of(folder)?.to_string().parse().ok()?;
        let mut names = path.strip_prefix(folder).ok()?.iter().map(|name| name.to_str());
        if let Some(first) = names.next() {
            let commit = names.next().flatten().filter(|_| first == Some("snapshots"))?;
            reference.revision = CommitId::parse(commit).and_then(|commit| commit.as_str().parse().ok())?;
            let file = names.collect::<Option<Vec<&str>>>()?.join("/");
            reference.file = if file.is_empty() { None } else { Some(FilePath::parse(&file).ok()?) };
        }
        Some((Self::new(folder.parent()?.to_path_buf()), reference))
    }

    /// Removes all of `repository`, every revision and what has arrived in part; gives the bytes that were freed.
    ///
    /// # Errors
    /// [`HubError::NotCached`] when it is not there, [`HubError::Io`].
    pub fn remove(&self, repository: &RepositoryName) -> Result<u64, HubError> {
        let folder = self.repository(repository);
        if !folder.is_dir() {
            let problem = format!("is not in {}", self.root.display());
            return Err(HubError::NotCached { repository: repository.to_string(), problem });
        }
        let bytes = bytes_of(&folder);
        fs::remove_dir_all(&folder).map_err(|error| HubError::io(&folder, error))?;
        // Only empty files; who still waits for one of them makes it anew.
        let _ = fs::remove_dir_all(self.locks(repository));
        Ok(bytes)
    }
}

/// The repository that `folder` holds, by its name.
fn repository_of(folder: &Path) -> Option<RepositoryName> {
    RepositoryName::from_folder(folder.file_name()?.to_str()?)
}

/// Bytes of all files below `folder`; links count for nothing, unreadable folders neither.
pub(crate) fn bytes_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_of(&entry.path()),
            Ok(metadata) if metadata.is_file() => metadata.len(),
            _ => 0,
        })
        .sum()
}

/// Makes the folder that `path` lies in.
pub(crate) fn create_parent(path: &Path) -> Result<(), HubError> {
    let Some(parent) = path.parent() else { return Ok(()) };
    fs::create_dir_all(parent).map_err(|error| HubError::io(parent, error))
}

/// A name beside `path` that nobody else uses.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Names may be as long as the file system allows.
    let start: String = name.chars().take(40).collect();
    // Drawn at random: threads of a process share its number, and so may programs in two containers.
    let drawn = RandomState::new().build_hasher().finish();
    path.with_file_name(format!(".{start}.{drawn:016x}"))
}

#[cfg(unix)]
fn symbolic_link(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(not(unix))]
fn symbolic_link(_target: &Path, _link: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}
