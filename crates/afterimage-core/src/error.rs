//! The error every crate below the command line returns.

use crate::text::{shortened, shortened_to};
use crate::{Field, Size, limits};
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// Result with Afterimage's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Characters of a message about one thing: what a file or request says may have any length, a line may not.
const PROBLEM: usize = 1500;

/// Everything that can go wrong, told apart by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field of the request holds a value that cannot be used.
    #[error("{field}: {}", shortened_to(problem, PROBLEM))]
    Field {
        /// Which.
        field: Field,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// Image-to-image without a size, whose picture has none that a result may have. It depends on the front end which
    /// of the two a user can change.
    #[error("{}: {}", Field::Size, size_needed(*.0))]
    SourceSize(Size),
    /// A picture that cannot be read. `source_name` is a file name, or `standard input`.
    #[error("{}: {}", shortened_to(source_name, PROBLEM), shortened_to(problem, PROBLEM))]
    Picture {
        /// Where the picture came from, as a user would name it.
        source_name: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A model file or folder that is missing or cannot be used.
    #[error("{}: {}", path.display(), shortened_to(problem, PROBLEM))]
    ModelFile {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A tensor of a model file that is missing or has the wrong shape or type.
    #[error(
        "{}: tensor {}: expected {}, found {}",
        path.display(), shortened(tensor), shortened(expected), shortened(found)
    )]
    Tensor {
        /// The file, or the folder for sharded weights.
        path: PathBuf,
        /// Name of the tensor as the file should spell it.
        tensor: String,
        /// Shape and type that the configuration asks for.
        expected: String,
        /// What is there instead.
        found: String,
    },
    /// The device asked for does not exist in this build or on this machine.
    #[error("device {device}: {problem}")]
    Device {
        /// The device as asked for.
        device: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A device that could not do what it was asked, for a reason that is not the caller's; others may still work.
    #[error("device {device}: {problem}")]
    DeviceFailed {
        /// The device.
        device: String,
        /// What it said.
        problem: String,
    },
    /// A device that failed in a way after which nothing works in this process any more: it has to end, and another may try.
    #[error("device {device}: {problem}")]
    DeviceLost {
        /// The device.
        device: String,
        /// What it said.
        problem: String,
    },
    /// An input picture that a safety checker objects to, where inputs are checked.
    #[error("{}: rejected by the safety checker", shortened_to(source_name, PROBLEM))]
    Flagged {
        /// Where the picture came from, as a user would name it.
        source_name: String,
    },
    /// A safety checker that has to look at every picture could not.
    #[error("safety checker: {}", shortened_to(problem, PROBLEM))]
    SafetyChecker {
        /// What went wrong.
        problem: String,
    },
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// Reading or writing failed for a reason outside the request (disk full, permission).
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// A failure of the program itself.
    #[error("internal error: {0}")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// An [`Error::Field`].
    pub fn field(field: Field, problem: impl Into<String>) -> Self {
        Self::Field { field, problem: problem.into() }
    }

    /// An [`Error::Picture`].
    pub fn picture(source_name: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Picture { source_name: source_name.into(), problem: problem.into() }
    }

    /// An [`Error::ModelFile`].
    pub fn model_file(path: impl AsRef<Path>, problem: impl Into<String>) -> Self {
        Self::ModelFile { path: path.as_ref().to_path_buf(), problem: problem.into() }
    }

    /// An [`Error::Io`].
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io { path: path.as_ref().to_path_buf(), source }
    }

    /// An [`Error::Internal`].
    pub fn internal(problem: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(problem.into())
    }

    /// The field of the request to blame and what is wrong with it, for front ends where a size can be named and
    /// pictures have their own words.
    pub fn as_field(&self) -> Option<(Field, Cow<'_, str>)> {
        match self {
            Self::Field { field, problem } => Some((*field, problem.into())),
            Self::SourceSize(size) => Some((Field::Size, size_needed(*size).into())),
            Self::Picture { .. }
            | Self::Flagged { .. }
            | Self::SafetyChecker { .. }
            | Self::ModelFile { .. }
            | Self::Tensor { .. }
            | Self::Device { .. }
            | Self::Cancelled
            | Self::Io { .. }
            | Self::DeviceFailed { .. }
            | Self::DeviceLost { .. }
            | Self::Internal(_) => None,
        }
    }

    /// Whether the caller's input is to blame (exit code 2, a 4xx status), not the machine or the program.
    pub fn is_bad_input(&self) -> bool {
        matches!(
            self,
            Self::Field { .. }
                | Self::SourceSize(_)
                | Self::Picture { .. }
                | Self::Flagged { .. }
                | Self::ModelFile { .. }
                | Self::Tensor { .. }
                | Self::Device { .. }
        )
    }
}

fn size_needed(size: Size) -> String {
    let (low, high) = limits::SIDE.into_inner();
    format!("missing; the picture's {size} is out of range ({low} to {high} pixels a side), so name a size")
}
