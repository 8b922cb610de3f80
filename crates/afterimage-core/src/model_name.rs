//! Which of a server's sets of models a request means.

use crate::name_text::name_text;
use crate::{Error, Field, Result};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Most characters of a name.
const LONGEST: usize = 40;

/// Name of one of the sets of models that a server has, given by its operator: 1 to 40 characters of `a-z`, `0-9`, `.`, `_`
/// and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelName(String);

name_text!(ModelName);

impl ModelName {
    /// Whether what serves the sets `known` can serve a request for `wanted`; `None` is the default set.
    ///
    /// # Errors
    /// [`Error::Field`] that lists the names there are.
    pub fn check<'a>(wanted: &Option<Self>, known: impl IntoIterator<Item = &'a Option<Self>>) -> Result<()> {
        let known: Vec<&Option<Self>> = known.into_iter().collect();
        if known.contains(&wanted) {
            return Ok(());
        }
        let names: Vec<&str> = known.into_iter().flatten().map(Self::as_str).collect();
        let there_are = if names.is_empty() {
            "there is one set of models, without a name; leave it out".to_owned()
        } else {
            format!("there are {}", names.join(", "))
        };
        let problem = wanted.as_ref().map_or_else(|| "missing".to_owned(), |name| format!("`{name}` is not known"));
        Err(Error::field(Field::Model, format!("{problem}; {there_are}")))
    }
}

impl FromStr for ModelName {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        if !(1..=LONGEST).contains(&text.len()) || !text.bytes().all(allowed) {
            return Err(format!("a name has 1 to {LONGEST} characters of a-z, 0-9, `.`, `_` and `-`"));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for good in ["dev", "flux.1-dev_q8", "0", &"a".repeat(40)] {
            assert_eq!(good.parse::<ModelName>().unwrap().as_str(), good);
        }
        for bad in ["", "Dev", "a b", "a/b", "ä", "a,b", "a=b", &"a".repeat(41)] {
            assert!(bad.parse::<ModelName>().is_err(), "{bad}");
            assert!(ModelName::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_those_there_are() {
        let [dev, srpo, other] = ["dev", "srpo", "other"].map(|name| name.parse::<ModelName>().unwrap());
        let known = [None, Some(dev), Some(srpo)];
        for good in &known {
            assert!(ModelName::check(good, &known).is_ok());
        }
        let message = |wanted, known: &[Option<ModelName>]| ModelName::check(&wanted, known).unwrap_err().to_string();
        assert_eq!(message(Some(other.clone()), &known), "model: `other` is not known; there are dev, srpo");
        assert_eq!(message(None, &known[1..]), "model: missing; there are dev, srpo");
        assert!(message(Some(other), &known[..1]).ends_with("without a name; leave it out"));
    }
}
