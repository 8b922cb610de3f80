//! Under which terms a repository is given out.

use std::fmt;

/// Licences that ask for nothing but a notice, by the hub's names for them.
const PERMISSIVE: [&str; 13] = [
    "apache-2.0",
    "mit",
    "bsd",
    "bsd-2-clause",
    "bsd-3-clause",
    "bsd-3-clause-clear",
    "isc",
    "zlib",
    "unlicense",
    "cc0-1.0",
    "cc-by-4.0",
    "cc-by-3.0",
    "wtfpl",
];

/// A repository's licence as its card names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Licence {
    /// The hub's word, `apache-2.0` or `other`; nothing when the card has none.
    pub id: Option<String>,
    /// What `other` is called.
    pub name: Option<String>,
    /// Where to read it.
    pub link: Option<String>,
    /// Whether the hub gives the files only to accounts that accepted it there.
    pub is_gated: bool,
}

impl Licence {
    /// Whether whoever fetches has to say that the terms are accepted: all but permissive licences, licences that nobody
    /// names, and whatever the hub itself asks about.
    pub fn needs_acceptance(&self) -> bool {
        let is_permissive = self.id.as_deref().is_some_and(|id| PERMISSIVE.contains(&id));
        self.is_gated || !is_permissive
    }
}

/// `flux-1-dev-non-commercial-license, gated (https://…)`.
impl fmt::Display for Licence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = |text: &Option<String>| text.as_deref().map(|text| afterimage_core::shortened(text).into_owned());
        let name = known(&self.name).or_else(|| known(&self.id));
        formatter.write_str(name.as_deref().unwrap_or("no licence is stated"))?;
        if self.is_gated {
            formatter.write_str(", gated")?;
        }
        known(&self.link).map_or(Ok(()), |link| write!(formatter, " ({link})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn licence(id: Option<&str>, is_gated: bool) -> Licence {
        Licence { id: id.map(str::to_owned), name: None, link: None, is_gated }
    }

    #[test]
    fn only_what_is_permissive_and_open_needs_no_acceptance() {
        assert!(!licence(Some("apache-2.0"), false).needs_acceptance());
        for (id, gated) in
            [(Some("apache-2.0"), true), (Some("other"), false), (Some("openrail"), false), (None, false)]
        {
            assert!(licence(id, gated).needs_acceptance(), "{id:?}");
        }
    }

    #[test]
    fn a_licence_is_shown_by_its_name() {
        assert_eq!(licence(None, false).to_string(), "no licence is stated");
        assert_eq!(licence(Some("mit"), true).to_string(), "mit, gated");
        let named = Licence {
            name: Some("flux-1-dev".into()),
            link: Some("https://x/LICENSE.md".into()),
            ..licence(Some("other"), true)
        };
        assert_eq!(named.to_string(), "flux-1-dev, gated (https://x/LICENSE.md)");
    }
}
