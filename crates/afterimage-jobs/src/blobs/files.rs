//! Storing, reading and listing files.

use super::advice::{advice, is_missing_bucket};
use super::bucket::Bucket;
use super::hard_links::touch;
use super::media_types::media_type;
use super::paths::{MARK, checked};
use crate::measures::{Measures, StorageCall};
use crate::{Error, Result, Timestamp};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path as BlobPath;
use object_store::{
    Attribute, Attributes, Error as StorageError, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutOptions, PutPayload,
};
use sha2::{Digest, Sha256};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How long a bucket may take to answer, all tries together. Whoever submits is told within ten seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(9);

/// How long a file may take to come out of a bucket as a whole: a worker's slot waits no longer.
const READ_WITHIN: Duration = Duration::from_secs(20);

/// Where files are kept. Clones share it.
#[derive(Clone, Debug)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    place: BlobPlace,
    measures: Measures,
}

/// What kind of place that is.
#[derive(Clone, Debug)]
pub(super) enum BlobPlace {
    /// This process.
    Memory,
    /// A folder of this machine.
    Folder(Arc<Path>),
    /// A bucket of an object store.
    Bucket(Arc<Bucket>),
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
    /// Files in `store`, which is the one of `place`.
    pub(super) fn over(store: Arc<dyn ObjectStore>, place: BlobPlace) -> Self {
        Self { store, place, measures: Measures::default() }
    }

    /// The same files, whose calls `measures` counts and times.
    #[must_use]
    pub fn measured_by(self, measures: Measures) -> Self {
        Self { measures, ..self }
    }

    /// Files in memory, for tests.
    pub fn memory() -> Self {
        Self::over(Arc::new(InMemory::new()), BlobPlace::Memory)
    }

    pub(super) const fn place(&self) -> &BlobPlace {
        &self.place
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
        self.write(path, &checked(path)?, bytes).await
    }

    async fn write(&self, path: &str, location: &BlobPath, bytes: Bytes) -> Result<()> {
        let mut options = PutOptions::default();
        // Whoever comes by an address of the bucket's own is told it; folders keep no types.
        if let (BlobPlace::Bucket(_), Some(media_type)) = (&self.place, media_type(path)) {
            options.attributes = Attributes::from_iter([(Attribute::ContentType, media_type)]);
        }
        let stored = self.store.put_opts(location, PutPayload::from(bytes), options);
        match self.ask(StorageCall::Put, path, ANSWER_WITHIN, stored).await? {
            Some(_) => Ok(()),
            None => Err(Error::unavailable(self.name_of(path), "there is no such place")),
        }
    }

    /// Stores the file of one path durably under another one, too; neither goes with the other. Returns its length, or
    /// `None` when there is none. Local files become hard links, which take no room; a bucket copies by itself.
    ///
    /// # Errors
    /// [`Error::BlobPath`], [`Error::Unavailable`].
    pub async fn copy(&self, from: &str, to: &str) -> Result<Option<u64>> {
        let (source, target) = (checked(from)?, checked(to)?);
        if let BlobPlace::Folder(folder) = &self.place {
            let touched = touch(folder.join(from)).await;
            if !touched.map_err(|error| Error::unavailable(self.name_of(from), error))? {
                return Ok(None);
            }
        }
        let copied = async {
            self.store.copy(&source, &target).await?;
            self.store.head(&target).await
        };
        Ok(self.ask(StorageCall::Copy, from, ANSWER_WITHIN, copied).await?.map(|file| file.size))
    }

    /// The file, or `None` when there is none.
    ///
    /// # Errors
    /// [`Error::BlobPath`], [`Error::Unavailable`].
    pub async fn get(&self, path: &str) -> Result<Option<Bytes>> {
        self.read(path, &checked(path)?).await
    }

    async fn read(&self, path: &str, location: &BlobPath) -> Result<Option<Bytes>> {
        self.ask(StorageCall::Get, path, READ_WITHIN, async { self.store.get(location).await?.bytes().await }).await
    }

    /// What marks the place as somebody's; see [`crate::StorageClaim`].
    pub(crate) async fn mark(&self) -> Result<Option<Bytes>> {
        self.read(MARK, &BlobPath::from(MARK)).await
    }

    /// Marks the place.
    pub(crate) async fn set_mark(&self, mark: Bytes) -> Result<()> {
        self.write(MARK, &BlobPath::from(MARK), mark).await
    }

    /// A part of the file as a stream, or `None` when there is no file. `range` is cut where the file ends; `None` is the
    /// whole file.
    ///
    /// # Errors
    /// [`Error::BlobPath`], [`Error::Unavailable`]; also for a range that begins behind the file's end.
    pub async fn open(&self, path: &str, range: Option<Range<u64>>) -> Result<Option<StoredFile>> {
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let location = checked(path)?;
        let Some(found) =
            self.ask(StorageCall::Get, path, ANSWER_WITHIN, self.store.get_opts(&location, options)).await?
        else {
            return Ok(None);
        };
        let (bytes, range) = (found.meta.size, found.range.clone());
        let (blobs, path) = (self.clone(), path.to_owned());
        let stream = found.into_stream().map_err(move |error| blobs.unavailable(&path, &error)).boxed();
        Ok(Some(StoredFile { bytes, range, stream }))
    }

    /// Length of the file, or `None` when there is none.
    ///
    /// # Errors
    /// [`Error::BlobPath`], [`Error::Unavailable`].
    pub async fn length(&self, path: &str) -> Result<Option<u64>> {
        let location = checked(path)?;
        Ok(self.ask(StorageCall::Head, path, ANSWER_WITHIN, self.store.head(&location)).await?.map(|file| file.size))
    }

    /// Removes a file; one that is not there is removed already.
    ///
    /// # Errors
    /// [`Error::BlobPath`], [`Error::Unavailable`].
    pub async fn delete(&self, path: &str) -> Result<()> {
        self.delete_all(vec![path.to_owned()]).await
    }

    /// Removes files, a thousand with each request where a bucket has them; those that are not there are removed already.
    ///
    /// # Errors
    /// [`Error::BlobPath`], [`Error::Unavailable`]; what was removed stays so.
    pub async fn delete_all(&self, paths: Vec<String>) -> Result<()> {
        let Some(first) = paths.first().cloned() else { return Ok(()) };
        let locations = paths.iter().map(|path| checked(path)).collect::<Result<Vec<_>>>()?;
        let mut removed = self.store.delete_stream(stream::iter(locations.into_iter().map(Ok)).boxed());
        // What is not there counts as removed, what is no answer any more ends it.
        while !matches!(self.ask(StorageCall::Delete, &first, ANSWER_WITHIN, removed.try_next()).await?, Some(None)) {}
        Ok(())
    }

    /// All files under a folder of blobs, such as `results` or `results/<job>`.
    ///
    /// # Errors
    /// [`Error::BlobPath`], [`Error::Unavailable`].
    pub async fn list(&self, folder: &str) -> Result<Vec<StoredBlob>> {
        self.listing(folder)?.try_collect().await
    }

    /// The same one after the other, for folders with any number of files.
    ///
    /// # Errors
    /// [`Error::BlobPath`]; in the stream [`Error::Unavailable`].
    pub fn listing(&self, folder: &str) -> Result<BoxStream<'static, Result<StoredBlob>>> {
        let entries = self.store.list(Some(&checked(folder)?));
        let next = |(blobs, folder, mut entries): (Self, String, BoxStream<'static, _>)| async move {
            let entry = blobs.ask(StorageCall::List, &folder, ANSWER_WITHIN, entries.try_next()).await?.flatten();
            Ok(entry.map(|entry: ObjectMeta| (StoredBlob::from(entry), (blobs, folder, entries))))
        };
        Ok(stream::try_unfold((self.clone(), folder.to_owned(), entries), next).boxed())
    }

    /// What came of a request about `path`, of which a bucket may take so long; `None` when there is no such file.
    async fn ask<T>(
        &self,
        call: StorageCall,
        path: &str,
        limit: Duration,
        request: impl Future<Output = Result<T, StorageError>>,
    ) -> Result<Option<T>> {
        let start = Instant::now();
        let answer = self.answer(path, limit, request).await;
        self.measures.called_storage(call, start, answer.is_err());
        answer
    }

    async fn answer<T>(
        &self,
        path: &str,
        limit: Duration,
        request: impl Future<Output = Result<T, StorageError>>,
    ) -> Result<Option<T>> {
        let answer = match &self.place {
            BlobPlace::Memory | BlobPlace::Folder(_) => request.await,
            BlobPlace::Bucket(_) => timeout(limit, request).await.map_err(|_| {
                Error::unavailable(self.name_of(path), format!("no answer within {} s", limit.as_secs()))
            })?,
        };
        match answer {
            Ok(found) => Ok(Some(found)),
            Err(error @ StorageError::NotFound { .. }) if !is_missing_bucket(&error) => Ok(None),
            Err(error) => Err(self.unavailable(path, &error)),
        }
    }

    fn unavailable(&self, path: &str, error: &StorageError) -> Error {
        let advice = advice(error).map(|advice| format!(" ({advice})")).unwrap_or_default();
        Error::unavailable(self.name_of(path), format!("{error}{advice}"))
    }

    /// What errors and logs call the file of `path`.
    pub(crate) fn name_of(&self, path: &str) -> String {
        match &self.place {
            BlobPlace::Memory | BlobPlace::Folder(_) => format!("storage of {path}"),
            BlobPlace::Bucket(bucket) => format!("storage of {bucket}/{path}"),
        }
    }
}

impl From<ObjectMeta> for StoredBlob {
    fn from(entry: ObjectMeta) -> Self {
        Self {
            path: entry.location.to_string(),
            bytes: entry.size,
            modified_at: Timestamp(entry.last_modified.timestamp_millis()),
        }
    }
}
