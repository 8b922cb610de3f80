//! Checks of untrusted pictures: each is decoded as a whole, with bounded memory and a share for each key, and its pixels
//! are dropped.

use crate::shares::{Share, Shares};
use afterimage_core::Size;
use afterimage_imaging::{FileReading, PictureFormat, PictureHeader, PictureLimits, decode_as, read_header};
use afterimage_jobs::KeyId;
use bytes::Bytes;
use std::num::NonZeroUsize;

/// What messages call the picture; [`PictureError::Unreadable`] leaves it away again.
const SOURCE_NAME: &str = "picture";

/// What is known about a picture that was decoded completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckedPicture {
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

/// Checks pictures, a limited number at once within a limited amount of memory. Keys take turns, and small pictures do
/// not wait for large ones. Clones share all limits.
#[derive(Clone, Debug)]
pub struct PictureChecker {
    limits: PictureLimits,
    /// Bytes that a small picture takes at most.
    small_bytes: u64,
    small: SizeClass,
    large: SizeClass,
}

/// Memory and threads for pictures of one kind.
#[derive(Clone, Debug)]
struct SizeClass {
    memory: Shares<KeyId>,
    threads: Shares<KeyId>,
}

impl SizeClass {
    fn new(memory: u64, memory_of_a_key: u64, threads: u64, threads_of_a_key: u64) -> Self {
        Self {
            memory: Shares::new(memory.max(1), memory_of_a_key),
            threads: Shares::new(threads.max(1), threads_of_a_key.max(1)),
        }
    }
}

impl Default for PictureChecker {
    /// The usual limits of pictures, 1 GiB, and as many threads as there are processors.
    fn default() -> Self {
        const BUDGET_BYTES: u64 = 1 << 30;
        let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self::new(PictureLimits::default(), BUDGET_BYTES, threads)
    }
}

impl PictureChecker {
    /// Decodes up to `threads` pictures at once, which together take about `budget_bytes`. A quarter of both is for small
    /// pictures, those that take a 32nd part of the budget. Of the rest one key has half at most. A picture that takes
    /// more than there is by itself, which `limits` decide, is decoded alone.
    pub fn new(limits: PictureLimits, budget_bytes: u64, threads: usize) -> Self {
        let (for_small, threads) = (budget_bytes / 4, threads as u64);
        let for_large = budget_bytes - for_small;
        let small_threads = (threads / 4).max(1);
        let large_threads = threads.saturating_sub(small_threads).max(1);
        Self {
            limits,
            small_bytes: budget_bytes / 32,
            // Turns are enough where everybody's turn is short.
            small: SizeClass::new(for_small, for_small, small_threads, small_threads),
            large: SizeClass::new(for_large, for_large / 2, large_threads, large_threads / 2),
        }
    }

    /// Decodes the whole picture, which `key` sent, and tells what it is. Waits for its turn.
    ///
    /// # Errors
    /// [`PictureError::Unreadable`] for what cannot be decoded completely.
    pub async fn check(&self, key: &KeyId, bytes: Bytes) -> Result<CheckedPicture, PictureError> {
        self.check_as(key, bytes, FileReading::Picture).await
    }

    /// [`Self::check`] of a file that is to be read as `reading` says.
    ///
    /// # Errors
    /// As for [`Self::check`]; also for a mask without the transparency that is to be read.
    pub async fn check_as(
        &self,
        key: &KeyId,
        bytes: Bytes,
        reading: FileReading,
    ) -> Result<CheckedPicture, PictureError> {
        let header = self.header(bytes.clone()).await?;
        let turn = self.turn(key, header.decoding_memory()).await;
        // The turn goes along: a caller that goes away does not stop the decoding, so its memory stays counted.
        let decoded = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            decoded(&bytes, &header, reading)
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

    async fn turn(&self, key: &KeyId, memory: u64) -> [Share<KeyId>; 2] {
        let class = if memory <= self.small_bytes { &self.small } else { &self.large };
        let memory = class.memory.acquire(key, memory).await;
        [memory, class.threads.acquire(key, 1).await]
    }
}

/// The limits are those of the header: a file that claims one pixel and unfolds into a hundred million is refused.
fn decoded(bytes: &[u8], header: &PictureHeader, reading: FileReading) -> Result<CheckedPicture, PictureError> {
    let picture = decode_as(bytes, SOURCE_NAME, &header.limits(), reading).map_err(unreadable)?.picture;
    Ok(CheckedPicture { width: picture.width(), height: picture.height(), format: header.format })
}

fn unreadable(error: afterimage_imaging::Error) -> PictureError {
    use afterimage_imaging::Error;
    match error {
        Error::Picture { problem, .. } => PictureError::Unreadable(problem),
        Error::Field { .. }
        | Error::SourceSize(_)
        | Error::Flagged { .. }
        | Error::SafetyChecker { .. }
        | Error::ModelFile { .. }
        | Error::Tensor { .. }
        | Error::Device { .. }
        | Error::DeviceFailed { .. }
        | Error::DeviceLost { .. }
        | Error::Cancelled
        | Error::Io { .. }
        | Error::Internal(_) => {
            tracing::error!(%error, "a picture was not decoded");
            PictureError::Internal
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_core::OutputFormat;
    use afterimage_imaging::{OutputMetadata, Picture, encode};
    use std::time::Duration;

    fn png(width: u32, height: u32) -> Bytes {
        let pixels = (0..width * height * 3).map(|index| (index * 7) as u8).collect();
        let picture = Picture::from_rgb(width, height, pixels).unwrap();
        encode(&picture, OutputFormat::Png, &OutputMetadata::new("{}")).unwrap().into()
    }

    fn key(name: &str) -> KeyId {
        KeyId::from(name)
    }

    fn memory_of(bytes: &[u8]) -> u64 {
        read_header(bytes, SOURCE_NAME, &PictureLimits::default()).unwrap().decoding_memory()
    }

    /// Whether `turn` has to wait.
    async fn waits(turn: impl Future<Output = [Share<KeyId>; 2]>) -> bool {
        // In paused time.
        tokio::time::timeout(Duration::from_millis(20), turn).await.is_err()
    }

    #[tokio::test]
    async fn a_picture_is_described() {
        let checker = PictureChecker::new(PictureLimits::default(), 1 << 30, 2);
        let checked = checker.check(&key("a"), png(40, 30)).await;
        assert_eq!(checked, Ok(CheckedPicture { width: 40, height: 30, format: PictureFormat::Png }));
    }

    #[tokio::test]
    async fn what_is_no_whole_picture_is_refused() {
        let checker = PictureChecker::new(PictureLimits::default(), 1 << 30, 2);
        let whole = png(40, 30);
        let error = checker.check(&key("a"), whole.slice(..whole.len() - 20)).await.unwrap_err();
        assert_eq!(error.to_string(), "PNG file: truncated");
        for bytes in [&b""[..], b"<svg/>", b"\x89PNG\r\n\x1a\n"] {
            let answer = checker.check(&key("a"), Bytes::from_static(bytes)).await;
            assert!(matches!(answer, Err(PictureError::Unreadable(_))), "{bytes:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_picture_a_thousand_times_stays_within_the_budget() {
        let bytes = png(64, 64);
        let one = memory_of(&bytes);
        // Three fit into the class of large ones, two for one key.
        let checker = PictureChecker::new(PictureLimits::default(), one * 4 + one / 2, 80);
        let all: Vec<_> = (0..1000)
            .map(|_| {
                let (checker, bytes) = (checker.clone(), bytes.clone());
                tokio::spawn(async move { checker.check(&key("a"), bytes).await.unwrap() })
            })
            .collect();
        let first = checker.turn(&key("b"), one).await;
        let _second = checker.turn(&key("c"), one).await;
        let _third = checker.turn(&key("d"), one).await;
        assert!(waits(checker.turn(&key("e"), one)).await, "a fourth one had room");
        drop(first);
        for checked in all {
            assert_eq!(checked.await.unwrap().width, 64);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn large_pictures_of_one_key_hold_up_neither_small_ones_nor_others() {
        let checker = PictureChecker::new(PictureLimits::default(), 1 << 30, 4);
        let (large, small) = (300 << 20, 1 << 20);
        let _one = checker.turn(&key("a"), large).await;
        assert!(waits(checker.turn(&key("a"), large)).await);
        for name in ["a", "b"] {
            assert!(!waits(checker.turn(&key(name), small)).await, "{name}");
        }
        let _other = checker.turn(&key("b"), large).await;
        assert!(!waits(checker.turn(&key("c"), small)).await);
    }

    #[tokio::test]
    async fn a_picture_above_the_budget_is_decoded_alone() {
        let checker = PictureChecker::new(PictureLimits::default(), 1, 1);
        assert!(checker.check(&key("a"), png(64, 64)).await.is_ok());
    }
}
