//! The pictures that jobs made, as files.

use super::links::FileLinks;
use crate::refusal::Refusal;
use afterimage_jobs::{Blobs, ResultFile};
use bytes::Bytes;

/// What it takes to put results into answers: their addresses, or they themselves. Clones share all of it.
#[derive(Clone)]
pub struct ResultFiles {
    /// Addresses.
    pub links: FileLinks,
    /// Bytes.
    pub blobs: Blobs,
}

impl ResultFiles {
    /// The bytes of `file`.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`] when they are gone; those of the store.
    pub async fn read(&self, file: &ResultFile) -> Result<Bytes, Refusal> {
        self.blobs.get(&file.blob).await?.ok_or(Refusal::Unavailable)
    }
}
