//! Names of repositories and of what is in them at one time.

use crate::error::HubError;
use crate::file_path::FilePath;
use std::fmt;
use std::str::FromStr;

/// Longest name of a repository, the hub's own rule.
const LONGEST: usize = 96;

/// `OWNER/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryName {
    owner: String,
    name: String,
}

impl RepositoryName {
    /// Who it belongs to.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Its name without the owner.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its folder in the cache, `models--OWNER--NAME`.
    pub(crate) fn folder(&self) -> String {
        format!("{PREFIX}{}{SEPARATOR}{}", self.owner, self.name)
    }

    /// The repository whose folder has this name.
    pub(crate) fn from_folder(folder: &str) -> Option<Self> {
        let (owner, name) = folder.strip_prefix(PREFIX)?.split_once(SEPARATOR)?;
        format!("{owner}/{name}").parse().ok()
    }
}

const PREFIX: &str = "models--";
const SEPARATOR: &str = "--";

impl FromStr for RepositoryName {
    type Err = HubError;

    /// By the hub's rules: letters, digits, `-`, `_` and `.`; no `--` and no `..`; `-` and `.` not at the ends.
    fn from_str(text: &str) -> Result<Self, HubError> {
        let refuse = |problem: &str| HubError::Name { name: text.to_owned(), problem: problem.to_owned() };
        let (owner, name) = text.split_once('/').ok_or_else(|| refuse("is no repository; expected OWNER/NAME"))?;
        if text.len() > LONGEST || name.contains('/') {
            return Err(refuse("is no repository; expected OWNER/NAME of at most 96 characters"));
        }
        for part in [owner, name] {
            let is_known = |char: char| char.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&char);
            let is_edge = |char: Option<char>| char.is_none_or(|char| ['-', '.'].contains(&char));
            let bad = part.contains("--") || part.contains("..") || !part.chars().all(is_known);
            if bad || is_edge(part.chars().next()) || is_edge(part.chars().next_back()) {
                return Err(refuse("is no repository; OWNER/NAME holds letters, digits, `-`, `_` and `.` only"));
            }
        }
        Ok(Self { owner: owner.to_owned(), name: name.to_owned() })
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.owner, self.name)
    }
}

/// A branch, a tag, or a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision(FilePath);

impl Revision {
    /// Its text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The path below the cache's `refs`.
    pub(crate) fn path(&self) -> &FilePath {
        &self.0
    }

    /// The commit, if it is one.
    pub(crate) fn as_commit(&self) -> Option<CommitId> {
        CommitId::parse(self.as_str())
    }
}

impl Default for Revision {
    fn default() -> Self {
        Self(FilePath::known("main"))
    }
}

impl FromStr for Revision {
    type Err = HubError;

    fn from_str(text: &str) -> Result<Self, HubError> {
        let problem = |problem: &str| HubError::Name {
            name: text.to_owned(),
            problem: format!("{problem}; expected a branch, a tag or a commit such as main"),
        };
        FilePath::parse(text).map(Self).map_err(problem)
    }
}

/// What a repository holds at one time: 40 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommitId(String);

impl CommitId {
    /// Checks `text`, which becomes a folder's name.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 40 && text.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_follow_the_hubs_rules() {
        for text in ["black-forest-labs/FLUX.1-dev", "Falconsai/nsfw_image_detection", "a/b"] {
            assert_eq!(text.parse::<RepositoryName>().unwrap().to_string(), text);
        }
        for text in ["", "a", "a/", "/b", "a/b/c", "../b", "a/..", "a/b--c", "a/-b", "a/b.", "a b/c", "ä/b", "a\\b/c"]
        {
            assert!(text.parse::<RepositoryName>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_folder_tells_its_repository(text in "[a-cA-C0-1._/-]{1,12}") {
            if let Ok(name) = text.parse::<RepositoryName>() {
                prop_assert_eq!(RepositoryName::from_folder(&name.folder()), Some(name));
            }
        }
    }

    #[test]
    fn revisions_stay_below_refs() {
        assert_eq!(Revision::default().as_str(), "main");
        assert_eq!("refs/pr/1".parse::<Revision>().unwrap().as_str(), "refs/pr/1");
        assert!("../../x".parse::<Revision>().is_err());
        assert!("0123456789abcdef0123456789abcdef01234567".parse::<Revision>().unwrap().as_commit().is_some());
        assert!(CommitId::parse("../../../0123456789abcdef0123456789abcdef").is_none());
    }
}
