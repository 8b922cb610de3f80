//! Files in a bucket of S3, or of another store that speaks its protocol.

use super::bucket::Bucket;
use super::bucket_url::BucketUrl;
use super::files::{BlobPlace, Blobs};
use super::probe::Probe;
use crate::{Error, Result};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::prefix::PrefixStore;
use object_store::signer::Method;
use object_store::{BackoffConfig, ClientConfigKey, Error as StorageError, RetryConfig};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Credentials that stand in for the environment's.
#[derive(Clone)]
pub struct BucketCredentials {
    /// The key's id.
    pub key_id: String,
    /// The key.
    pub secret: String,
}

impl fmt::Debug for BucketCredentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("BucketCredentials").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// How long the first request may take.
const PROBED_WITHIN: Duration = Duration::from_secs(5);

/// How long the others may take together, of a store that answers. A server that is started while it is slow should come up.
const PROBED_FURTHER_WITHIN: Duration = Duration::from_secs(20);

/// Of the client, in its own form: to connect; to answer, and between two pieces of an answer; all of an answer, which as
/// a download goes at its receiver's pace.
const TIMES: [(ClientConfigKey, &str); 3] = [
    (ClientConfigKey::ConnectTimeout, "2 seconds"),
    (ClientConfigKey::ReadTimeout, "8 seconds"),
    (ClientConfigKey::Timeout, "1 hour"),
];

/// Tries within what a worker waits for its storage.
const RETRIES: RetryConfig = RetryConfig {
    backoff: BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(2), base: 2.0 },
    max_retries: 3,
    retry_timeout: Duration::from_secs(10),
};

impl Blobs {
    /// Files in the bucket of `url`, by `credentials`, or by those of the environment (`AWS_…`: keys, a role's token) or of
    /// the machine. A file is written, read and removed first: what is wrong should be told at the start.
    ///
    /// # Errors
    /// [`Error::Unavailable`], which names bucket and endpoint and what would be right.
    pub async fn bucket(url: &BucketUrl, credentials: Option<BucketCredentials>) -> Result<Self> {
        let store = client(url, credentials).map_err(|error| Error::unavailable(url.to_string(), error))?;
        let store = Arc::new(PrefixStore::new(store, url.prefix.as_str()));
        let bucket = Bucket { url: url.clone(), signer: Arc::clone(&store) as _ };
        let blobs = Self::over(store, BlobPlace::Bucket(Arc::new(bucket)));
        let probe = Probe::new();
        let written = timeout(PROBED_WITHIN, probe.write(&blobs)).await;
        written.unwrap_or_else(|_| Err(no_answer(url, PROBED_WITHIN))).map_err(|error| at_endpoint(url, error))?;
        let read = timeout(PROBED_FURTHER_WITHIN, probe.read(&blobs)).await;
        read.unwrap_or_else(|_| Err(no_answer(url, PROBED_FURTHER_WITHIN))).map_err(|error| at_endpoint(url, error))?;
        Ok(blobs)
    }

    /// Where anybody can read the file of `path` for so long; `None` if it is not in a bucket. Whether it is there is not
    /// looked at.
    ///
    /// # Errors
    /// [`Error::BlobPath`]; [`Error::Unavailable`] when there are no credentials.
    pub async fn address(&self, path: &str, valid_for: Duration) -> Result<Option<String>> {
        let BlobPlace::Bucket(bucket) = self.place() else { return Ok(None) };
        let location = super::paths::checked(path)?;
        let signed = timeout(PROBED_WITHIN, bucket.signer.signed_url(Method::GET, &location, valid_for)).await;
        let unavailable = |error: String| Error::unavailable(format!("credentials for {bucket}"), error);
        let signed = signed.map_err(|_| unavailable("no answer".to_owned()))?;
        signed.map(|url| Some(url.into())).map_err(|error| unavailable(error.to_string()))
    }
}

fn client(url: &BucketUrl, credentials: Option<BucketCredentials>) -> Result<AmazonS3, StorageError> {
    // Fails when there is one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(&url.bucket)
        .with_virtual_hosted_style_request(!url.path_style)
        .with_retry(RETRIES);
    for (key, value) in TIMES {
        builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
    }
    if let Some(endpoint) = url.endpoint_shared() {
        // The most specific of the variables that name one, so that none of them passes it.
        builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
    }
    if let Some(region) = &url.region {
        builder = builder.with_region(region);
    }
    if url.allow_http {
        builder = builder.with_allow_http(true);
    }
    if let Some(BucketCredentials { key_id, secret }) = credentials {
        builder = builder.with_access_key_id(key_id).with_secret_access_key(secret);
    }
    builder.build()
}

fn no_answer(url: &BucketUrl, within: Duration) -> Error {
    let reason = format!(
        "no answer within {} s: see whether the endpoint is right and can be reached from here, and whether the environment \
         has credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role; without any, the machine's metadata \
         service is asked, which may be nowhere)",
        within.as_secs()
    );
    Error::unavailable(url.to_string(), reason)
}

/// `error` with what was asked.
fn at_endpoint(url: &BucketUrl, error: Error) -> Error {
    let Error::Unavailable { what, source } = error else { return error };
    let endpoint =
        url.endpoint.as_ref().map_or("the endpoint of AWS_ENDPOINT_URL, or Amazon's".to_owned(), |endpoint| {
            endpoint.as_str().trim_end_matches('/').to_owned()
        });
    Error::Unavailable { what: format!("bucket {:?} at {endpoint} cannot be used: {what}", url.bucket), source }
}
