//! Frames on a pipe: a mark, the length of a JSON header, the header, then the attachments one after another.

use bytes::{Buf, Bytes, BytesMut};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, Read};
use std::marker::PhantomData;
use tokio_util::codec::Decoder;

/// Starts each frame, so that a stray line on the pipe is noticed at once and not taken for a length.
const MARK: [u8; 4] = *b"\x00AIe";

/// Mark and length of the header.
const PREFIX_BYTES: usize = MARK.len() + size_of::<u32>();

/// The longest prompt, with every character escaped, fits twice.
const MAX_HEADER_BYTES: usize = 1 << 20;

/// Eight source pictures are the most that a request has.
const MAX_ATTACHMENTS: usize = 16;

/// Eight sources of 50 MB each, or four results of 4096x4096 pixels, fit.
const MAX_ATTACHMENT_BYTES: u64 = 512 << 20;

/// Memory taken ahead of the data: what a header promises is not believed.
const READ_AHEAD_BYTES: usize = 1 << 20;

/// A message with its binary parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame<M> {
    /// What is said.
    pub message: M,
    /// What it is said about.
    pub attachments: Vec<Bytes>,
}

impl<M> From<M> for Frame<M> {
    fn from(message: M) -> Self {
        Self { message, attachments: Vec::new() }
    }
}

/// Why bytes are no frame, or cannot become one.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The pipe is broken.
    #[error("the pipe is broken: {0}")]
    Io(#[from] io::Error),
    /// Something else writes to the pipe.
    #[error("expected a frame, found other bytes")]
    NotAFrame,
    /// A length above its limit.
    #[error("a frame with {what} is too large; at most {limit} are accepted")]
    TooLarge {
        /// What there is too much of, with its unit.
        what: String,
        /// The most that is accepted.
        limit: u64,
    },
    /// The header is no message.
    #[error("a frame with an unreadable header: {0}")]
    Header(#[from] serde_json::Error),
}

#[derive(Serialize, Deserialize)]
struct FrameHeader<M> {
    message: M,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attachments: Vec<u64>,
}

impl<M: Serialize> Frame<M> {
    /// The bytes in front of the attachments.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] for a frame that the other side would refuse.
    pub fn head(&self) -> Result<Vec<u8>, FrameError> {
        let attachments: Vec<u64> = self.attachments.iter().map(|attachment| attachment.len() as u64).collect();
        check_attachments(&attachments)?;
        let header = serde_json::to_vec(&FrameHeader { message: &self.message, attachments })?;
        check_header(header.len())?;
        Ok([&MARK[..], &(header.len() as u32).to_be_bytes(), &header].concat())
    }
}

/// Cuts a stream of bytes into frames.
#[derive(Debug)]
pub struct FrameCodec<M> {
    header: Option<FrameHeader<M>>,
    message: PhantomData<M>,
}

impl<M> Default for FrameCodec<M> {
    fn default() -> Self {
        Self { header: None, message: PhantomData }
    }
}

impl<M> std::fmt::Debug for FrameHeader<M> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "FrameHeader({:?})", self.attachments)
    }
}

impl<M: DeserializeOwned> Decoder for FrameCodec<M> {
    type Item = Frame<M>;
    type Error = FrameError;

    fn decode(&mut self, source: &mut BytesMut) -> Result<Option<Frame<M>>, FrameError> {
        let header = match self.header.take() {
            Some(header) => header,
            None => match read_header(source)? {
                Some(header) => header,
                None => return Ok(None),
            },
        };
        let total = check_attachments(&header.attachments)?;
        if source.len() < total {
            source.reserve((total - source.len()).min(READ_AHEAD_BYTES));
            self.header = Some(header);
            return Ok(None);
        }
        let attachments = header.attachments.iter().map(|length| source.split_to(*length as usize).freeze()).collect();
        Ok(Some(Frame { message: header.message, attachments }))
    }
}

fn read_header<M: DeserializeOwned>(source: &mut BytesMut) -> Result<Option<FrameHeader<M>>, FrameError> {
    let marked = source.len().min(MARK.len());
    if source[..marked] != MARK[..marked] {
        return Err(FrameError::NotAFrame);
    }
    let Some(prefix) = source.get(..PREFIX_BYTES) else { return Ok(None) };
    let length = prefix[MARK.len()..].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    check_header(length)?;
    if source.len() < PREFIX_BYTES + length {
        source.reserve(PREFIX_BYTES + length - source.len());
        return Ok(None);
    }
    source.advance(PREFIX_BYTES);
    Ok(Some(serde_json::from_slice(&source.split_to(length))?))
}

fn check_header(length: usize) -> Result<(), FrameError> {
    if length > MAX_HEADER_BYTES {
        let what = format!("{length} bytes of header");
        return Err(FrameError::TooLarge { what, limit: MAX_HEADER_BYTES as u64 });
    }
    Ok(())
}

/// Bytes of all attachments together.
fn check_attachments(lengths: &[u64]) -> Result<usize, FrameError> {
    if lengths.len() > MAX_ATTACHMENTS {
        let what = format!("{} attachments", lengths.len());
        return Err(FrameError::TooLarge { what, limit: MAX_ATTACHMENTS as u64 });
    }
    let total = lengths.iter().fold(0_u64, |total, length| total.saturating_add(*length));
    if total > MAX_ATTACHMENT_BYTES {
        let what = format!("{total} bytes of attachments");
        return Err(FrameError::TooLarge { what, limit: MAX_ATTACHMENT_BYTES });
    }
    Ok(total as usize)
}

/// Reads frames from a blocking stream.
#[derive(Debug)]
pub struct FrameReader<R, M> {
    stream: R,
    codec: FrameCodec<M>,
    buffer: BytesMut,
    chunk: Box<[u8]>,
}

impl<R: Read, M: DeserializeOwned> FrameReader<R, M> {
    /// Reads from `stream`.
    pub fn new(stream: R) -> Self {
        // As much as a Linux pipe holds.
        Self { stream, codec: FrameCodec::default(), buffer: BytesMut::new(), chunk: vec![0; 1 << 16].into() }
    }

    /// The next frame; `None` at the end of the stream, wherever it comes.
    ///
    /// # Errors
    /// [`FrameError`] when the stream breaks or holds something else.
    pub fn next_frame(&mut self) -> Result<Option<Frame<M>>, FrameError> {
        loop {
            if let Some(frame) = self.codec.decode(&mut self.buffer)? {
                return Ok(Some(frame));
            }
            match self.stream.read(&mut self.chunk) {
                Ok(0) => return Ok(None),
                Ok(count) => self.buffer.extend_from_slice(&self.chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests;
