//! Where each flag's value came from, so that a message points at the right place.

use afterimage_core::Field;
use clap::ArgMatches;
use clap::parser::ValueSource;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What the help calls the input pictures.
const PICTURES: &str = "IMAGE";

/// Where a value came from. Precedence is the order of the variants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag,
    /// An environment variable.
    Environment,
    /// The configuration file.
    File(PathBuf),
    /// The program.
    Default,
}

/// Origins of one command's values by the argument's id (`num_images`).
#[derive(Clone, Debug, Default)]
pub struct Origins {
    by_id: BTreeMap<String, Origin>,
}

impl Origin {
    /// Whether a value from here wins over one from `other`.
    pub fn precedes(&self, other: &Self) -> bool {
        self.rank() < other.rank()
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Flag => 0,
            Self::Environment => 1,
            Self::File(_) => 2,
            Self::Default => 3,
        }
    }
}

impl Origins {
    /// Reads them off `matches`. clap takes values of the file for defaults; `in_file` says which they are.
    pub fn new(matches: &ArgMatches, config: Option<&Path>, in_file: &dyn Fn(&str) -> bool) -> Self {
        let by_id = matches
            .ids()
            .filter(|id| matches.try_contains_id(id.as_str()).is_ok())
            .map(|id| {
                let origin = match (matches.value_source(id.as_str()), config) {
                    (Some(ValueSource::CommandLine), _) => Origin::Flag,
                    (Some(ValueSource::EnvVariable), _) => Origin::Environment,
                    (_, Some(path)) if in_file(id.as_str()) => Origin::File(path.to_path_buf()),
                    _ => Origin::Default,
                };
                (id.to_string(), origin)
            })
            .collect();
        Self { by_id }
    }

    /// Where the value of `field` came from.
    pub fn of(&self, field: &str) -> Origin {
        self.by_id.get(field).cloned().unwrap_or(Origin::Default)
    }

    /// What a message about a field of the request starts with.
    pub fn of_field(&self, field: Field) -> String {
        match field {
            Field::Image => PICTURES.to_owned(),
            Field::Loras => self.subject("lora"),
            Field::Start => self.subject("init"),
            Field::CropPadding => self.subject("mask_crop"),
            Field::ReduxSpans => self.subject("redux_strength"),
            Field::ImageWeight
            | Field::ImageMask
            | Field::Mask
            | Field::MaskBlur
            | Field::VariationStrength
            | Field::Prompt
            | Field::Size
            | Field::Steps
            | Field::Guidance
            | Field::NumImages
            | Field::Enlarge
            | Field::Strength
            | Field::ReduxStrength
            | Field::ReduxDownsample
            | Field::Redux
            | Field::Model
            | Field::Repeat => self.subject(field.name()),
        }
    }

    /// What a message about the flag `--name` starts with.
    pub fn of_flag(&self, name: &str) -> String {
        self.subject(&name.replace('-', "_"))
    }

    /// What a message about the argument `field` starts with: the flag, and the variable or file that set it.
    pub fn subject(&self, field: &str) -> String {
        subject(field, &self.of(field))
    }
}

/// What a message about `field` (`num_images`) starts with: `--num-images`, or `--num-images (from x.toml)`.
pub fn subject(field: &str, origin: &Origin) -> String {
    if field == "image" || field == "images" {
        return PICTURES.to_owned();
    }
    let flag = format!("--{}", field.replace('_', "-"));
    match origin {
        Origin::Flag | Origin::Default => flag,
        Origin::Environment => format!("{flag} (from {})", variable(field)),
        Origin::File(path) => format!("{flag} (from {})", path.display()),
    }
}

/// Whether the environment variable `name` has a value; an empty one counts as absent.
pub fn is_set(name: &OsStr) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// The environment variable of `field`.
pub fn variable(field: &str) -> String {
    format!("AFTERIMAGE_{}", field.to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_names_flag_and_source() {
        assert_eq!(subject("num_images", &Origin::Flag), "--num-images");
        assert_eq!(subject("num_images", &Origin::Environment), "--num-images (from AFTERIMAGE_NUM_IMAGES)");
        assert_eq!(subject("steps", &Origin::File("a.toml".into())), "--steps (from a.toml)");
        assert_eq!(subject("image", &Origin::Flag), "IMAGE");
    }
}
