//! Which low-rank adapters a request adds to the model.

use crate::name_text::name_text;
use crate::{Error, Field, Result, limits};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Most characters of a name.
const LONGEST: usize = 80;

/// Name of a `LoRA` in the operator's folder of them, without the file's ending: 1 to 80 characters of `A-Z`, `a-z`, `0-9`,
/// `.`, `_` and `-`, of which the first is no dot; never a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LoraName(String);

name_text!(LoraName);

impl LoraName {
    /// A name for people of a file that is in no folder: other characters than names have are `_`.
    pub fn of_file(stem: &str) -> Self {
        let plain = |character: char| if is_plain(character) { character } else { '_' };
        let text: String = stem.chars().take(LONGEST).map(plain).collect();
        Self(if text.is_empty() || text.starts_with('.') {
            format!("_{}", text.get(1..).unwrap_or_default())
        } else {
            text
        })
    }
}

fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || "._-".contains(character)
}

impl FromStr for LoraName {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        if !(1..=LONGEST).contains(&text.len()) || text.starts_with('.') || !text.chars().all(is_plain) {
            return Err(format!(
                "a name has 1 to {LONGEST} characters of A-Z, a-z, 0-9, `.`, `_` and `-`, and begins with no dot"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A `LoRA` and how much of it (Hu et al., `LoRA`: Low-Rank Adaptation of Large Language Models, 2021).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoraChoice {
    /// Which one.
    pub name: LoraName,
    /// Factor on what it adds to the weights, −4..=4; at 0 it is not used.
    pub scale: f64,
}

impl LoraChoice {
    /// Checks a request's list: how many, their scales, and that none is named twice.
    ///
    /// # Errors
    /// [`Error::Field`] of [`Field::Loras`].
    pub fn check(list: &[Self]) -> Result<()> {
        if !limits::LORAS.contains(&list.len()) {
            let (count, most) = (list.len(), limits::LORAS.end());
            return Err(Error::field(Field::Loras, format!("{count} are too many; at most {most} are accepted")));
        }
        for (index, Self { name, scale }) in list.iter().enumerate() {
            // NaN is in no range.
            if !limits::LORA_SCALE.contains(scale) {
                let (least, most) = limits::LORA_SCALE.into_inner();
                let problem = format!("{name}: scale {scale} is out of range; {least} to {most} are accepted");
                return Err(Error::field(Field::Loras, problem));
            }
            if list[..index].iter().any(|earlier| earlier.name == *name) {
                return Err(Error::field(Field::Loras, format!("{name}: named more than once")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error as Unknown, StrDeserializer};

    #[test]
    fn names_are_never_paths() {
        for good in ["Turbo-Alpha_8.v1", "0", &"a".repeat(80)] {
            assert_eq!(good.parse::<LoraName>().unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "ä", "a:1", "a\0", &"a".repeat(81)] {
            assert!(bad.parse::<LoraName>().is_err(), "{bad}");
            let written: StrDeserializer<Unknown> = bad.into_deserializer();
            assert!(LoraName::deserialize(written).is_err(), "{bad}");
        }
    }

    #[test]
    fn files_of_any_name_have_one() {
        for (stem, name) in [("a b", "a_b"), ("", "_"), (".x", "_x"), ("Stil ä/1", "Stil___1"), ("ok-1.0", "ok-1.0")] {
            let made = LoraName::of_file(stem);
            assert_eq!(made.as_str(), name);
            assert_eq!(made.as_str().parse(), Ok(made.clone()));
        }
        assert_eq!(LoraName::of_file(&"ä".repeat(200)).as_str().len(), 80);
    }

    #[test]
    fn lists_are_short_finite_and_without_repetition() {
        let choice = |name: &str, scale| LoraChoice { name: name.parse().unwrap(), scale };
        let message = |list: &[LoraChoice]| LoraChoice::check(list).map_err(|error| error.to_string());
        assert_eq!(message(&[]), Ok(()));
        assert_eq!(message(&[choice("a", -4.0), choice("b", 0.0), choice("A", 4.0)]), Ok(()));
        let expected = "loras: a: scale 4.5 is out of range; -4 to 4 are accepted";
        assert_eq!(message(&[choice("a", 4.5)]), Err(expected.to_owned()));
        for scale in [f64::NAN, f64::INFINITY, -4.01] {
            assert!(message(&[choice("a", scale)]).unwrap_err().contains("out of range"));
        }
        assert_eq!(message(&[choice("a", 1.0), choice("a", 0.5)]), Err("loras: a: named more than once".to_owned()));
        let nine: Vec<_> = (0..9).map(|index| choice(&index.to_string(), 1.0)).collect();
        assert_eq!(message(&nine), Err("loras: 9 are too many; at most 8 are accepted".to_owned()));
    }
}
