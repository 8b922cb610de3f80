//! Reading request bodies: bounded in bytes, in time, and in memory over all requests.

use crate::refusal::Refusal;
use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

const MEBIBYTE: usize = 1 << 20;

/// Bytes of JSON and multipart bodies.
pub const JSON_LIMIT: usize = 80 * MEBIBYTE;

/// Bytes of an upload.
pub const UPLOAD_LIMIT: usize = 300 * MEBIBYTE;

/// A body up to this size needs no share of the common budget: that many bytes a connection are affordable.
const FREE: usize = MEBIBYTE;

/// Time for a body of any size, on top of which a slow line gets [`SLOWEST_BYTES_PER_SECOND`].
const BASE_TIME: Duration = Duration::from_secs(20);

/// A sender slower than this is refused.
const SLOWEST_BYTES_PER_SECOND: usize = 128 * 1024;

/// Body bytes that all requests together may hold above [`FREE`], in mebibytes. Two of the largest uploads fit.
const BUDGET_MEBIBYTES: usize = 640;

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// More bytes than the route takes.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The route's limit.
        limit: usize,
    },
    /// The sender was too slow.
    #[error("the body did not arrive in time")]
    TooSlow,
    /// The connection or its framing broke.
    #[error("the body could not be read to its end")]
    Broken,
}

/// Reads bodies; clones share one memory budget.
#[derive(Clone, Debug)]
pub struct BodyReader {
    budget: Arc<Semaphore>,
    base_time: Duration,
}

impl Default for BodyReader {
    fn default() -> Self {
        Self { budget: Arc::new(Semaphore::new(BUDGET_MEBIBYTES)), base_time: BASE_TIME }
    }
}

impl BodyReader {
    /// Reads `body` to its end. A `Content-Length` above `limit` is refused before a byte is read. What is returned has
    /// its share of the budget until all of it is dropped; [`holding`] passes that on to what was made from it.
    ///
    /// # Errors
    /// [`BodyError`].
    pub async fn read(&self, headers: &HeaderMap, mut body: Body, limit: usize) -> Result<Bytes, BodyError> {
        let declared = content_length(headers);
        if declared.is_some_and(|length| length > limit as u64) {
            return Err(BodyError::TooLarge { limit });
        }
        let deadline =
            Instant::now() + self.base_time + transfer_time(declared.map_or(limit, |length| length as usize));
        let mut read = BytesMut::new();
        let mut share = None;
        loop {
            let frame = timeout_at(deadline, body.frame()).await.map_err(|_| BodyError::TooSlow)?;
            let Some(frame) = frame else { break };
            let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
            if read.len() + data.len() > limit {
                return Err(BodyError::TooLarge { limit });
            }
            if share.is_none() && read.len() + data.len() > FREE {
                // One acquisition for all that may still come: requests that each hold a part and wait for more would
                // block each other.
                let most = declared.map_or(limit, |length| length as usize).max(FREE);
                let permits = u32::try_from(most.div_ceil(MEBIBYTE).min(BUDGET_MEBIBYTES)).unwrap_or(u32::MAX);
                let acquired = timeout_at(deadline, Arc::clone(&self.budget).acquire_many_owned(permits)).await;
                share = Some(acquired.map_err(|_| BodyError::TooSlow)?.map_err(|_| BodyError::Broken)?);
            }
            read.extend_from_slice(&data);
        }
        let read = read.freeze();
        Ok(match share {
            Some(share) => holding(read, share),
            None => read,
        })
    }
}

/// `bytes`, which keep `kept` until all of them are dropped: a share of the budget, or a body that has one.
pub fn holding(bytes: Bytes, kept: impl Send + 'static) -> Bytes {
    struct Holder<K>(Bytes, K);
    impl<K> AsRef<[u8]> for Holder<K> {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    Bytes::from_owner(Holder(bytes, kept))
}

/// Does `work` on so many bytes: on this thread when that is soon done, else on one that serves no other requests.
///
/// # Errors
/// Those of `work`, and [`Refusal::Internal`] when it panicked.
pub async fn off_thread<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    if bytes <= FREE {
        return work();
    }
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Refusal::Internal))
}

/// Reads and forgets what is left of a small body: some clients report a broken connection instead of the answer when
/// the server closes while they are still sending. Larger ones are cut off.
pub async fn drain(headers: &HeaderMap, mut body: Body) {
    const MOST: usize = 256 * 1024;
    if content_length(headers).is_some_and(|length| length > MOST as u64) {
        return;
    }
    let deadline = Instant::now() + Duration::from_secs(2);
    let mut seen = 0;
    while let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await {
        seen += frame.data_ref().map_or(0, Bytes::len);
        if seen > MOST {
            return;
        }
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Time that the slowest accepted sender needs.
fn transfer_time(bytes: usize) -> Duration {
    Duration::from_secs((bytes / SLOWEST_BYTES_PER_SECOND) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use std::io;

    fn chunks(count: usize, bytes: usize) -> Body {
        let chunk = Bytes::from(vec![7; bytes]);
        Body::from_stream(stream::iter((0..count).map(move |_| Ok::<_, io::Error>(chunk.clone()))))
    }

    #[tokio::test]
    async fn a_body_of_the_limit_is_read_and_one_more_byte_is_not() {
        let reader = BodyReader::default();
        let headers = HeaderMap::new();
        assert_eq!(reader.read(&headers, chunks(4, 25), 100).await.unwrap().len(), 100);
        let refused = reader.read(&headers, chunks(101, 1), 100).await;
        assert!(matches!(refused, Err(BodyError::TooLarge { limit: 100 })));
    }

    #[tokio::test]
    async fn a_declared_length_is_refused_without_reading() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, "101".parse().unwrap());
        let never = Body::from_stream(stream::pending::<Result<Bytes, io::Error>>());
        let refused = BodyReader::default().read(&headers, never, 100).await;
        assert!(matches!(refused, Err(BodyError::TooLarge { .. })));
    }

    #[tokio::test]
    async fn a_stalled_body_ends() {
        let never = Body::from_stream(stream::pending::<Result<Bytes, io::Error>>());
        let reader = BodyReader { base_time: Duration::from_millis(30), ..BodyReader::default() };
        let refused = reader.read(&HeaderMap::new(), never, 100).await;
        assert!(matches!(refused, Err(BodyError::TooSlow)));
    }

    #[tokio::test]
    async fn large_bodies_give_their_share_back() {
        let reader = BodyReader::default();
        for _ in 0..20 {
            let read = reader.read(&HeaderMap::new(), chunks(3, MEBIBYTE), JSON_LIMIT).await.unwrap();
            assert_eq!(read.len(), 3 * MEBIBYTE);
        }
        assert_eq!(reader.budget.available_permits(), BUDGET_MEBIBYTES);
    }

    #[tokio::test]
    async fn a_share_is_kept_as_long_as_anything_made_of_its_body() {
        let reader = BodyReader::default();
        let headers: HeaderMap = [(header::CONTENT_LENGTH, "3145728".parse().unwrap())].into_iter().collect();
        let read = reader.read(&headers, chunks(3, MEBIBYTE), JSON_LIMIT).await.unwrap();
        let made = holding(Bytes::from_static(b"picture"), read.slice(5..9));
        drop(read);
        assert_eq!(reader.budget.available_permits(), BUDGET_MEBIBYTES - 3);
        assert_eq!(made, "picture");
        drop(made);
        assert_eq!(reader.budget.available_permits(), BUDGET_MEBIBYTES);
    }
}
