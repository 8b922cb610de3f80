//! A parameter that cannot be used: the smallest thing that a request can be refused for.

use afterimage_core::bounded;

/// Why a parameter was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// Required, but absent or null.
    Missing,
    /// Another JSON type than the parameter has.
    WrongType,
    /// Right type, but below the range.
    TooSmall,
    /// Right type, but above the range.
    TooLarge,
    /// Right type, but more of it than is accepted: bytes of a text, items of a list.
    TooLong,
    /// Not one of the words.
    NotAnOption,
    /// Right type, but not usable together with the rest of the request.
    OutOfRange,
    /// Right type, but not readable as what it should be.
    Malformed,
}

/// A parameter that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Problem {
    /// Name of the parameter in the request.
    pub field: String,
    /// What category of wrong.
    pub kind: ProblemKind,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Problem {
    /// A problem of `field`. Both texts are cut where they are too long for an answer.
    pub fn new(field: impl Into<String>, kind: ProblemKind, message: impl Into<String>) -> Self {
        Self { field: bounded(&field.into()).into_owned(), kind, message: bounded(&message.into()).into_owned() }
    }
}
