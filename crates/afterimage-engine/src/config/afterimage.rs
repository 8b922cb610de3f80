//! What a model wants of the engine and diffusers' layout has no place for: `afterimage.json` in the base's folder.

use super::check::ConfigCheck;
use crate::bundle::Bundle;
use afterimage_core::Result;
use serde::Deserialize;

/// Name of the file.
const FILE: &str = "afterimage.json";

/// `afterimage.json`; a folder without it asks for nothing. Unknown fields are refused, since they are likely misspelt.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AfterimageConfig {
    /// Pictures above a number of pixels are made small, enlarged and refined.
    pub enlarge: Option<EnlargeConfig>,
}

/// How large pictures are made in two passes.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnlargeConfig {
    /// Pixels of the first pass: about as many as the model was trained on.
    pub from_pixels: u64,
    /// Above 0 to 1: share of the schedule that refines the enlarged picture.
    #[serde(default = "EnlargeConfig::default_refine_strength")]
    pub refine_strength: f64,
    /// The model knows one shape only: for every size with a longer side the first pass is the square of `from_pixels`,
    /// made of squashed pictures and stretched afterwards. A request cannot choose another first size.
    #[serde(default)]
    pub square: bool,
}

impl EnlargeConfig {
    /// Keeps the enlarged picture's shapes and redraws its detail.
    pub const fn default_refine_strength() -> f64 {
        0.35
    }
}

impl AfterimageConfig {
    /// Reads and checks the file of the model folder `base`.
    ///
    /// # Errors
    /// [`afterimage_core::Error::ModelFile`] naming the field that cannot be used and what would be right.
    pub fn read(base: &Bundle) -> Result<Self> {
        if !base.has(FILE) {
            return Ok(Self::default());
        }
        let config: Self = base.json(FILE)?;
        let path = base.path(FILE);
        let check = ConfigCheck::new(&path);
        if let Some(enlarge) = &config.enlarge {
            check.range("enlarge.from_pixels", enlarge.from_pixels as usize, &(256..=16_777_216))?;
            // Less than a hundredth of the schedule changes nothing that can be seen.
            if !(0.01..=1.0).contains(&enlarge.refine_strength) {
                let problem = format!("{} is out of range; expected 0.01 to 1", enlarge.refine_strength);
                return Err(check.refuse("enlarge.refine_strength", problem));
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<AfterimageConfig> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), text).unwrap();
        AfterimageConfig::read(&Bundle::open(folder.path()).unwrap())
    }

    #[test]
    fn a_folder_without_the_file_asks_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let config = AfterimageConfig::read(&Bundle::open(folder.path()).unwrap()).unwrap();
        assert_eq!(config, AfterimageConfig { enlarge: None });
        assert_eq!(read("{}").unwrap(), config);
    }

    #[test]
    fn strength_and_shape_have_defaults() {
        let config = read(r#"{"enlarge": {"from_pixels": 65536}}"#).unwrap();
        assert_eq!(config.enlarge, Some(EnlargeConfig { from_pixels: 65_536, refine_strength: 0.35, square: false }));
    }

    #[test]
    fn unusable_fields_are_named() {
        for (text, expected) in [
            (r#"{"enlarge": {"from_pixels": 255}}"#, "enlarge.from_pixels: 255 is out of range"),
            (
                r#"{"enlarge": {"from_pixels": 256, "refine_strength": 0}}"#,
                "enlarge.refine_strength: 0 is out of range",
            ),
            (r#"{"enlarge": {"pixels": 256}}"#, "enlarge.pixels: unknown field"),
            (r#"{"enlarge": 3}"#, "enlarge: invalid type"),
            ("{", "EOF"),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(&format!("{FILE}: ")) && message.contains(expected), "{message}");
        }
    }
}
