//! Why a job failed.

use afterimage_core::{Error, Field};
use serde::{Deserialize, Serialize};

/// Why a job failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind, for the dialect's code.
    pub kind: FailureKind,
    /// The request's field to blame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<Field>,
    /// What is wrong and what would be right, without the field's name.
    pub message: String,
}

impl Failure {
    /// A failure that blames no field.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, field: None, message: message.into() }
    }

    /// A failure that blames the request's picture.
    pub fn about_image(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { field: Some(Field::Image), ..Self::new(kind, message) }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if let Some((field, problem)) = error.as_field() {
            return Self { field: Some(field), ..Self::new(FailureKind::BadInput, problem) };
        }
        let kind = match error {
            Error::Picture { source_name, problem } => {
                let message = if source_name.is_empty() { problem } else { format!("{source_name}: {problem}") };
                return Self::about_image(FailureKind::BadInput, message);
            }
            Error::Flagged { source_name } => {
                let whose = if source_name.is_empty() { String::new() } else { format!("{source_name}: ") };
                let message = format!("{whose}rejected by the safety checker");
                return Self::about_image(FailureKind::ContentRejected, message);
            }
            Error::Field { .. } | Error::SourceSize(_) => FailureKind::BadInput,
            Error::ModelFile { .. } | Error::Tensor { .. } | Error::Device { .. } => FailureKind::Model,
            Error::SafetyChecker { .. } => FailureKind::SafetyChecker,
            Error::Cancelled
            | Error::Io { .. }
            | Error::DeviceFailed { .. }
            | Error::DeviceLost { .. }
            | Error::Internal(_) => FailureKind::Engine,
        };
        Self::new(kind, error.to_string())
    }
}

/// Kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// What the client sent cannot be used: the same request fails again.
    BadInput,
    /// A picture could not be fetched.
    SourceUnavailable,
    /// The installed models cannot be used: the operator has to act.
    Model,
    /// The engine reported an error of the program or the machine.
    Engine,
    /// A safety checker objects to an input picture: the same request fails again.
    ContentRejected,
    /// A safety checker that has to look at every picture could not.
    SafetyChecker,
    /// Too many workers died on it; see [`crate::Job::quarantined`].
    Crashed,
    /// Input or result could not be read or stored, also after retries.
    Storage,
    /// No worker took it in time.
    StartTimeout,
    /// A fault of ours.
    Internal,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_name_the_field_and_hide_nothing() {
        let of = Failure::from;
        let picture = of(Error::picture("picture 2", "is empty"));
        assert_eq!((picture.field, picture.message.as_str()), (Some(Field::Image), "picture 2: is empty"));
        assert_eq!(of(Error::picture("", "is empty")).message, "is empty");
        let size = of(Error::field(Field::Size, "too odd"));
        assert_eq!(
            (size.kind, size.field, size.message.as_str()),
            (FailureKind::BadInput, Some(Field::Size), "too odd")
        );
        assert_eq!(of(Error::model_file("vae", "is missing")).kind, FailureKind::Model);
        assert_eq!(of(Error::internal("oh")), Failure::new(FailureKind::Engine, "internal error: oh"));
    }
}
