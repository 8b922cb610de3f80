//! Pictures that requests name: inlined ones are checked at once, our own files were when they came, and foreign addresses
//! are noted for the fetchers.

use crate::fetch::{Outbound, data_uri, parse_web_url};
use crate::files::{FileLinks, OwnFile};
use crate::http::body::holding;
use crate::http::{BodyReader, PublicUrl, off_thread};
use crate::picture_check::PictureChecker;
use crate::problem::{Problem, ProblemKind};
use crate::refusal::Refusal;
use afterimage_core::{FileReading, Size};
use afterimage_jobs::{KeyId, Store, UploadState};
use bytes::Bytes;
use std::sync::Arc;
use url::Host;

/// Bytes of an inlined picture.
const PICTURE_BYTES: u64 = 50_000_000;

/// What it takes to read a request for pictures: its body, the address it came to, and the pictures it names. Clones
/// share all of it.
#[derive(Clone)]
pub struct Intake {
    /// Reads bodies within bounded memory.
    pub bodies: BodyReader,
    /// What addresses in answers start with.
    pub public_url: PublicUrl,
    /// Checks pictures within bounded memory.
    pub pictures: PictureChecker,
    /// Which files of ours there are.
    pub store: Arc<dyn Store>,
    /// Recognises addresses of ours.
    pub links: FileLinks,
    /// Checks addresses of others.
    pub outbound: Outbound,
}

/// A picture that a request may use.
#[derive(Clone, Debug)]
pub enum RequestPicture {
    /// Came with the request; readable.
    Inline {
        /// The file.
        bytes: Bytes,
        /// Its size.
        size: Size,
    },
    /// Lies in our store.
    Stored {
        /// Blob path.
        blob: String,
        /// Its size.
        size: Size,
    },
    /// To be fetched before a worker takes the job.
    Remote {
        /// As [`parse_web_url`] reads it: nobody who reads it again can read another one.
        url: String,
    },
}

impl RequestPicture {
    /// The size, where it is known before the picture is fetched.
    pub const fn size(&self) -> Option<Size> {
        match self {
            Self::Inline { size, .. } | Self::Stored { size, .. } => Some(*size),
            Self::Remote { .. } => None,
        }
    }

    /// Bytes that the job needs on disk for it, as far as they are known.
    pub fn inlined_bytes(&self) -> u64 {
        match self {
            Self::Inline { bytes, .. } => bytes.len() as u64,
            Self::Stored { .. } | Self::Remote { .. } => 0,
        }
    }

    /// The same, which keeps the share of memory of the request's `body` until the picture is stored.
    #[must_use]
    pub fn holding(self, body: &Bytes) -> Self {
        match self {
            Self::Inline { bytes, size } => Self::Inline { bytes: holding(bytes, body.clone()), size },
            other => other,
        }
    }
}

/// Takes what `field` of a request of `key` says: `data:` URI, address, or plain base64.
///
/// # Errors
/// [`Refusal::Field`] for everything that can be known to be unusable without waiting for another host.
pub async fn take_text(intake: &Intake, key: &KeyId, field: &str, text: &str) -> Result<RequestPicture, Refusal> {
    take_text_as(intake, key, field, text, FileReading::Picture).await
}

/// [`take_text`] of a file that is to be read as `reading` says.
///
/// # Errors
/// As for [`take_text`].
pub async fn take_text_as(
    intake: &Intake,
    key: &KeyId,
    field: &str,
    text: &str,
    reading: FileReading,
) -> Result<RequestPicture, Refusal> {
    let text = text.trim();
    let malformed = |message: String| Refusal::Field(Problem::new(field, ProblemKind::Malformed, message));
    if data_uri::is_data_uri(text) {
        let (named, text) = (field.to_owned(), text.to_owned());
        let bytes = off_thread(text.len(), move || {
            data_uri::parse(&text, PICTURE_BYTES)
                .map_err(|error| Problem::new(named, ProblemKind::Malformed, error.to_string()).into())
        });
        return take_bytes(intake, key, field, bytes.await?, reading).await;
    }
    if let Some(file) = intake.links.recognise(text) {
        return own_file(intake, field, file).await;
    }
    if text.contains("://") {
        let url = parse_web_url(text).map_err(|problem| malformed(problem.to_string()))?;
        // A name takes time to look up, so that is left to the fetchers; an address does not.
        if matches!(url.host(), Some(Host::Ipv4(_) | Host::Ipv6(_))) {
            intake.outbound.check_target(text).await.map_err(|error| malformed(error.to_string()))?;
        }
        return Ok(RequestPicture::Remote { url: url.into() });
    }
    let (named, text) = (field.to_owned(), text.to_owned());
    let bytes = off_thread(text.len(), move || {
        data_uri::parse_base64(&text, PICTURE_BYTES).map_err(|_| {
            let message = "is neither an http(s) URL, nor a data URI, nor base64 of a picture";
            Problem::new(named, ProblemKind::Malformed, message).into()
        })
    });
    take_bytes(intake, key, field, bytes.await?, reading).await
}

/// Takes a file that came with a request of `key` and is to be read as `reading` says.
///
/// # Errors
/// [`Refusal::Field`] when it is no such picture that can be read within the limits.
pub async fn take_bytes(
    intake: &Intake,
    key: &KeyId,
    field: &str,
    bytes: Bytes,
    reading: FileReading,
) -> Result<RequestPicture, Refusal> {
    let checked = intake
        .pictures
        .check_as(key, bytes.clone(), reading)
        .await
        .map_err(|error| Refusal::Field(Problem::new(field, ProblemKind::Malformed, error.to_string())))?;
    Ok(RequestPicture::Inline { bytes, size: Size::new(checked.width, checked.height) })
}

/// What is said of a file of ours that `field` names and that is not there.
pub fn own_file_gone(field: &str) -> Refusal {
    Refusal::Field(Problem::new(field, ProblemKind::Malformed, "this file of ours does not exist (any more)"))
}

async fn own_file(intake: &Intake, field: &str, file: OwnFile) -> Result<RequestPicture, Refusal> {
    let gone = || own_file_gone(field);
    match file {
        OwnFile::Upload(id) => {
            let upload = intake.store.upload(&id).await?.ok_or_else(gone)?;
            let UploadState::Ready(facts) = upload.state else {
                let message = "this upload's bytes have not been sent yet";
                return Err(Problem::new(field, ProblemKind::Malformed, message).into());
            };
            Ok(RequestPicture::Stored { blob: facts.blob, size: Size::new(facts.width, facts.height) })
        }
        OwnFile::Result { job, index } => {
            let job = intake.store.job(&job).await?.filter(|job| !job.deleted).ok_or_else(gone)?;
            let result = job.result.ok_or_else(gone)?;
            let (facts, file) = result.pictures().nth(index).ok_or_else(gone)?;
            Ok(RequestPicture::Stored { blob: file.blob.clone(), size: facts.size })
        }
    }
}
