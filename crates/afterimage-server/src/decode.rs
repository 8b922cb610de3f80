//! Decoding of untrusted pictures in the server process, with bounded memory.

use afterimage_core::Size;
use afterimage_imaging::{PictureFormat, PictureHeader, PictureLimits, decode, read_header};
use bytes::Bytes;
use std::num::NonZeroUsize;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory is counted in pieces of this size, since a semaphore counts in 32 bits.
const PIECE_BYTES: u64 = 64 * 1024;

/// What messages call the picture; [`PictureError::Unreadable`] leaves it away again.
const SOURCE_NAME: &str = "picture";

/// What is known about a picture that was decoded completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureFacts {
    /// Pixels across, upright.
    pub width: u32,
    /// Pixels down, upright.
    pub height: u32,
    /// Told by content.
    pub format: PictureFormat,
}

/// Why a picture was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// Not a picture, damaged, truncated or too large, in words for the client.
    #[error("{0}")]
    Unreadable(String),
    /// A fault of the program.
    #[error("internal error")]
    Internal,
}

/// Decodes pictures, a limited number at once within a limited amount of memory. Clones share both limits.
#[derive(Clone, Debug)]
pub struct DecodePool {
    limits: PictureLimits,
    pieces: u32,
    memory: Arc<Semaphore>,
    threads: Arc<Semaphore>,
}

impl Default for DecodePool {
    /// The usual limits of pictures, 1 GiB, and as many threads as there are processors.
    fn default() -> Self {
        const BUDGET_BYTES: u64 = 1 << 30;
        let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self::new(PictureLimits::default(), BUDGET_BYTES, threads)
    }
}

impl DecodePool {
    /// Decodes up to `threads` pictures at once, which together take about `budget_bytes`. A picture that takes more by
    /// itself, which `limits` decide, is decoded alone.
    pub fn new(limits: PictureLimits, budget_bytes: u64, threads: usize) -> Self {
        let pieces = u32::try_from(budget_bytes / PIECE_BYTES).unwrap_or(u32::MAX).max(1);
        // On 32-bit machines a semaphore holds fewer; there is less memory, too.
        let pieces = pieces.min(u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX));
        let memory = Arc::new(Semaphore::new(pieces as usize));
        Self { limits, pieces, memory, threads: Arc::new(Semaphore::new(threads.max(1))) }
    }

    /// Decodes the whole picture and tells what it is. Waits for its turn.
    ///
    /// # Errors
    /// [`PictureError::Unreadable`] for what cannot be decoded completely.
    pub async fn inspect(&self, bytes: Bytes) -> Result<PictureFacts, PictureError> {
        let header = self.header(bytes.clone()).await?;
        let turn = self.turn(header.decoding_memory()).await.ok_or(PictureError::Internal)?;
        // The turn goes along: a caller that goes away does not stop the decoding, so its memory stays counted.
        let decoded = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            facts(&bytes, &header)
        });
        // A panic ends here; it is the picture that made a decoder do that.
        decoded.await.unwrap_or_else(|error| {
            tracing::error!(%error, format = header.format.name(), "a decoder failed");
            Err(PictureError::Unreadable(format!("{} file: damaged", header.format.name())))
        })
    }

    /// The size of a picture by its header, which may be a lie, before it is turned upright.
    ///
    /// # Errors
    /// [`PictureError`] when it begins like none that can be read.
    pub async fn stored_size(&self, bytes: Bytes) -> Result<Size, PictureError> {
        self.header(bytes).await.map(|header| Size::new(header.width, header.height))
    }

    /// Finding the end of a large JPEG takes milliseconds, too long for a thread that serves requests.
    async fn header(&self, bytes: Bytes) -> Result<PictureHeader, PictureError> {
        let limits = self.limits;
        let read = tokio::task::spawn_blocking(move || read_header(&bytes, SOURCE_NAME, &limits).map_err(unreadable));
        read.await.unwrap_or(Err(PictureError::Internal))
    }

    async fn turn(&self, memory: u64) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let pieces = u32::try_from(memory.div_ceil(PIECE_BYTES)).unwrap_or(u32::MAX).min(self.pieces);
        let memory = Arc::clone(&self.memory).acquire_many_owned(pieces).await.ok()?;
        let thread = Arc::clone(&self.threads).acquire_owned().await.ok()?;
        Some((memory, thread))
    }
}

/// The limits are those of the header: a file that claims one pixel and unfolds into a hundred million is refused.
fn facts(bytes: &[u8], header: &PictureHeader) -> Result<PictureFacts, PictureError> {
    let picture = decode(bytes, SOURCE_NAME, &header.limits()).map_err(unreadable)?;
    Ok(PictureFacts { width: picture.width(), height: picture.height(), format: header.format })
}

fn unreadable(error: afterimage_imaging::Error) -> PictureError {
    match error {
        afterimage_imaging::Error::Picture { problem, .. } => PictureError::Unreadable(problem),
        other => {
            tracing::error!(error = %other, "a picture was not decoded");
            PictureError::Internal
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_imaging::{OutputFormat, OutputMetadata, Picture, encode};

    fn png(width: u32, height: u32) -> Bytes {
        let pixels = (0..width * height * 3).map(|index| (index * 7) as u8).collect();
        let picture = Picture::from_rgb(width, height, pixels).unwrap();
        encode(&picture, OutputFormat::Png, &OutputMetadata::new("{}")).unwrap().into()
    }

    #[tokio::test]
    async fn a_picture_is_described() {
        let pool = DecodePool::new(PictureLimits::default(), 1 << 30, 2);
        let facts = pool.inspect(png(40, 30)).await;
        assert_eq!(facts, Ok(PictureFacts { width: 40, height: 30, format: PictureFormat::Png }));
    }

    #[tokio::test]
    async fn what_is_no_whole_picture_is_refused() {
        let pool = DecodePool::new(PictureLimits::default(), 1 << 30, 2);
        let whole = png(40, 30);
        let error = pool.inspect(whole.slice(..whole.len() - 20)).await.unwrap_err();
        assert_eq!(error.to_string(), "PNG file: truncated");
        for bytes in [&b""[..], b"<svg/>", b"\x89PNG\r\n\x1a\n"] {
            let answer = pool.inspect(Bytes::from_static(bytes)).await;
            assert!(matches!(answer, Err(PictureError::Unreadable(_))), "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn the_same_picture_a_thousand_times_stays_within_the_budget() {
        let bytes = png(64, 64);
        let one = read_header(&bytes, SOURCE_NAME, &PictureLimits::default()).unwrap().decoding_memory();
        let pool = DecodePool::new(PictureLimits::default(), 2 * one + PIECE_BYTES * 4, 8);
        let all: Vec<_> = (0..1000)
            .map(|_| {
                let (pool, bytes) = (pool.clone(), bytes.clone());
                tokio::spawn(async move { pool.inspect(bytes).await.unwrap() })
            })
            .collect();
        // Two fit, whatever the number of threads.
        let _first = pool.turn(one).await.unwrap();
        let second = pool.turn(one).await.unwrap();
        let third = tokio::time::timeout(std::time::Duration::from_millis(20), pool.turn(one)).await;
        assert!(third.is_err(), "a third one had room");
        drop(second);
        for inspected in all {
            assert_eq!(inspected.await.unwrap().width, 64);
        }
    }

    #[tokio::test]
    async fn a_picture_above_the_budget_is_decoded_alone() {
        let pool = DecodePool::new(PictureLimits::default(), 1, 1);
        assert!(pool.inspect(png(64, 64)).await.is_ok());
    }
}
