//! What is known of a bucket besides how to ask it.

use super::bucket_url::BucketUrl;
use object_store::signer::Signer;
use std::fmt;
use std::sync::Arc;

/// A bucket that files are kept in.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Bucket and folder in it.
    pub(super) url: BucketUrl,
    /// Makes addresses that work without credentials.
    pub(super) signer: Arc<dyn Signer>,
}

impl fmt::Display for Bucket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(formatter)
    }
}
