//! What is so of folders only.

use afterimage_jobs::{Blobs, Error, UploadId};
use bytes::Bytes;

#[cfg(unix)]
#[tokio::test]
async fn a_folder_that_cannot_be_written_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("blobs");
    let blobs = Blobs::local(&root).unwrap();
    // A file where a folder should be fails for every user, root included.
    std::fs::write(root.join("uploads"), b"").unwrap();
    let error = blobs.put(&Blobs::new_upload_path(&UploadId::random(), "image/png"), Bytes::new()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }));
}
