//! Where the files of a test are kept.

use crate::s3_server::{KEY_ID, S3Server, SECRET, url_at};
use afterimage_jobs::{Blobs, BucketCredentials, BucketUrl, Result, UploadId};
use std::fs::File;
use std::net::SocketAddr;
use std::time::SystemTime;
use tempfile::TempDir;

/// Files, and what has to live as long as they do.
pub struct Place {
    pub blobs: Blobs,
    folder: Option<TempDir>,
}

impl Place {
    #[expect(clippy::unused_async, reason = "as the others")]
    pub async fn memory() -> Option<Self> {
        Some(Self { blobs: Blobs::memory(), folder: None })
    }

    #[expect(clippy::unused_async, reason = "as the others")]
    pub async fn folder() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        Some(Self { blobs: Blobs::local(&folder.path().join("blobs")).unwrap(), folder: Some(folder) })
    }

    /// A bucket of its own; `None` where there is no server for it.
    pub async fn bucket() -> Option<Self> {
        let server = S3Server::shared()?;
        let bucket = new_bucket(server).await;
        Some(Self { blobs: open_bucket(server.address, &bucket).await.unwrap(), folder: None })
    }

    /// Makes a file old, where files can be made so.
    pub fn make_old(&self, path: &str) {
        let Some(folder) = &self.folder else { return };
        let file = File::options().write(true).open(folder.path().join("blobs").join(path)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
}

/// The name of a new bucket.
pub async fn new_bucket(server: &S3Server) -> String {
    let name = format!("bucket-{}", UploadId::random());
    server.make_bucket(&name).await;
    name
}

/// The files of a bucket, by the test's credentials.
pub async fn open_bucket(address: SocketAddr, bucket: &str) -> Result<Blobs> {
    let credentials = BucketCredentials { key_id: KEY_ID.to_owned(), secret: SECRET.to_owned() };
    Blobs::bucket(&BucketUrl::parse(&url_at(address, bucket)).unwrap(), Some(credentials)).await
}
