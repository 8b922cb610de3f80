//! Colours of an ICC profile to sRGB, as Pillow's `ImageCms` converts them: perceptual intent, no compensation of black.
//!
//! A profile that is broken, of another colour space than the samples, or close to sRGB leaves the picture as it is.

use super::samples::Samples;
use moxcms::{
    BarycentricWeightScale, ColorProfile, DataColorSpace, InterpolationMethod, Layout, ProfileText, RenderingIntent,
    Transform8BitExecutor, TransformOptions,
};
use rayon::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Levels by which a conversion must change some colour to be worth it, and to be reported.
const LEAST_CHANGE: u8 = 2;

/// Pixels that one thread converts at a time.
const PIXELS_PER_TASK: usize = 1 << 14;

/// Longest name of a profile that is reported, in characters.
const NAME_LENGTH: usize = 60;

/// Converts the samples to sRGB when `profile` says that they are something else, and returns the profile's name.
pub(super) fn convert(samples: Samples, profile: &[u8]) -> (Samples, Option<String>) {
    // Nothing of a picture is changed before the conversion is known to work.
    let prepared = catch_unwind(AssertUnwindSafe(|| Conversion::new(profile, &samples))).ok().flatten();
    match prepared {
        Some(conversion) => (conversion.apply(samples), Some(conversion.name)),
        None => (samples, None),
    }
}

struct Conversion {
    kind: Kind,
    name: String,
}

enum Kind {
    /// Colour of each level of grey.
    Grey(Vec<[u8; 3]>),
    Color(Arc<Transform8BitExecutor>),
}

impl Conversion {
    fn new(profile: &[u8], samples: &Samples) -> Option<Self> {
        let profile = ColorProfile::new_from_slice(profile).ok()?;
        let (space, layout) = match samples {
            Samples::Grey(_) | Samples::GreyAlpha(_) => (DataColorSpace::Gray, Layout::Gray),
            Samples::Rgb(_) => (DataColorSpace::Rgb, Layout::Rgb),
            Samples::Rgba(_) => (DataColorSpace::Rgb, Layout::Rgba),
            Samples::Cmyk(_) => (DataColorSpace::Cmyk, Layout::Rgba),
        };
        if profile.color_space != space {
            return None;
        }
        let target = if matches!(samples, Samples::Rgba(_)) { Layout::Rgba } else { Layout::Rgb };
        let options = TransformOptions {
            rendering_intent: RenderingIntent::Perceptual,
            allow_use_cicp_transfer: false,
            prefer_fixed_point: false,
            interpolation_method: InterpolationMethod::Tetrahedral,
            barycentric_weight_scale: BarycentricWeightScale::High,
        };
        let transform = profile.create_transform_8bit(layout, &ColorProfile::new_srgb(), target, options).ok()?;
        let kind = match samples {
            Samples::Grey(_) | Samples::GreyAlpha(_) => Kind::Grey(greys(&*transform)?),
            Samples::Rgb(_) | Samples::Rgba(_) => {
                if !changes_colors(&*transform, layout)? {
                    return None;
                }
                Kind::Color(transform)
            }
            Samples::Cmyk(_) => {
                // Tried out once: from here on nothing can fail.
                transform.transform(&[0; 4], &mut [0; 3]).ok()?;
                Kind::Color(transform)
            }
        };
        Some(Self { kind, name: name(&profile) })
    }

    fn apply(&self, samples: Samples) -> Samples {
        match (&self.kind, samples) {
            (Kind::Grey(colors), Samples::Grey(samples)) => {
                Samples::Rgb(samples.iter().flat_map(|grey| colors[usize::from(*grey)]).collect())
            }
            (Kind::Grey(colors), Samples::GreyAlpha(samples)) => {
                let (pixels, _) = samples.as_chunks::<2>();
                let rgba = pixels.iter().flat_map(|[grey, alpha]| {
                    let [red, green, blue] = colors[usize::from(*grey)];
                    [red, green, blue, *alpha]
                });
                Samples::Rgba(rgba.collect())
            }
            (Kind::Color(transform), Samples::Rgb(samples)) => Samples::Rgb(in_place::<3>(&**transform, samples)),
            (Kind::Color(transform), Samples::Rgba(samples)) => Samples::Rgba(in_place::<4>(&**transform, samples)),
            (Kind::Color(transform), Samples::Cmyk(samples)) => Samples::Rgb(from_inks(&**transform, samples)),
            (_, samples) => samples,
        }
    }
}

/// Converts pixels to such of the same length.
fn in_place<const CHANNELS: usize>(transform: &Transform8BitExecutor, mut samples: Vec<u8>) -> Vec<u8> {
    samples.par_chunks_mut(CHANNELS * PIXELS_PER_TASK).for_each_init(Vec::new, |before, samples| {
        before.clear();
        before.extend_from_slice(samples);
        // It was tried out with this layout; a piece that fails all the same keeps its colours.
        let _ = transform.transform(before, samples);
    });
    samples
}

/// Converts pixels of four bytes to such of three, at the front of the same memory.
fn from_inks(transform: &Transform8BitExecutor, mut samples: Vec<u8>) -> Vec<u8> {
    let pixels = samples.len() / 4;
    let mut rgb = vec![0; 3 * PIXELS_PER_TASK.min(pixels)];
    for start in (0..pixels).step_by(PIXELS_PER_TASK) {
        let count = PIXELS_PER_TASK.min(pixels - start);
        let _ = transform.transform(&samples[4 * start..4 * (start + count)], &mut rgb[..3 * count]);
        samples[3 * start..3 * (start + count)].copy_from_slice(&rgb[..3 * count]);
    }
    samples.truncate(3 * pixels);
    samples
}

/// What becomes of each grey; `None` when next to nothing does.
fn greys(transform: &Transform8BitExecutor) -> Option<Vec<[u8; 3]>> {
    let levels: Vec<u8> = (0..=u8::MAX).collect();
    let mut colors = vec![0; 3 * levels.len()];
    transform.transform(&levels, &mut colors).ok()?;
    let (colors, _) = colors.as_chunks::<3>();
    let changes =
        levels.iter().zip(colors).any(|(grey, color)| color.iter().any(|level| level.abs_diff(*grey) >= LEAST_CHANGE));
    changes.then(|| colors.to_vec())
}

/// Whether any colour of a grid over all of them changes visibly.
fn changes_colors(transform: &Transform8BitExecutor, layout: Layout) -> Option<bool> {
    let steps = || (0..=u8::MAX).step_by(15);
    let mut colors = Vec::new();
    for red in steps() {
        for green in steps() {
            for blue in steps() {
                colors.extend([red, green, blue]);
                if layout == Layout::Rgba {
                    colors.push(u8::MAX);
                }
            }
        }
    }
    let mut converted = vec![0; colors.len()];
    transform.transform(&colors, &mut converted).ok()?;
    Some(colors.iter().zip(&converted).any(|(before, after)| before.abs_diff(*after) >= LEAST_CHANGE))
}

/// The description of a profile, without characters that could break a line.
fn name(profile: &ColorProfile) -> String {
    let text = match &profile.description {
        Some(ProfileText::PlainString(text)) => text.as_str(),
        Some(ProfileText::Localizable(all)) => all.first().map_or("", |one| one.value.as_str()),
        Some(ProfileText::Description(description)) => {
            if description.ascii_string.is_empty() {
                description.unicode_string.as_str()
            } else {
                description.ascii_string.as_str()
            }
        }
        None => "",
    };
    let text: String = text.chars().filter(|character| !character.is_control()).take(NAME_LENGTH).collect();
    let text = text.trim();
    if text.is_empty() { "a profile without a name".to_owned() } else { text.to_owned() }
}
