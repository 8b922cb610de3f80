//! Why a body was not read.

/// The codings that bodies may come in, for the header `Accept-Encoding` of a refusal.
pub const KNOWN_CODINGS: &str = "gzip, br, zstd, identity";

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// More bytes than the route takes, as sent or unpacked.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The route's limit.
        limit: usize,
    },
    /// The sender was too slow.
    #[error("the body did not arrive in time")]
    TooSlow,
    /// Others hold the memory.
    #[error("too many large bodies are being read")]
    Busy,
    /// Packed in a way that is not known.
    #[error("this Content-Encoding is not supported; there are {}", KNOWN_CODINGS)]
    Coding,
    /// Not what the `Content-Encoding` says.
    #[error("the body is not what its Content-Encoding says, or is damaged")]
    Damaged,
    /// The connection or its framing broke.
    #[error("the body could not be read to its end")]
    Broken,
}
