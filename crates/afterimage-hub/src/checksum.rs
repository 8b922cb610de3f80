//! The checksums that the hub calls files by: SHA-256 for large ones (Git LFS), git's SHA-1 of a blob for all others.

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use std::fmt;

/// What a file's bytes add up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Checksum {
    /// SHA-256 of the bytes.
    Sha256([u8; 32]),
    /// SHA-1 of `blob LENGTH\0` and the bytes, as git names an object. No protection against whoever means to deceive,
    /// but against damage; the hub has no better one for small files.
    GitBlob([u8; 20]),
}

impl Checksum {
    /// From a header: `"…"`, `W/"…"` or bare, 64 or 40 hexadecimal digits in lower case. Anything else is none: it
    /// becomes a file's name.
    pub fn from_etag(text: &str) -> Option<Self> {
        let text = text.strip_prefix("W/").unwrap_or(text);
        let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        Self::from_name(text)
    }

    /// From the name of a file in the cache's `blobs`.
    pub fn from_name(text: &str) -> Option<Self> {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        let bytes = hex::decode(text).ok()?;
        match bytes.len() {
            32 => Some(Self::Sha256(bytes.try_into().ok()?)),
            20 => Some(Self::GitBlob(bytes.try_into().ok()?)),
            _ => None,
        }
    }

    /// Adds up the bytes of a file that has `length` of them.
    pub fn begin(self, length: u64) -> RunningChecksum {
        let context = match self {
            Self::Sha256(_) => Context::new(&SHA256),
            Self::GitBlob(_) => {
                let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
                context.update(format!("blob {length}\0").as_bytes());
                context
            }
        };
        RunningChecksum { context, expected: self }
    }

    /// Its name for people.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Sha256(_) => "SHA-256",
            Self::GitBlob(_) => "git SHA-1",
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Sha256(bytes) => bytes,
            Self::GitBlob(bytes) => bytes,
        }
    }
}

/// The name of the file in the cache's `blobs`.
impl fmt::Display for Checksum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.bytes()))
    }
}

/// A checksum in the making.
#[derive(Clone)]
pub struct RunningChecksum {
    context: Context,
    expected: Checksum,
}

impl RunningChecksum {
    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
    }

    /// What it has come to, as hexadecimal digits, when that is not what was expected.
    pub fn mismatch(self) -> Option<String> {
        let found = self.context.finish();
        (found.as_ref() != self.expected.bytes()).then(|| hex::encode(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO_SHA256: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    /// `printf hello | git hash-object --stdin`
    const HELLO_GIT: &str = "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0";

    #[test]
    fn both_kinds_are_told_by_their_length() {
        for (name, kind) in [(HELLO_SHA256, "SHA-256"), (HELLO_GIT, "git SHA-1")] {
            for text in [name.to_owned(), format!("\"{name}\""), format!("W/\"{name}\"")] {
                let checksum = Checksum::from_etag(&text).unwrap();
                assert_eq!((checksum.to_string().as_str(), checksum.kind()), (name, kind));
                let mut running = checksum.begin(5);
                running.update(b"he");
                running.update(b"llo");
                assert_eq!(running.mismatch(), None);
                let mut running = checksum.begin(5);
                running.update(b"hallo");
                assert!(running.mismatch().is_some_and(|found| found != name && found.len() == name.len()));
            }
        }
    }

    #[test]
    fn what_is_no_checksum_is_none() {
        let upper = HELLO_GIT.to_uppercase();
        for text in ["", "\"\"", "abc", "../../x", &HELLO_GIT[1..], &upper, &format!("{HELLO_GIT}-2")] {
            assert_eq!(Checksum::from_etag(text), None, "{text}");
        }
    }
}
