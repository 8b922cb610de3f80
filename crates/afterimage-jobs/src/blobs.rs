//! Files of the queue: inputs, results, uploads.
//!
//! | path | written by |
//! |---|---|
//! | `inputs/<job>/<n>` | the dialect, before the submit; also what was uploaded or made before, so that its end is not the job's |
//! | `inputs/<job>/<n>-<fetch>` | whoever fetches, before the job may be claimed |
//! | `results/<job>/<attempt>/<hash>.<ext>` | the worker, before the job's end is recorded |
//! | `uploads/<id>` | the upload routes |
//! | `parts/<id>/<n>` | the same, for an upload that comes in parts, until it is complete |
//!
//! Attempt and content in a result's path keep a worker that lost its lease from overwriting what the winner stored;
//! so does the number of the fetch in an input's.
//! Nothing that a user typed is ever part of a path.

use crate::data_folder::{close_to_others, create_private};
use crate::{Error, FetchLease, JobId, Lease, Result, Timestamp, UploadId, unfinished};
use afterimage_core::OutputFormat;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::{
    Error as StorageError, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutPayload, path::Path as BlobPath,
};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

const INPUTS: &str = "inputs";
const RESULTS: &str = "results";
const UPLOADS: &str = "uploads";
pub(crate) const PARTS: &str = "parts";

/// Where files are kept. Clones share it.
#[derive(Clone, Debug)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    /// Where the files are, if they are local.
    folder: Option<Arc<Path>>,
}

/// A stored file, as a listing tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlob {
    /// Its path.
    pub path: String,
    /// Length in bytes.
    pub bytes: u64,
    /// When it was written.
    pub modified_at: Timestamp,
}

/// A file that is being read.
pub struct StoredFile {
    /// Length of the whole file.
    pub bytes: u64,
    /// The part that [`StoredFile::stream`] gives.
    pub range: Range<u64>,
    /// Its bytes, piece by piece.
    pub stream: BoxStream<'static, Result<Bytes>>,
}

impl Blobs {
    /// Files in a local folder that only its owner may enter; made unless it is there. One that was there may be open to
    /// others, the folders of ours in it are closed. A write is on disk, name and content, when [`Blobs::put`] returns.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the folder cannot be made.
    pub fn local(folder: &Path) -> Result<Self> {
        create_private(folder)?;
        for name in BlobOwner::FOLDERS {
            close_to_others(&folder.join(name));
        }
        let store = LocalFileSystem::new_with_prefix(folder)
            .map_err(|error| Error::unavailable(format!("folder {}", folder.display()), error))?
            .with_fsync(true)
            .with_automatic_cleanup(true);
        Ok(Self { store: Arc::new(store), folder: Some(folder.into()) })
    }

    /// Files in memory, for tests.
    pub fn memory() -> Self {
        Self { store: Arc::new(InMemory::new()), folder: None }
    }

    /// Any other object store.
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, folder: None }
    }

    /// Path of a job's `number`th input.
    pub fn input_path(job: &JobId, number: usize) -> String {
        format!("{INPUTS}/{job}/{number}")
    }

    /// Path of a job's `number`th input that was fetched under `lease`.
    pub fn fetched_path(lease: &FetchLease, number: usize) -> String {
        format!("{INPUTS}/{}/{number}-{}", lease.job, lease.number)
    }

    /// Path of a result that was made under `lease` and has this SHA-256 in hexadecimal.
    pub fn result_path(lease: &Lease, sha256: &str, format: OutputFormat) -> String {
        format!("{RESULTS}/{}/{}/{sha256}.{}", lease.job, lease.attempt, format.extension())
    }

    /// Path of an upload.
    pub fn upload_path(upload: &UploadId) -> String {
        format!("{UPLOADS}/{upload}")
    }

    /// Path of the `number`th part of an upload that comes in parts.
    pub fn part_path(upload: &UploadId, number: u32) -> String {
        format!("{}/{number}", Self::parts_path(upload))
    }

    /// Folder of the parts of an upload.
    pub fn parts_path(upload: &UploadId) -> String {
        format!("{PARTS}/{upload}")
    }

    /// SHA-256 in hexadecimal, as result paths and [`crate::ResultFile::sha256`] have it.
    pub fn sha256(bytes: &[u8]) -> String {
        hex::encode(Sha256::digest(bytes))
    }

    /// Stores a file durably, replacing one of that path.
    ///
    /// # Errors
    /// [`Error::BlobPath`], [`Error::Unavailable`].
    pub async fn put(&self, path: &str, bytes: Bytes) -> Result<()> {
        self.store.put(&checked(path)?, PutPayload::from(bytes)).await.map_err(|error| unavailable(path, error))?;
        Ok(())
    }

    /// Stores the file of one path durably under another one, too; neither goes with the other. Returns its length, or
    /// `None` when there is none. Local files become hard links, which take no room.
    ///
    /// # Errors
    /// [`Error::BlobPath`], [`Error::Unavailable`].
    pub async fn copy(&self, from: &str, to: &str) -> Result<Option<u64>> {
        let (source, target) = (checked(from)?, checked(to)?);
        if let Some(folder) = &self.folder
            && !touch(folder.join(from))
                .await
                .map_err(|error| Error::unavailable(format!("storage of {from}"), error))?
        {
            return Ok(None);
        }
        match self.store.copy(&source, &target).await {
            Err(StorageError::NotFound { .. }) => return Ok(None),
            other => other.map_err(|error| unavailable(from, error))?,
        }
        self.store.head(&target).await.map(|file| Some(file.size)).map_err(|error| unavailable(to, error))
    }

    /// The file, or `None` when there is none.
    ///
    /// # Errors
    /// [`Error::BlobPath`], [`Error::Unavailable`].
    pub async fn get(&self, path: &str) -> Result<Option<Bytes>> {
        let found = match self.store.get(&checked(path)?).await {
            Err(StorageError::NotFound { .. }) => return Ok(None),
            other => other.map_err(|error| unavailable(path, error))?,
        };
        found.bytes().await.map(Some).map_err(|error| unavailable(path, error))
    }

    /// A part of the file as a stream, or `None` when there is no file. `range` is cut where the file ends; `None` is the
    /// whole file.
    ///
    /// # Errors
    /// [`Error::BlobPath`], [`Error::Unavailable`]; also for a range that begins behind the file's end.
    pub async fn open(&self, path: &str, range: Option<Range<u64>>) -> Result<Option<StoredFile>> {
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let found = match self.store.get_opts(&checked(path)?, options).await {
            Err(StorageError::NotFound { .. }) => return Ok(None),
            other => other.map_err(|error| unavailable(path, error))?,
        };
        let (bytes, range, path) = (found.meta.size, found.range.clone(), path.to_owned());
        let stream = found.into_stream().map_err(move |error| unavailable(&path, error)).boxed();
        Ok(Some(StoredFile { bytes, range, stream }))
    }

    /// Length of the file, or `None` when there is none.
    ///
    /// # Errors
    /// [`Error::BlobPath`], [`Error::Unavailable`].
    pub async fn length(&self, path: &str) -> Result<Option<u64>> {
        match self.store.head(&checked(path)?).await {
            Ok(file) => Ok(Some(file.size)),
            Err(StorageError::NotFound { .. }) => Ok(None),
            Err(error) => Err(unavailable(path, error)),
        }
    }

    /// Removes a file; one that is not there is removed already.
    ///
    /// # Errors
    /// [`Error::BlobPath`], [`Error::Unavailable`].
    pub async fn delete(&self, path: &str) -> Result<()> {
        match self.store.delete(&checked(path)?).await {
            Ok(()) | Err(StorageError::NotFound { .. }) => Ok(()),
            Err(error) => Err(unavailable(path, error)),
        }
    }

    /// All files under a folder of blobs, such as `results` or `results/<job>`.
    ///
    /// # Errors
    /// [`Error::BlobPath`], [`Error::Unavailable`].
    pub async fn list(&self, folder: &str) -> Result<Vec<StoredBlob>> {
        self.store
            .list(Some(&checked(folder)?))
            .map(|entry| {
                let entry = entry.map_err(|error| unavailable(folder, error))?;
                Ok(StoredBlob {
                    path: entry.location.to_string(),
                    bytes: entry.size,
                    modified_at: Timestamp(entry.last_modified.timestamp_millis()),
                })
            })
            .try_collect()
            .await
    }

    /// Removes what processes were killed amid writing before `before`; returns how many files. Only local files can
    /// be unfinished.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn remove_unfinished(&self, before: Timestamp) -> Result<u64> {
        let Some(folder) = &self.folder else { return Ok(0) };
        unfinished::remove(BlobOwner::FOLDERS.map(|name| folder.join(name)).into(), before).await
    }

    /// Removes all files of a job.
    ///
    /// # Errors
    /// [`Error::BlobPath`], [`Error::Unavailable`].
    pub async fn delete_job(&self, job: &JobId) -> Result<()> {
        for folder in [INPUTS, RESULTS] {
            for blob in self.list(&format!("{folder}/{job}")).await? {
                self.delete(&blob.path).await?;
            }
        }
        Ok(())
    }

    /// Removes the parts of an upload.
    ///
    /// # Errors
    /// [`Error::BlobPath`], [`Error::Unavailable`].
    pub async fn delete_parts(&self, upload: &UploadId) -> Result<()> {
        for part in self.list(&Self::parts_path(upload)).await? {
            self.delete(&part.path).await?;
        }
        Ok(())
    }

    /// Removes an upload's file and parts.
    ///
    /// # Errors
    /// [`Error::BlobPath`], [`Error::Unavailable`].
    pub async fn delete_upload(&self, upload: &UploadId) -> Result<()> {
        self.delete_parts(upload).await?;
        self.delete(&Self::upload_path(upload)).await
    }
}

/// Who a blob belongs to, by its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BlobOwner {
    /// One of a job's inputs.
    Input(JobId),
    /// One of a job's results, wanted or not.
    Result(JobId),
    /// An upload.
    Upload(UploadId),
    /// A part of one that is not complete.
    Part,
}

impl BlobOwner {
    /// `None` for a path that is not ours to judge.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let mut parts = path.split('/');
        match (parts.next()?, parts.next()?) {
            (INPUTS, job) => JobId::parse(job).map(Self::Input),
            (RESULTS, job) => JobId::parse(job).map(Self::Result),
            (UPLOADS, upload) => UploadId::parse(upload).map(Self::Upload),
            (PARTS, upload) => UploadId::parse(upload).map(|_| Self::Part),
            _ => None,
        }
    }

    /// Every folder that holds blobs.
    pub(crate) const FOLDERS: [&str; 4] = [INPUTS, RESULTS, UPLOADS, PARTS];
}

/// Makes a file as young as a new one; false when there is none. A hard link has the age of its first name, and whoever
/// looks for orphans would take a young one of an old upload for left behind.
async fn touch(path: PathBuf) -> io::Result<bool> {
    let touched = tokio::task::spawn_blocking(move || {
        match File::options().write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            file => file?.set_modified(SystemTime::now())?,
        }
        Ok(true)
    });
    touched.await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// Refuses what none of the path functions makes, so that a slip elsewhere cannot reach other files.
fn checked(path: &str) -> Result<BlobPath> {
    let refused = || Error::BlobPath { path: path.chars().take(100).collect() };
    let parts: Vec<&str> = path.split('/').collect();
    let plain = |part: &&str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'-' | b'.'))
    };
    if !BlobOwner::FOLDERS.contains(&parts[0]) || !parts.iter().all(plain) {
        return Err(refused());
    }
    BlobPath::parse(path).map_err(|_| refused())
}

fn unavailable(path: &str, error: StorageError) -> Error {
    Error::unavailable(format!("storage of {path}"), error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorkerId;

    #[test]
    fn only_our_own_paths_pass() {
        let lease = Lease { job: JobId::random(), attempt: 2, worker: WorkerId::random() };
        for path in [
            Blobs::input_path(&lease.job, 0),
            Blobs::fetched_path(&FetchLease { job: lease.job.clone(), number: 3 }, 1),
            Blobs::result_path(&lease, &Blobs::sha256(b"x"), OutputFormat::Jpeg),
            Blobs::upload_path(&UploadId::random()),
            Blobs::part_path(&UploadId::random(), 1000),
        ] {
            assert_eq!(checked(&path).unwrap().to_string(), path);
        }
        for path in [
            "",
            "/",
            "uploads/../afterimage.sqlite",
            "../inputs/x",
            "/etc/passwd",
            "uploads//x",
            "uploads/.x",
            "uploads/a\\b",
            "uploads/a%2fb",
            "uploads/a\0",
            "other/x",
            "uploads/C:",
            "uploads/ü",
        ] {
            assert!(matches!(checked(path), Err(Error::BlobPath { .. })), "{path}");
        }
    }

    #[test]
    fn paths_tell_their_owner() {
        let job = JobId::random();
        assert_eq!(BlobOwner::of(&Blobs::input_path(&job, 3)), Some(BlobOwner::Input(job)));
        assert_eq!(BlobOwner::of("results/not-an-id/1/x.png"), None);
    }

    #[tokio::test]
    async fn files_come_back_and_go() {
        let folder = tempfile::tempdir().unwrap();
        for blobs in [Blobs::memory(), Blobs::local(&folder.path().join("blobs")).unwrap()] {
            let job = JobId::random();
            let path = Blobs::input_path(&job, 0);
            assert_eq!(blobs.get(&path).await.unwrap(), None);
            blobs.put(&path, Bytes::from_static(b"one")).await.unwrap();
            blobs.put(&path, Bytes::from_static(b"two")).await.unwrap();
            assert_eq!(blobs.get(&path).await.unwrap(), Some(Bytes::from_static(b"two")));
            let listed = blobs.list("inputs").await.unwrap();
            assert_eq!(listed.len(), 1);
            assert_eq!((listed[0].path.as_str(), listed[0].bytes), (path.as_str(), 3));
            blobs.delete_job(&job).await.unwrap();
            assert_eq!(blobs.get(&path).await.unwrap(), None);
            blobs.delete(&path).await.unwrap();
        }
    }

    #[tokio::test]
    async fn copies_outlive_their_source_and_are_young() {
        let folder = tempfile::tempdir().unwrap();
        for blobs in [Blobs::memory(), Blobs::local(folder.path()).unwrap()] {
            let (from, to) = (Blobs::upload_path(&UploadId::random()), Blobs::input_path(&JobId::random(), 0));
            assert_eq!(blobs.copy(&from, &to).await.unwrap(), None);
            blobs.put(&from, Bytes::from_static(b"three")).await.unwrap();
            if blobs.folder.is_some() {
                let file = File::options().write(true).open(folder.path().join(&from)).unwrap();
                file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
            }
            assert_eq!(blobs.copy(&from, &to).await.unwrap(), Some(5));
            blobs.delete(&from).await.unwrap();
            assert_eq!(blobs.get(&to).await.unwrap(), Some(Bytes::from_static(b"three")));
            let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64
                - blobs.list("inputs").await.unwrap()[0].modified_at.0;
            assert!(age < 60_000, "{age} ms");
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_folder_that_cannot_be_written_is_unavailable() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("blobs");
        let blobs = Blobs::local(&root).unwrap();
        // A file where a folder should be fails for every user, root included.
        std::fs::write(root.join("uploads"), b"").unwrap();
        let error = blobs.put(&Blobs::upload_path(&UploadId::random()), Bytes::new()).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }));
    }
}
