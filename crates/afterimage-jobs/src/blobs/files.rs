//! Storing, reading and listing files.

use super::hard_links::touch;
use super::paths::checked;
use crate::{Error, Result, Timestamp};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::{Error as StorageError, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutPayload};
use sha2::{Digest, Sha256};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

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
    /// Files in `store`, which are in `folder` if they are local.
    pub(super) fn over(store: Arc<dyn ObjectStore>, folder: Option<Arc<Path>>) -> Self {
        Self { store, folder }
    }

    /// Files in memory, for tests.
    pub fn memory() -> Self {
        Self::over(Arc::new(InMemory::new()), None)
    }

    /// Where the files are, if they are local.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
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
}

fn unavailable(path: &str, error: StorageError) -> Error {
    Error::unavailable(format!("storage of {path}"), error)
}
