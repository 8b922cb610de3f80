//! Colours of an ICC profile to sRGB, as Pillow's `ImageCms` converts them: perceptual intent, no compensation of black.
//!
//! A profile that is broken, of another colour space than the samples, or close to sRGB leaves the picture as it is.

use super::inks::InkGrid;
use super::samples::Samples;
use moxcms::{
    BarycentricWeightScale, ColorProfile, DataColorSpace, InterpolationMethod, Layout, ProfileText, ProfileVersion,
    RenderingIntent, Transform8BitExecutor, TransformOptions,
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
    let prepared = catch_unwind(AssertUnwindSafe(|| ProfileConversion::new(profile, &samples))).ok().flatten();
    match prepared {
        Some(conversion) => (conversion.apply(samples), Some(conversion.name)),
        None => (samples, None),
    }
}

/// How much light the darkest colour of a profile is, which Little CMS moves to none: sRGB as it makes it is a profile of
/// version 4, and for these it compensates black in the perceptual intent.
struct Black(f32);

impl Black {
    /// From what the darkest colour of the profile's devices becomes in sRGB.
    fn new(profile: &ColorProfile, darkest: [f32; 3]) -> Self {
        // The perceptual black of version 4, and the lightest black that is believed (a lightness of 50).
        const OF_VERSION_4: f32 = 0.003_473;
        const LIGHTEST: f32 = 0.184;
        let table = profile.lut_a_to_b_perceptual.is_some();
        if table && profile.version() >= ProfileVersion::V4_0 {
            return Self(OF_VERSION_4);
        }
        let [red, green, blue] = darkest.map(to_light);
        Self((0.2225 * red + 0.7169 * green + 0.0606 * blue).clamp(0.0, LIGHTEST))
    }

    /// A level of sRGB from 0 to 1 after the move.
    fn moved(&self, level: f32) -> f32 {
        to_level(((to_light(level) - self.0) / (1.0 - self.0)).clamp(0.0, 1.0))
    }
}

/// sRGB's curve from levels to light, both from 0 to 1.
fn to_light(level: f32) -> f32 {
    if level <= 0.040_45 { level / 12.92 } else { ((level + 0.055) / 1.055).powf(2.4) }
}

/// The other way.
fn to_level(light: f32) -> f32 {
    if light <= 0.003_130_8 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 }
}

struct ProfileConversion {
    kind: ConversionKind,
    name: String,
}

enum ConversionKind {
    /// Colour of each level of grey.
    Grey(Vec<[u8; 3]>),
    /// And what the levels become after that, when black moves.
    Color(Arc<Transform8BitExecutor>, Option<Vec<u8>>),
    Inks(InkGrid),
}

impl ProfileConversion {
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
        let srgb = ColorProfile::new_srgb();
        if let Samples::Cmyk(_) = samples {
            let transform = profile.create_transform_f32(layout, &srgb, target, options).ok()?;
            let mut darkest = [0.0; 3];
            transform.transform(&[1.0; 4], &mut darkest).ok()?;
            let black = Black::new(&profile, darkest);
            let grid = InkGrid::new(|inks, colors| {
                transform.transform(inks, colors).ok()?;
                for level in colors.iter_mut() {
                    *level = black.moved(*level);
                }
                Some(())
            })?;
            return Some(Self { kind: ConversionKind::Inks(grid), name: name(&profile) });
        }
        let transform = profile.create_transform_8bit(layout, &srgb, target, options).ok()?;
        let kind = match samples {
            Samples::Grey(_) | Samples::GreyAlpha(_) => ConversionKind::Grey(greys(&*transform)?),
            _ => {
                if !changes_colors(&*transform, layout)? {
                    return None;
                }
                let moved = moved_levels(&profile, &*transform, layout);
                ConversionKind::Color(transform, moved)
            }
        };
        Some(Self { kind, name: name(&profile) })
    }

    fn apply(&self, samples: Samples) -> Samples {
        match (&self.kind, samples) {
            (ConversionKind::Grey(colors), Samples::Grey(samples)) => {
                Samples::Rgb(samples.iter().flat_map(|grey| colors[usize::from(*grey)]).collect())
            }
            (ConversionKind::Grey(colors), Samples::GreyAlpha(samples)) => {
                let (pixels, _) = samples.as_chunks::<2>();
                let rgba = pixels.iter().flat_map(|[grey, alpha]| {
                    let [red, green, blue] = colors[usize::from(*grey)];
                    [red, green, blue, *alpha]
                });
                Samples::Rgba(rgba.collect())
            }
            (ConversionKind::Color(transform, moved), Samples::Rgb(samples)) => {
                Samples::Rgb(in_place::<3>(&**transform, moved.as_deref(), samples))
            }
            (ConversionKind::Color(transform, moved), Samples::Rgba(samples)) => {
                Samples::Rgba(in_place::<4>(&**transform, moved.as_deref(), samples))
            }
            (ConversionKind::Inks(grid), Samples::Cmyk(samples)) => Samples::Rgb(grid.convert(samples)),
            (_, samples) => samples,
        }
    }
}

/// Converts pixels to such of the same length, the fourth channel of which stays.
fn in_place<const CHANNELS: usize>(
    transform: &Transform8BitExecutor,
    moved: Option<&[u8]>,
    mut samples: Vec<u8>,
) -> Vec<u8> {
    samples.par_chunks_mut(CHANNELS * PIXELS_PER_TASK).for_each_init(Vec::new, |before, samples| {
        before.clear();
        before.extend_from_slice(samples);
        // It was tried out with this layout; a piece that fails all the same keeps its colours.
        let _ = transform.transform(before, samples);
        let Some(moved) = moved else { return };
        for pixel in samples.as_chunks_mut::<CHANNELS>().0 {
            pixel[..3].iter_mut().for_each(|level| *level = moved[usize::from(*level)]);
        }
    });
    samples
}

/// What each level becomes when the black of a profile with a table is moved; `None` when nothing does.
fn moved_levels(profile: &ColorProfile, transform: &Transform8BitExecutor, layout: Layout) -> Option<Vec<u8>> {
    profile.lut_a_to_b_perceptual.as_ref()?;
    let channels = if layout == Layout::Rgba { 4 } else { 3 };
    let mut darkest = [0; 4];
    transform.transform(&[0; 4][..channels], &mut darkest[..channels]).ok()?;
    let [red, green, blue, _] = darkest.map(|level| f32::from(level) / 255.0);
    let black = Black::new(profile, [red, green, blue]);
    let moved: Vec<u8> =
        (0..=u8::MAX).map(|level| (black.moved(f32::from(level) / 255.0) * 255.0 + 0.5) as u8).collect();
    moved.iter().zip(0..=u8::MAX).any(|(moved, level)| *moved != level).then_some(moved)
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
