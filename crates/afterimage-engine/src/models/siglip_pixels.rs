//! From a picture to SigLIP's input: `feature_extractor/preprocessor_config.json`.

use super::pixel_tables::PixelTables;
use crate::config::check::ConfigCheck;
use crate::weights::Bundle;
use afterimage_core::{Error, Picture, Result, Size};
use serde::Deserialize;
use std::path::Path;

/// Pillow's number for bicubic resampling.
const BICUBIC: usize = 3;

#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
struct PreprocessorConfig {
    do_resize: bool,
    do_rescale: bool,
    do_normalize: bool,
    size: PreprocessorSize,
    resample: usize,
    rescale_factor: f64,
    image_mean: [f64; 3],
    image_std: [f64; 3],
}

#[derive(Clone, Debug, Deserialize)]
struct PreprocessorSize {
    height: usize,
    width: usize,
}

impl Default for PreprocessorConfig {
    fn default() -> Self {
        Self {
            do_resize: true,
            do_rescale: true,
            do_normalize: true,
            size: PreprocessorSize { height: 224, width: 224 },
            resample: BICUBIC,
            rescale_factor: 1.0 / 255.0,
            image_mean: [0.5; 3],
            image_std: [0.5; 3],
        }
    }
}

/// Turns pictures into SigLIP's input planes.
#[derive(Clone, Debug)]
pub struct SiglipPreprocessor {
    side: usize,
    tables: PixelTables,
}

impl SiglipPreprocessor {
    /// Name of its configuration.
    pub const FILE: &'static str = "preprocessor_config.json";

    /// Reads and checks `preprocessor_config.json` of `folder`; `image_size` is the vision tower's.
    ///
    /// # Errors
    /// [`Error::ModelFile`] naming the field that cannot be used and what would be right.
    pub fn read(folder: &Bundle, image_size: usize) -> Result<Self> {
        Self::new(&folder.json(Self::FILE)?, image_size, &folder.path(Self::FILE))
    }

    /// As all published `SigLIP` models have it: numbers from −1 to 1.
    ///
    /// # Errors
    /// None for a size that a vision tower may have.
    pub fn published(image_size: usize) -> Result<Self> {
        let size = PreprocessorSize { height: image_size, width: image_size };
        Self::new(&PreprocessorConfig { size, ..PreprocessorConfig::default() }, image_size, Path::new(Self::FILE))
    }

    fn new(config: &PreprocessorConfig, image_size: usize, path: &Path) -> Result<Self> {
        let check = ConfigCheck::new(path);
        for (field, on) in
            [("do_resize", config.do_resize), ("do_rescale", config.do_rescale), ("do_normalize", config.do_normalize)]
        {
            check.on(field, on)?;
        }
        check.range("resample", config.resample, &(BICUBIC..=BICUBIC))?;
        if config.size.height != image_size || config.size.width != image_size {
            let problem = format!(
                "{}x{} does not fit the image encoder's image_size; expected {image_size}x{image_size}",
                config.size.width, config.size.height
            );
            return Err(check.refuse("size", problem));
        }
        let tables = PixelTables::new(&check, config.rescale_factor, config.image_mean, config.image_std)?;
        Ok(Self { side: image_size, tables })
    }

    /// The size that a picture must be resized to first: a square, whatever its shape was, with Pillow's bicubic filter.
    pub fn size(&self) -> Size {
        Size::new(self.side as u32, self.side as u32)
    }

    /// Normalised planes `[3, side, side]` of a picture of [`SiglipPreprocessor::size`].
    ///
    /// # Errors
    /// [`Error::Internal`] when the picture has another size.
    pub fn planes(&self, picture: &Picture) -> Result<Vec<f32>> {
        if (picture.width() as usize, picture.height() as usize) != (self.side, self.side) {
            return Err(Error::internal(format!("{picture:?} is not resized to {}", self.size())));
        }
        Ok(self.tables.planes(picture))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str, image_size: usize) -> Result<SiglipPreprocessor> {
        SiglipPreprocessor::new(&serde_json::from_str(json).unwrap(), image_size, Path::new("x"))
    }

    #[test]
    fn bytes_become_planes() {
        let json =
            r#"{"size": {"height": 2, "width": 2}, "image_mean": [0.5, 0.0, 0.5], "image_std": [0.5, 1.0, 0.25]}"#;
        let picture = Picture::from_rgb(2, 2, vec![0, 255, 51, 255, 0, 255, 0, 0, 0, 102, 0, 0]).unwrap();
        let planes = read(json, 2).unwrap().planes(&picture).unwrap();
        let expected = [-1.0, 1.0, -1.0, -0.2, 1.0, 0.0, 0.0, 0.0, -1.2, 2.0, -2.0, -2.0];
        assert!(planes.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{planes:?}");
        assert!(read(json, 2).unwrap().planes(&Picture::from_rgb(1, 4, vec![0; 12]).unwrap()).is_err());
    }

    #[test]
    fn unusable_settings_are_named() {
        for (json, expected) in [
            (r#"{"resample": 2}"#, "x: resample: 2 is not supported; expected 3"),
            (r#"{"do_normalize": false}"#, "x: do_normalize: false is not supported; expected true"),
            (r#"{"image_std": [0.5, 0.0, 0.5]}"#, "x: image_std: 0 is out of range"),
            (r#"{"size": {"height": 224, "width": 384}}"#, "x: size: 384x224 does not fit"),
        ] {
            let message = read(json, 224).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
