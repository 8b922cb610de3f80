//! What can go wrong between the hub and the cache.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Why files could not be fetched, found or checked. Each is one line that says what would be right.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// A name that cannot be one: of a repository, a revision, a part.
    #[error("`{}`: {problem}", afterimage_core::shortened(.name))]
    Name {
        /// What was named.
        name: String,
        /// What would be right.
        problem: String,
    },
    /// A variable of the environment that cannot be used.
    #[error("{variable}: {problem}")]
    Environment {
        /// Its name.
        variable: &'static str,
        /// What would be right.
        problem: String,
    },
    /// The hub does not give it to this account, or has no such thing.
    #[error("{repository}: {problem}")]
    Access {
        /// The repository, or `OWNER/NAME/FILE`.
        repository: String,
        /// What to do about it.
        problem: String,
    },
    /// The licence has to be accepted first.
    #[error("{repository}: {problem}")]
    Licence {
        /// The repository.
        repository: String,
        /// The licence and how to accept it.
        problem: String,
    },
    /// Not in the cache, or not all of it.
    #[error("{repository}: {problem}")]
    NotCached {
        /// The repository.
        repository: String,
        /// What is missing and which command fetches it.
        problem: String,
    },
    /// The hub or its store answered with something else than it should have, or not at all.
    #[error("{subject}: {problem}")]
    Transfer {
        /// The repository, or `OWNER/NAME/FILE`.
        subject: String,
        /// What happened.
        problem: String,
    },
    /// A file or folder of the cache cannot be read or written.
    #[error("{}: {}", .path.display(), without_number(.source))]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The disk has too little room.
    #[error("{}: {problem}", .path.display())]
    Room {
        /// The cache, or the file that could not be written.
        path: PathBuf,
        /// How much is needed and how much is there.
        problem: String,
    },
    /// The observer asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl HubError {
    /// An error of the operating system about `path`.
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge) {
            let problem =
                format!("{}; what has arrived stays, the same command goes on from there", without_number(&source));
            return Self::Room { path: path.to_path_buf(), problem };
        }
        Self::Io { path: path.to_path_buf(), source }
    }

    /// Whether whoever asked can do something about it, as opposed to the network, the hub and the machine. A full disk is
    /// made room on, or another one named.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Name { .. }
            | Self::Environment { .. }
            | Self::Access { .. }
            | Self::Licence { .. }
            | Self::NotCached { .. }
            | Self::Room { .. } => true,
            Self::Transfer { .. } | Self::Io { .. } | Self::Cancelled => false,
        }
    }
}

/// The operating system's words without Rust's ` (os error N)`.
fn without_number(error: &io::Error) -> String {
    let text = error.to_string();
    text.find(" (os error").map_or(text.clone(), |end| text[..end].to_owned())
}
