//! Work that is proportional to a body, away from the threads that serve requests.

use crate::refusal::Refusal;

/// Bytes on which work is soon done.
const SOON_DONE: usize = 1 << 20;

/// Does `work` on so many bytes: on this thread when that is soon done, else on one that serves no other requests.
///
/// # Errors
/// Those of `work`, and [`Refusal::Internal`] when it panicked.
pub async fn off_thread<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    if bytes <= SOON_DONE {
        return work();
    }
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Refusal::Internal))
}
