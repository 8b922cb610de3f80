//! How people name what is at the hub: `flux-dev`, `OWNER/NAME`, `OWNER/NAME@REVISION/FILE`.

use crate::catalogue::{KNOWN_MODELS, by_name, by_repository};
use crate::error::HubError;
use crate::file_path::FilePath;
use crate::known::KnownModel;
use crate::repository_name::{RepositoryName, Revision};
use std::fmt;
use std::str::FromStr;

/// What such a name may begin with where paths are expected, too.
const SCHEME: &str = "hub:";

/// A repository, or a file in it, at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubReference {
    /// Where it is.
    pub repository: RepositoryName,
    /// Which state of it.
    pub revision: Revision,
    /// One file or folder, else the whole.
    pub file: Option<FilePath>,
    /// What is known of it by heart.
    pub known: Option<&'static KnownModel>,
}

impl HubReference {
    /// The whole of a model with a short name.
    ///
    /// # Errors
    /// [`HubError::Name`] for a name that is not known.
    pub fn known(name: &str) -> Result<Self, HubError> {
        let known = by_name(name).ok_or_else(|| unknown(name))?;
        let (repository, revision) = (known.repository_name()?, Revision::default());
        Ok(Self { repository, revision, file: None, known: Some(known) })
    }

    /// The name behind `hub:`, or nothing when `text` does not begin so and is a path.
    ///
    /// # Errors
    /// [`HubError::Name`] when what follows is none.
    pub fn after_scheme(text: &str) -> Option<Result<Self, HubError>> {
        text.strip_prefix(SCHEME).map(str::parse)
    }

    /// What `--only` has to name so that the parts come that `is_needed` says so of; nothing when that is the whole, or
    /// nobody knows its parts.
    pub fn needed_parts(&self, is_needed: &dyn Fn(&str) -> bool) -> Vec<String> {
        let Some(known) = self.known.filter(|_| self.file.is_none()) else { return Vec::new() };
        let needed = known.parts.iter().map(|part| part.name).filter(|name| is_needed(name));
        let needed: Vec<String> = needed.map(str::to_owned).collect();
        if needed.len() == known.parts.len() { Vec::new() } else { needed }
    }

    /// What `models pull` calls it: the short name where there is one.
    pub fn short_name(&self) -> String {
        self.known.map_or_else(|| self.repository.to_string(), |known| known.name.to_owned())
    }

    /// The command that fetches it.
    pub fn command(&self) -> String {
        let revision = if self.revision == Revision::default() {
            String::new()
        } else {
            format!(" --revision {}", self.revision.as_str())
        };
        let only = self.file.as_ref().map(|file| format!(" --only {file}")).unwrap_or_default();
        format!("afterimage models pull {}{revision}{only}", self.short_name())
    }
}

impl FromStr for HubReference {
    type Err = HubError;

    fn from_str(text: &str) -> Result<Self, HubError> {
        let text = text.strip_prefix(SCHEME).unwrap_or(text);
        let mut parts = text.splitn(3, '/');
        let (first, second, file) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        let (last, revision) = match second.unwrap_or(first).split_once('@') {
            Some((last, revision)) => (last, revision.parse()?),
            None => (second.unwrap_or(first), Revision::default()),
        };
        if second.is_none() {
            return Ok(Self { revision, ..Self::known(last)? });
        }
        let repository: RepositoryName = format!("{first}/{last}").parse()?;
        let file = file.map(|file| {
            FilePath::parse(file)
                .map_err(|problem| HubError::Name { name: file.to_owned(), problem: problem.to_owned() })
        });
        let known = by_repository(&repository);
        // One spelling, so that there is one folder in the cache.
        let repository = known.map_or(Ok(repository), KnownModel::repository_name)?;
        Ok(Self { known, repository, revision, file: file.transpose()? })
    }
}

fn unknown(name: &str) -> HubError {
    let names: Vec<&str> = KNOWN_MODELS.iter().map(|known| known.name).collect();
    let problem = format!("is not known; expected OWNER/NAME, or one of {}", names.join(", "));
    HubError::Name { name: name.to_owned(), problem }
}

/// `hub:OWNER/NAME@REVISION/FILE`.
impl fmt::Display for HubReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{SCHEME}{}", self.repository)?;
        if self.revision != Revision::default() {
            write!(formatter, "@{}", self.revision.as_str())?;
        }
        self.file.as_ref().map_or(Ok(()), |file| write!(formatter, "/{file}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> HubReference {
        text.parse().unwrap()
    }

    #[test]
    fn short_names_and_repositories_are_the_same() {
        let dev = parse("flux-dev");
        assert_eq!(dev, parse("hub:black-forest-labs/FLUX.1-dev"));
        assert_eq!(dev, parse("Black-Forest-Labs/flux.1-DEV"));
        assert_eq!(dev.command(), "afterimage models pull flux-dev");
        let file = parse("hub:city96/FLUX.1-dev-gguf@v1/sub/flux1-dev-Q8_0.gguf");
        assert_eq!(file.to_string(), "hub:city96/FLUX.1-dev-gguf@v1/sub/flux1-dev-Q8_0.gguf");
        assert_eq!((file.file.unwrap().as_str(), file.revision.as_str()), ("sub/flux1-dev-Q8_0.gguf", "v1"));
        assert_eq!(parse("redux@abc").command(), "afterimage models pull redux --revision abc");
        assert!(HubReference::after_scheme("FLUX.1-dev").is_none());
    }

    #[test]
    fn other_names_are_refused_with_what_is_known() {
        for (text, part) in [
            ("flux", "one of flux-dev, flux-schnell, redux, srpo, falconsai, compvis"),
            ("hub:", "is not known"),
            ("a/../x", "letters"),
            ("a/b/../../x", "leaves its folder"),
            ("a/redux@../x", "leaves its folder"),
        ] {
            let message = text.parse::<HubReference>().unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_shown_so_that_it_reads_the_same(text in "[ab.@/-]{1,12}") {
            if let Ok(reference) = text.parse::<HubReference>() {
                prop_assert_eq!(parse(&reference.to_string()), reference);
            }
        }
    }
}
