//! How a command ends that does not succeed: an exit code and one line on standard error.

use crate::origin::Origins;
use afterimage_core::{Error, shortened_to};
use std::fmt::Display;
use std::io::{self, Write};
use std::panic::Location;
use std::path::Path;
use std::process::ExitCode;

/// Exit code of bad usage and bad input.
const BAD_INPUT: u8 = 2;
/// Characters of a message; paths of 4096 bytes fit.
const LONGEST: usize = 8192;
/// Exit code of everything else.
const OTHER: u8 = 1;

/// Why a command failed.
#[derive(Debug)]
pub struct CommandFailure {
    code: u8,
    message: String,
}

impl CommandFailure {
    /// The user's input is to blame: `subject` is the flag or file, `problem` says what would be right.
    pub fn bad_input(subject: impl Display, problem: impl Display) -> Self {
        Self::usage(format!("{subject}: {problem}"))
    }

    /// Bad usage with a message that is complete.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: BAD_INPUT, message: message.into() }
    }

    /// Anything that is not the input's fault.
    pub fn other(message: impl Into<String>) -> Self {
        Self { code: OTHER, message: message.into() }
    }

    /// The operating system refused to read or write `path`.
    pub fn io(path: &Path, error: &io::Error) -> Self {
        Self::other(format!("{}: {}", path.display(), describe(error)))
    }

    /// Ctrl-C or a request of the system to end.
    pub fn cancelled() -> Self {
        Self::other("cancelled")
    }

    /// A panic somewhere below.
    pub fn internal(message: &str, location: Option<&Location<'_>>) -> Self {
        let place = location.map(|location| format!(" ({}:{})", in_its_crate(location.file()), location.line()));
        let place = place.unwrap_or_default();
        Self::other(format!("internal error: {message}{place}"))
    }

    /// Translates an error of the crates below; a field becomes the flag (and where its value came from).
    pub fn from_error(error: &Error, origins: &Origins) -> Self {
        let message = match (error, error.as_field()) {
            (_, Some((field, problem))) => format!("{}: {problem}", origins.of_field(field)),
            (
                Error::Device { problem, .. } | Error::DeviceFailed { problem, .. } | Error::DeviceLost { problem, .. },
                _,
            ) => {
                format!("{}: {problem}", origins.subject("device"))
            }
            (Error::Io { path, source }, _) => return Self::io(path, source),
            (
                Error::Field { .. }
                | Error::SourceSize(_)
                | Error::Picture { .. }
                | Error::Flagged { .. }
                | Error::SafetyChecker { .. }
                | Error::ModelFile { .. }
                | Error::Tensor { .. }
                | Error::Cancelled
                | Error::Internal(_),
                None,
            ) => error.to_string(),
        };
        Self { code: if error.is_bad_input() { BAD_INPUT } else { OTHER }, message }
    }

    /// Whether the user's input is to blame.
    pub const fn is_bad_input(&self) -> bool {
        self.code == BAD_INPUT
    }

    /// 2 for bad usage or input, 1 for anything else.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }

    /// Writes the line to standard error. A closed standard error is nobody's problem.
    pub fn print(&self) {
        let _ = writeln!(io::stderr().lock(), "{}", one_line(&shortened_to(&self.message, LONGEST)));
    }
}

/// A source file from its crate's name on, `tokenizers-0.23.2/src/lib.rs`, without the folders of the machine that built the
/// program.
fn in_its_crate(file: &str) -> &str {
    let Some(source) = file.rfind("/src/") else { return file.rsplit(['/', '\\']).next().unwrap_or(file) };
    let start = file[..source].rfind('/').map_or(0, |slash| slash + 1);
    &file[start..]
}

/// The operating system's message without Rust's ` (os error N)`.
pub fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// File names and values may hold line breaks and terminal escapes; a message never does.
fn one_line(text: &str) -> String {
    text.chars()
        .flat_map(|char| {
            let (escaped, plain) =
                if char.is_control() { (Some(char.escape_default()), None) } else { (None, Some(char)) };
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

/// `text` for a message: at most 40 characters of it.
pub fn shortened(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_system_error_number_is_left_out() {
        assert_eq!(describe(&io::Error::from_raw_os_error(28)), "No space left on device");
    }

    #[test]
    fn places_in_the_source_do_not_name_the_builders_folders() {
        for (file, expected) in [
            ("/home/x/.cargo/registry/src/index-1/tokenizers-0.23.2/src/a/b.rs", "tokenizers-0.23.2/src/a/b.rs"),
            ("/rustc/5980/library/core/src/option.rs", "core/src/option.rs"),
            ("crates/afterimage/src/main.rs", "afterimage/src/main.rs"),
            ("/home/x/build.rs", "build.rs"),
            ("src/main.rs", "main.rs"),
        ] {
            assert_eq!(in_its_crate(file), expected);
        }
    }

    #[test]
    fn long_values_are_shortened() {
        assert_eq!(shortened(&"ä".repeat(41)), format!("{}…", "ä".repeat(40)));
        assert_eq!(shortened(&"ä".repeat(40)), "ä".repeat(40));
    }

    proptest! {
        #[test]
        fn a_message_is_one_line_without_escapes(text: String) {
            prop_assert!(!one_line(&text).chars().any(char::is_control));
        }
    }
}
