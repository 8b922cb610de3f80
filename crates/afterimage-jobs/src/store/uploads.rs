//! Files that clients upload before they use them.

use crate::{Due, KeyId, Result, Timestamp, UploadId};
use async_trait::async_trait;
use std::time::Duration;

/// An upload to note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUpload {
    /// Drawn by the caller.
    pub id: UploadId,
    /// Who uploads.
    pub key: KeyId,
    /// As the client gave it; only ever shown, never a path.
    pub filename: String,
    /// Media type as the client gave it; only ever shown.
    pub declared_type: String,
    /// What has been stored already; `None` when the bytes come in a later request.
    pub facts: Option<UploadFacts>,
    /// Expires this long after now, if that comes before the general rule.
    pub kept_for: Option<Duration>,
}

/// What we found out about an uploaded file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadFacts {
    /// Blob path.
    pub blob: String,
    /// Media type, decided by us.
    pub content_type: String,
    /// Length of the file.
    pub bytes: u64,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

/// How far an upload is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UploadState {
    /// The bytes have not come.
    Pending,
    /// The file is stored.
    Ready(UploadFacts),
}

/// An upload as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// See [`NewUpload::id`].
    pub id: UploadId,
    /// See [`NewUpload::key`].
    pub key: KeyId,
    /// See [`NewUpload::filename`].
    pub filename: String,
    /// See [`NewUpload::declared_type`].
    pub declared_type: String,
    /// How far it is.
    pub state: UploadState,
    /// When it was noted.
    pub created_at: Timestamp,
    /// See [`NewUpload::kept_for`].
    pub kept_for: Option<Duration>,
}

/// The table of uploads.
#[async_trait]
pub trait UploadStore: Send + Sync + 'static {
    /// Notes an upload.
    ///
    /// # Errors
    /// [`crate::Error::UnknownKey`].
    async fn create_upload(&self, upload: NewUpload) -> Result<Upload>;

    /// Completes a pending upload; `None` when there is no such upload or it is complete already (the first one wins).
    async fn finish_upload(&self, id: &UploadId, facts: UploadFacts) -> Result<Option<Upload>>;

    /// The upload, whosever it is, unless it has expired.
    async fn upload(&self, id: &UploadId) -> Result<Option<Upload>>;

    /// [`UploadStore::upload`] of several, in any order.
    async fn uploads(&self, ids: &[UploadId]) -> Result<Vec<Upload>>;

    /// Hides at most `limit` uploads that the general rule makes due, and as many whose [`Upload::kept_for`] is over;
    /// returns how many in all.
    async fn expire_uploads(&self, due: Due, limit: u32) -> Result<u64>;

    /// At most `limit` uploads that [`UploadStore::expire_uploads`] would hide, without writing anything; it may name one
    /// twice.
    async fn due_uploads(&self, due: Due, limit: u32) -> Result<Vec<UploadId>>;

    /// At most `limit` expired uploads whose blobs have not been removed yet.
    async fn unswept_uploads(&self, limit: u32) -> Result<Vec<UploadId>>;

    /// Forgets expired uploads whose blobs are gone.
    async fn forget_uploads(&self, uploads: &[UploadId]) -> Result<()>;
}
