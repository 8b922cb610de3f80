//! Fetching pictures from addresses that clients named.

use super::error::FetchError;
use super::outbound::Outbound;
use super::web_url::parse_web_url;
use afterimage_imaging::PictureFormat;
use afterimage_jobs::KeyId;
use bytes::{Bytes, BytesMut};
use reqwest::{Response, StatusCode, header};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use url::Url;

/// Bytes after which the format can be told.
const SNIFFED_BYTES: usize = 32;

/// What a fetched picture may cost.
#[derive(Clone, Debug)]
pub struct FetchLimits {
    /// Bytes of one picture.
    pub bytes: u64,
    /// Time from the first lookup to the last byte, all redirects together.
    pub total: Duration,
    /// Longest wait for more of an answer.
    pub idle: Duration,
    /// Redirects that are followed.
    pub redirects: u32,
    /// Pictures fetched at once; others wait. With [`FetchLimits::bytes`] it bounds the memory.
    pub parallel: usize,
}

impl Default for FetchLimits {
    /// 50 MB, 30 seconds, 10 seconds without a byte, 5 redirects, 16 at once.
    fn default() -> Self {
        Self {
            bytes: 50_000_000,
            total: Duration::from_secs(30),
            idle: Duration::from_secs(10),
            redirects: 5,
            parallel: 16,
        }
    }
}

/// Fetches pictures.
#[derive(Debug)]
pub struct Fetcher {
    outbound: Outbound,
    limits: FetchLimits,
    turns: Arc<Semaphore>,
}

impl Fetcher {
    /// Fetches through `outbound` within `limits`.
    pub fn new(outbound: Outbound, limits: FetchLimits) -> Self {
        let turns = Arc::new(Semaphore::new(limits.parallel));
        Self { outbound, limits, turns }
    }

    /// The same for requests of `key`, whose share of name look-ups its fetches then take.
    #[must_use]
    pub fn on_behalf_of(&self, key: &KeyId) -> Self {
        Self { outbound: self.outbound.on_behalf_of(key), limits: self.limits.clone(), turns: Arc::clone(&self.turns) }
    }

    /// Fetches the picture at an `http` or `https` address. The bytes begin like a picture; whether they are one, only
    /// decoding tells.
    ///
    /// # Errors
    /// [`FetchError`], whose words may be shown to the client.
    pub async fn fetch_picture(&self, text: &str) -> Result<Bytes, FetchError> {
        let url = parse_web_url(text)?;
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await.map_err(|_| FetchError::Unreachable)?;
        let limit = self.limits.total;
        tokio::time::timeout(limit, self.follow(url)).await.unwrap_or(Err(FetchError::TooSlow { limit }))
    }

    async fn follow(&self, mut url: Url) -> Result<Bytes, FetchError> {
        for _ in 0..=self.limits.redirects {
            let response = self.get(&url).await?;
            match redirect_target(&url, &response)? {
                Some(next) => url = next,
                None => return self.read_picture(response).await,
            }
        }
        Err(FetchError::Redirects(self.limits.redirects))
    }

    async fn get(&self, url: &Url) -> Result<Response, FetchError> {
        let client = self.outbound.client_for(url, self.limits.idle).await?;
        let request = client.get(url.clone()).header(header::ACCEPT, "image/*");
        request.send().await.map_err(|error| {
            // The error's own text repeats the address, whose query may hold a signature.
            let error = error.without_url();
            tracing::debug!(host = url.host_str(), error = &error as &dyn std::error::Error, "a fetch failed");
            FetchError::Unreachable
        })
    }

    async fn read_picture(&self, mut response: Response) -> Result<Bytes, FetchError> {
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        let compressed = is_compressed(&response);
        let limit = self.limits.bytes;
        // A length that is announced can only refuse early; what comes is counted all the same.
        if response.content_length().is_some_and(|length| length > limit) {
            return Err(FetchError::TooLarge { limit });
        }
        let mut bytes = BytesMut::new();
        let mut is_picture = false;
        while let Some(chunk) = response.chunk().await.map_err(|error| self.transfer_error(&error))? {
            if (bytes.len() + chunk.len()) as u64 > limit {
                return Err(FetchError::TooLarge { limit });
            }
            bytes.extend_from_slice(&chunk);
            if !is_picture && bytes.len() >= SNIFFED_BYTES {
                check_format(&bytes, compressed)?;
                is_picture = true;
            }
        }
        check_format(&bytes, compressed)?;
        Ok(bytes.freeze())
    }

    fn transfer_error(&self, error: &reqwest::Error) -> FetchError {
        if error.is_timeout() { FetchError::TooSlow { limit: self.limits.idle } } else { FetchError::BrokenOff }
    }
}

fn check_format(bytes: &[u8], compressed: bool) -> Result<(), FetchError> {
    let otherwise = if compressed { FetchError::Encoded } else { FetchError::NotAPicture };
    PictureFormat::detect(bytes).map(drop).ok_or(otherwise)
}

/// Codings that compress (the registry of HTTP content codings), under all their names.
const COMPRESSIONS: [&str; 10] =
    ["gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd", "dcb", "dcz", "pack200-gzip"];

/// Whether the response says that its body is compressed, which was not asked for. Hosts store pictures under all kinds of
/// codings, such as `UTF-8`, `aws-chunked` or none at all, so it is the bytes that decide whether there is a picture; this
/// only tells why there is none.
fn is_compressed(response: &Response) -> bool {
    let lists = response.headers().get_all(header::CONTENT_ENCODING);
    let mut codings = lists.iter().filter_map(|list| list.to_str().ok()).flat_map(|list| list.split(','));
    codings.any(|coding| COMPRESSIONS.iter().any(|known| known.eq_ignore_ascii_case(coding.trim())))
}

/// Where a response sends us, `None` when it does not.
fn redirect_target(from: &Url, response: &Response) -> Result<Option<Url>, FetchError> {
    let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let Some(location) = response.headers().get(header::LOCATION).filter(|_| is_redirect) else { return Ok(None) };
    let target = std::str::from_utf8(location.as_bytes()).ok().and_then(|location| from.join(location).ok());
    let Some(target) = target.and_then(|target| parse_web_url(target.as_str()).ok()) else {
        tracing::debug!(host = from.host_str(), "a redirect to something that is no web address was refused");
        return Err(FetchError::Unreachable);
    };
    if from.scheme() == "https" && target.scheme() == "http" {
        return Err(FetchError::Downgrade);
    }
    Ok(Some(target))
}

#[cfg(test)]
mod tests;
