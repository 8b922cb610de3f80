//! `preprocessor_config.json` of transformers' image processors: from a picture of any size to a network's input.

use crate::bundle::Bundle;
use crate::config::check::ConfigCheck;
use crate::models::PixelTables;
use afterimage_core::{Error, Picture, Result, Size};
use afterimage_imaging::{Filter, resize_part};
use serde::Deserialize;
use std::path::Path;

/// What an image processor does where the file does not say it.
pub(super) struct Defaults {
    /// What the names of transformers' image processors for this network start with.
    pub processor: &'static str,
    pub resample: usize,
    pub image_mean: [f64; 3],
    pub image_std: [f64; 3],
    /// Whether a single number for `size` is the shorter side, whose middle is cut out, instead of both sides.
    pub center_crop: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Stated {
    image_processor_type: Option<String>,
    feature_extractor_type: Option<String>,
    do_resize: Option<bool>,
    do_center_crop: Option<bool>,
    do_rescale: Option<bool>,
    do_normalize: Option<bool>,
    size: Option<TargetSides>,
    crop_size: Option<TargetSides>,
    resample: Option<usize>,
    rescale_factor: Option<f64>,
    image_mean: Option<[f64; 3]>,
    image_std: Option<[f64; 3]>,
}

/// Files older than 2022 have a number.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a number, height and width, or shortest_edge")]
enum TargetSides {
    One(usize),
    Shortest { shortest_edge: usize },
    Both { height: usize, width: usize },
}

/// Turns pictures into planes.
#[derive(Clone, Debug)]
pub(super) struct Preprocessor {
    resize: Resize,
    filter: Filter,
    /// The middle that is cut out has this side.
    side: u32,
    tables: PixelTables,
}

#[derive(Clone, Copy, Debug)]
enum Resize {
    /// To this size, whatever the shape was.
    Squash(Size),
    /// The shorter side to this many pixels, the other along with it.
    Shorter(u32),
}

impl Preprocessor {
    /// Reads and checks `preprocessor_config.json` of `folder`; `image_size` is the network's.
    ///
    /// # Errors
    /// [`Error::ModelFile`] naming the field that cannot be used and what would be right.
    pub fn read(folder: &Bundle, defaults: &Defaults, image_size: usize) -> Result<Self> {
        let name = "preprocessor_config.json";
        Self::new(&folder.json(name)?, defaults, image_size, &folder.path(name))
    }

    fn new(stated: &Stated, defaults: &Defaults, image_size: usize, path: &Path) -> Result<Self> {
        let check = ConfigCheck::new(path);
        let types = [
            ("image_processor_type", &stated.image_processor_type),
            ("feature_extractor_type", &stated.feature_extractor_type),
        ];
        for (field, name) in types {
            if let Some(name) = name.as_ref().filter(|name| !name.starts_with(defaults.processor)) {
                let expected = defaults.processor;
                return Err(
                    check.refuse(field, format!("{name} belongs to another model; expected {expected}ImageProcessor"))
                );
            }
        }
        check.on("do_resize", stated.do_resize.unwrap_or(true))?;
        check.on("do_rescale", stated.do_rescale.unwrap_or(true))?;
        check.on("do_normalize", stated.do_normalize.unwrap_or(true))?;
        let filter = match stated.resample.unwrap_or(defaults.resample) {
            1 => Filter::Lanczos,
            2 => Filter::Bilinear,
            3 => Filter::Bicubic,
            other => {
                let problem = format!("{other} is not supported; expected 1 (Lanczos), 2 (bilinear) or 3 (bicubic)");
                return Err(check.refuse("resample", problem));
            }
        };
        let resize = match stated.size.unwrap_or(TargetSides::One(image_size)) {
            TargetSides::Both { height, width } => {
                Resize::Squash(Size::new(side(&check, width)?, side(&check, height)?))
            }
            TargetSides::One(number) if !defaults.center_crop => {
                let number = side(&check, number)?;
                Resize::Squash(Size::new(number, number))
            }
            TargetSides::One(number) | TargetSides::Shortest { shortest_edge: number } => {
                Resize::Shorter(side(&check, number)?)
            }
        };
        let crop = stated.do_center_crop.unwrap_or(defaults.center_crop);
        let cropped = match (stated.crop_size.unwrap_or(TargetSides::One(image_size)), resize) {
            (TargetSides::One(number), _) if crop => [number; 2],
            (TargetSides::Both { height, width }, _) if crop => [width, height],
            (_, Resize::Squash(size)) if !crop => [size.width as usize, size.height as usize],
            (TargetSides::Shortest { .. }, _) if crop => {
                return Err(check.refuse("crop_size", "expected a number, or height and width"));
            }
            _ => {
                return Err(
                    check.refuse("do_center_crop", "false is not supported beside shortest_edge; expected true")
                );
            }
        };
        if cropped != [image_size; 2] {
            let [width, height] = cropped;
            let field = if crop { "crop_size" } else { "size" };
            let problem =
                format!("{width}x{height} does not fit the network's image_size; expected {image_size}x{image_size}");
            return Err(check.refuse(field, problem));
        }
        let smallest = match resize {
            Resize::Squash(size) => size.width.min(size.height),
            Resize::Shorter(side) => side,
        };
        if (smallest as usize) < image_size {
            let problem = format!("{smallest} is smaller than what is cut out of it; expected {image_size} or more");
            return Err(check.refuse("size", problem));
        }
        let factor = stated.rescale_factor.unwrap_or(1.0 / 255.0);
        let mean = stated.image_mean.unwrap_or(defaults.image_mean);
        let tables = PixelTables::new(&check, factor, mean, stated.image_std.unwrap_or(defaults.image_std))?;
        Ok(Self { resize, filter, side: image_size as u32, tables })
    }

    /// Normalised planes `[3, side, side]`.
    ///
    /// # Errors
    /// [`Error::Internal`] for a picture so thin that its longer side cannot be counted.
    pub fn planes(&self, picture: &Picture) -> Result<Vec<f32>> {
        let size = match self.resize {
            Resize::Squash(size) => size,
            Resize::Shorter(side) => with_shorter_side(picture.size(), side)
                .ok_or_else(|| Error::internal(format!("{picture:?} is too thin to be enlarged")))?,
        };
        let corner = [(size.width - self.side) / 2, (size.height - self.side) / 2];
        let middle = resize_part(picture, size, corner, Size::new(self.side, self.side), self.filter)?;
        Ok(self.tables.planes(&middle))
    }
}

/// A side in pixels that pictures are resized to.
fn side(check: &ConfigCheck, side: usize) -> Result<u32> {
    check.range("size", side, &(1..=8192))?;
    Ok(side as u32)
}

/// The size whose shorter side is `side`, the longer one cut to whole pixels, as transformers does it.
fn with_shorter_side(size: Size, side: u32) -> Option<Size> {
    let (shorter, longer) = (size.width.min(size.height), size.width.max(size.height));
    let longer = u32::try_from(u64::from(side) * u64::from(longer) / u64::from(shorter)).ok()?;
    Some(if size.width <= size.height { Size::new(side, longer) } else { Size::new(longer, side) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIP: Defaults =
        Defaults { processor: "CLIP", resample: 3, image_mean: [0.0; 3], image_std: [1.0; 3], center_crop: true };
    const VIT: Defaults = Defaults { processor: "ViT", resample: 2, center_crop: false, ..CLIP };

    fn read(json: &str, defaults: &Defaults) -> Result<Preprocessor> {
        Preprocessor::new(&serde_json::from_str(json).unwrap(), defaults, 8, Path::new("x"))
    }

    #[test]
    fn old_and_new_files_mean_the_same() {
        let picture = Picture::from_rgb(20, 11, (0..660).map(|value| (value * 7 % 256) as u8).collect()).unwrap();
        let planes = |json: &str, defaults| read(json, defaults).unwrap().planes(&picture).unwrap();
        let new = planes(r#"{"size": {"shortest_edge": 8}, "crop_size": {"height": 8, "width": 8}}"#, &CLIP);
        assert_eq!(new.len(), 3 * 8 * 8);
        assert_eq!(new, planes(r#"{"size": 8, "crop_size": 8, "do_center_crop": true}"#, &CLIP));
        assert_eq!(new, planes("{}", &CLIP));
        let squashed = planes(r#"{"size": {"height": 8, "width": 8}}"#, &VIT);
        assert_eq!(squashed, planes(r#"{"size": 8, "resample": 2}"#, &VIT));
        assert_ne!(squashed, planes(r#"{"size": 8, "resample": 3}"#, &VIT));
        assert_ne!(squashed, planes(r#"{"size": 8, "resample": 1}"#, &VIT));
    }

    #[test]
    fn longer_sides_are_cut_to_whole_pixels() {
        let sizes = [(640, 427), (427, 640), (4096, 1), (7, 7)].map(|(width, height)| Size::new(width, height));
        let resized = sizes.map(|size| with_shorter_side(size, 224).unwrap());
        let expected = [(335, 224), (224, 335), (917_504, 224), (224, 224)];
        assert_eq!(resized, expected.map(|(width, height)| Size::new(width, height)));
        assert!(with_shorter_side(Size::new(1, u32::MAX), 224).is_none());
    }

    #[test]
    fn unusable_settings_are_named() {
        for (json, defaults, expected) in [
            (r#"{"resample": 0}"#, &VIT, "x: resample: 0 is not supported; expected 1 (Lanczos), 2 (bilinear)"),
            (r#"{"do_resize": false}"#, &VIT, "x: do_resize: false is not supported; expected true"),
            (r#"{"size": {"height": 8, "width": 9}}"#, &VIT, "x: size: 9x8 does not fit the network's image_size"),
            (r#"{"size": 9}"#, &VIT, "x: size: 9x9 does not fit"),
            (r#"{"size": 0}"#, &CLIP, "x: size: 0 is out of range; expected 1 to 8192"),
            (r#"{"size": 7}"#, &CLIP, "x: size: 7 is smaller than what is cut out of it; expected 8 or more"),
            (r#"{"crop_size": 9}"#, &CLIP, "x: crop_size: 9x9 does not fit"),
            (r#"{"crop_size": {"shortest_edge": 8}}"#, &CLIP, "x: crop_size: expected a number"),
            (r#"{"do_center_crop": false}"#, &CLIP, "x: do_center_crop: false is not supported beside"),
            (
                r#"{"image_processor_type": "ViTImageProcessor"}"#,
                &CLIP,
                "x: image_processor_type: ViTImageProcessor belongs",
            ),
            (r#"{"feature_extractor_type": "CLIPFeatureExtractor"}"#, &VIT, "expected ViTImageProcessor"),
            (r#"{"image_std": [1, 0, 1]}"#, &VIT, "x: image_std: 0 is out of range"),
            (r#"{"rescale_factor": -1}"#, &VIT, "x: rescale_factor: -1 is out of range"),
        ] {
            let message = read(json, defaults).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
