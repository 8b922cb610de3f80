//! Paths of files inside a repository, which come from the hub and become paths of this machine.

use std::fmt;
use std::path::{Path, PathBuf};

/// Most bytes of a path and of one of its names: what common file systems take.
const LONGEST_PATH: usize = 1024;
const LONGEST_NAME: usize = 255;

/// A relative path of plain names with `/` between them: it cannot leave the folder it is joined to, on any system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(String);

impl FilePath {
    /// Checks `text`.
    ///
    /// # Errors
    /// What is wrong with it, for a message that names the repository.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() || text.len() > LONGEST_PATH {
            return Err("is empty or longer than 1024 bytes");
        }
        if text.starts_with('/') {
            return Err("is an absolute path");
        }
        for name in text.split('/') {
            if name.is_empty() || name.len() > LONGEST_NAME {
                return Err("has a name that is empty or longer than 255 bytes");
            }
            if name == "." || name == ".." {
                return Err("leaves its folder");
            }
            // `\` and `:` separate folders and drives on Windows.
            if name.chars().any(|char| char.is_control() || matches!(char, '\\' | ':')) {
                return Err("has a character that no file name may have");
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// A path that this program wrote down itself.
    pub(crate) fn known(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// The path with `/` between names.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names from the outermost folder on.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The file's own name.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Whether it lies in no folder.
    pub fn is_at_the_top(&self) -> bool {
        !self.0.contains('/')
    }

    /// The file below `folder`.
    pub(crate) fn below(&self, folder: &Path) -> PathBuf {
        let mut path = folder.to_path_buf();
        path.extend(self.names());
        path
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Component;

    #[test]
    fn plain_paths_pass() {
        for text in ["config.json", "transformer/config.json", "a/b/c d.txt", ".gitattributes", "ä/…", "a..b"] {
            let path = FilePath::parse(text).unwrap();
            assert_eq!(path.as_str(), text);
            assert_eq!(path.is_at_the_top(), !text.contains('/'));
        }
        assert_eq!(FilePath::parse("a/b.txt").unwrap().file_name(), "b.txt");
    }

    #[test]
    fn hostile_paths_do_not() {
        let long = "a".repeat(256);
        for text in [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "..",
            ".",
            "a/./b",
            "a//b",
            "a/",
            "a\\b",
            "c:x",
            "a\0b",
            "a\nb",
            &long,
        ] {
            assert!(FilePath::parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_path_that_passes_stays_in_its_folder(text in "[a./\\\\:\u{0}-\u{7f}é]{0,12}") {
            if let Ok(path) = FilePath::parse(&text) {
                let below = path.below(Path::new("/root"));
                prop_assert!(below.starts_with("/root") && below != Path::new("/root"));
                prop_assert!(below.components().skip(1).all(|part| matches!(part, Component::Normal(_))));
            }
        }
    }
}
