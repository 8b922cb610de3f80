//! What it takes to keep files and to give them out.

use super::links::FileLinks;
use super::once::BeingSent;
use super::under_way::UploadsInParts;
use crate::http::BodyReader;
use crate::picture_check::PictureChecker;
use crate::storage_room::StorageRoom;
use afterimage_jobs::{Blobs, Store};
use std::sync::Arc;

/// Uploads and results as files. Clones share all of it.
#[derive(Clone)]
pub struct Media {
    /// Which files there are.
    pub store: Arc<dyn Store>,
    /// Their bytes.
    pub blobs: Blobs,
    /// Whether whoever asks for one in a bucket is sent there.
    pub redirects: bool,
    /// Their signed addresses.
    pub links: FileLinks,
    /// Who may store how much more.
    pub room: Arc<StorageRoom>,
    /// Checks what is sent.
    pub pictures: PictureChecker,
    /// Reads what is sent.
    pub bodies: BodyReader,
    /// Uploads that come in parts.
    pub in_parts: Arc<UploadsInParts>,
    /// Uploads whose bytes are being taken.
    pub being_sent: Arc<BeingSent>,
}
