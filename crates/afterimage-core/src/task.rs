//! What to do with the input pictures, and with which settings.

use crate::range::{check_range, out_of_range};
use crate::{Error, Field, MaskReading, Result, limits};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// The things the engine can do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// FLUX Redux: new pictures in the likeness of one or several inputs.
    Variation(VariationSettings),
    /// Starts from one input picture with noise added.
    ImageToImage {
        /// 0..=1: share of the schedule that runs. 1 ignores the input; 0 leaves no step, so that the result is the
        /// input at the output size.
        strength: f64,
    },
    /// Image-to-image of the part of one picture that a mask names.
    Inpaint(InpaintSettings),
    /// From the prompt alone.
    TextToImage,
}

/// How the input pictures of a variation steer it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VariationSettings {
    /// Weight of each input, in their order; empty: each 1 for one picture, 1/n for n. The text and image tokens and
    /// the pooled vectors are multiplied by the weights and summed, as diffusers' `prompt_embeds_scale` does.
    pub image_weights: Vec<f64>,
    /// What an absent prompt feeds.
    pub empty_prompt: EmptyPrompt,
    /// 0..=1: attention weight of the image tokens against text and latents; 0 drops them.
    pub redux_strength: f64,
    /// Parts of the run that have a strength of their own, at most 8 that do not overlap; `redux_strength` holds between
    /// them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redux_spans: Vec<StrengthSpan>,
    /// 1..=9: the image tokens' grid is shrunk to side / factor, rounded half to even.
    pub redux_downsample: f64,
    /// 0..=1: share of the schedule that runs from the picture in the role of [`crate::PictureRole::Start`]; given exactly when
    /// there is one. 0 leaves no step, 1 starts from noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_strength: Option<f64>,
}

impl Default for VariationSettings {
    fn default() -> Self {
        Self {
            image_weights: Vec::new(),
            empty_prompt: EmptyPrompt::Encode,
            redux_strength: 1.0,
            redux_spans: Vec::new(),
            redux_downsample: 1.0,
            start_strength: None,
        }
    }
}

/// A strength of the image tokens for some of the steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StrengthSpan {
    /// Share of the steps that run before it, 0 up to `end`.
    pub start: f64,
    /// Share of the steps up to its end, at most 1. A step belongs to the span in which it begins.
    pub end: f64,
    /// 0..=1, as [`VariationSettings::redux_strength`].
    pub strength: f64,
}

impl FromStr for StrengthSpan {
    type Err = String;

    /// `STRENGTH@START:END`, such as `0.4@0.5:1`.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| (0.0..=1.0).contains(number));
        let read = || {
            let (strength, span) = text.split_once('@')?;
            let (start, end) = span.split_once(':')?;
            Some(Self { start: number(start)?, end: number(end)?, strength: number(strength)? })
        };
        let span = read().filter(|span| span.start < span.end);
        let shown = crate::shortened(text);
        span.ok_or_else(|| format!("{shown:?} is no strength of a part of the run; expected STRENGTH@START:END such as 0.4@0.5:1, all from 0 to 1"))
    }
}

/// Which part of the picture is painted anew, and how.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct InpaintSettings {
    /// 0..=1, as image-to-image's: how far the masked part may go from what is there.
    pub strength: f64,
    /// How the mask's file is understood.
    #[serde(default)]
    pub mask_reading: MaskReading,
    /// 0..=256: radius in pixels of the mask by which it is blurred first, as Pillow's `GaussianBlur` does.
    #[serde(default)]
    pub mask_blur: f64,
    /// `Some`: only the masked region is worked on, enlarged to the output size, with this many pixels of its
    /// surroundings, 0..=4096; diffusers' `padding_mask_crop`. The result then has the size of the picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop_padding: Option<u32>,
    /// Whether the picture's own pixels are laid over the result where the mask is black. Greys blend.
    pub keep_outside: bool,
}

impl Default for InpaintSettings {
    fn default() -> Self {
        Self {
            strength: 0.8,
            mask_reading: MaskReading::Brightness,
            mask_blur: 0.0,
            crop_padding: None,
            keep_outside: true,
        }
    }
}

/// What an absent prompt feeds into the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum EmptyPrompt {
    /// The encoded empty text, as Black Forest Labs and hosted services do.
    #[default]
    Encode,
    /// Zeros, as diffusers without text encoders does; loads no text encoder and is faster.
    ///
    /// Both for the text tokens and the pooled vector.
    Zeros,
}

impl Task {
    /// Share of the schedule that runs, where a picture takes the place of the rest.
    pub const fn strength(&self) -> Option<f64> {
        match self {
            Self::Variation(settings) => settings.start_strength,
            Self::ImageToImage { strength } => Some(*strength),
            Self::Inpaint(settings) => Some(settings.strength),
            Self::TextToImage => None,
        }
    }
}

impl VariationSettings {
    /// The strength of the image tokens in the step that begins when `done` (0 up to 1) of the steps have run.
    pub fn strength_at(&self, done: f64) -> f64 {
        let span = self.redux_spans.iter().find(|span| (span.start..span.end).contains(&done));
        span.map_or(self.redux_strength, |span| span.strength)
    }

    /// Whether the pictures are of any weight in any step.
    pub fn uses_pictures(&self) -> bool {
        let strengths = self.redux_spans.iter().map(|span| span.strength);
        strengths.chain([self.redux_strength]).any(|strength| strength > 0.0)
    }

    /// Checks every setting for `pictures` input pictures, of which one is the start if `with_start`.
    ///
    /// # Errors
    /// [`Error::Field`] for the first that is out of range.
    pub(crate) fn check(&self, pictures: usize, with_start: bool) -> Result<()> {
        if !limits::SOURCES.contains(&pictures) {
            return Err(out_of_range(Field::Image, format!("{pictures} pictures"), &limits::SOURCES));
        }
        check_range(Field::ReduxStrength, self.redux_strength, &limits::REDUX_STRENGTH)?;
        self.check_spans()?;
        check_range(Field::ReduxDownsample, self.redux_downsample, &limits::REDUX_DOWNSAMPLE)?;
        match self.start_strength {
            Some(strength) if with_start => check_range(Field::Strength, strength, &limits::STRENGTH)?,
            Some(_) => {
                let problem = "a variation has a strength only when it starts from a picture; name one";
                return Err(Error::field(Field::Strength, problem));
            }
            None if with_start => {
                return Err(Error::field(Field::Strength, "missing; a picture to start from needs it"));
            }
            None => {}
        }
        let weights = &self.image_weights;
        if !weights.is_empty() && weights.len() != pictures {
            let weights = weights.len();
            let problem = format!("{weights} weights for {pictures} pictures; give one for each picture or none");
            return Err(Error::field(Field::ImageWeight, problem));
        }
        weights.iter().try_for_each(|weight| check_range(Field::ImageWeight, *weight, &limits::IMAGE_WEIGHT))
    }

    fn check_spans(&self) -> Result<()> {
        let (spans, most) = (&self.redux_spans, *limits::REDUX_SPANS.end());
        if spans.len() > most {
            let problem = format!("{} parts of the run; at most {most} can have a strength of their own", spans.len());
            return Err(Error::field(Field::ReduxSpans, problem));
        }
        for (index, span) in spans.iter().enumerate() {
            let StrengthSpan { start, end, strength } = *span;
            if !(0.0 <= start && start < end && end <= 1.0) {
                let problem =
                    format!("{start}:{end} is no part of the run; it begins at 0 or later, ends at 1 or before");
                return Err(Error::field(Field::ReduxSpans, problem));
            }
            if let Some(other) = spans[..index].iter().find(|other| other.start < end && start < other.end) {
                let problem = format!("{start}:{end} overlaps {}:{}", other.start, other.end);
                return Err(Error::field(Field::ReduxSpans, problem));
            }
            check_range(Field::ReduxSpans, strength, &limits::REDUX_STRENGTH)?;
        }
        Ok(())
    }
}

impl InpaintSettings {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Field`] for the first that is out of range.
    pub(crate) fn check(&self) -> Result<()> {
        check_range(Field::Strength, self.strength, &limits::STRENGTH)?;
        check_range(Field::MaskBlur, self.mask_blur, &limits::MASK_BLUR)?;
        self.crop_padding.map_or(Ok(()), |padding| check_range(Field::CropPadding, padding, &limits::CROP_PADDING))
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "strengths are taken as they are")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with_spans(spans: &[[f64; 3]]) -> VariationSettings {
        let span = |[start, end, strength]: &[f64; 3]| StrengthSpan { start: *start, end: *end, strength: *strength };
        VariationSettings { redux_spans: spans.iter().map(span).collect(), ..VariationSettings::default() }
    }

    #[test]
    fn a_step_has_the_strength_of_the_span_in_which_it_begins() {
        let settings = with_spans(&[[0.5, 1.0, 0.25], [0.0, 0.25, 0.0]]);
        let found = [0.0, 0.24, 0.25, 0.49, 0.5, 0.99].map(|done| settings.strength_at(done));
        assert_eq!(found, [0.0, 0.0, 1.0, 1.0, 0.25, 0.25]);
        assert!(settings.uses_pictures() && settings.check(1, false).is_ok());
        let silent = VariationSettings { redux_strength: 0.0, ..with_spans(&[[0.0, 0.5, 0.0]]) };
        assert!(!silent.uses_pictures());
    }

    #[test]
    fn spans_are_written_as_on_the_command_line() {
        let span = |start, end, strength| Ok(StrengthSpan { start, end, strength });
        assert_eq!("0.4@0.5:1".parse(), span(0.5, 1.0, 0.4));
        assert_eq!(" 1 @ 0 : 0.25 ".parse(), span(0.0, 0.25, 1.0));
        for bad in ["", "0.4", "@0:1", "0.4@1:0", "0.4@0:2", "2@0:1", "a@0:1", "0.4@0.5", "NaN@0:1", "0.4@0:1:2"] {
            assert!(bad.parse::<StrengthSpan>().is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_lie_within_the_run_and_apart() {
        for bad in [
            &[[0.5, 0.5, 1.0]][..],
            &[[-0.1, 0.5, 1.0]],
            &[[0.5, 1.1, 1.0]],
            &[[f64::NAN, 1.0, 1.0]],
            &[[0.0, 1.0, 1.5]],
            &[[0.0, 0.5, 1.0], [0.4, 0.6, 1.0]],
            &[[0.4, 0.6, 1.0], [0.0, 1.0, 1.0]],
        ] {
            let error = with_spans(bad).check(1, false).unwrap_err();
            assert!(matches!(error, Error::Field { field: Field::ReduxSpans, .. }), "{bad:?}: {error}");
        }
        let nine: Vec<[f64; 3]> =
            (0..9).map(|index| [f64::from(index) / 9.0, f64::from(index + 1) / 9.0, 0.5]).collect();
        assert!(with_spans(&nine).check(1, false).is_err() && with_spans(&nine[..8]).check(1, false).is_ok());
    }

    #[test]
    fn a_strength_and_a_start_belong_together() {
        let with = |start_strength| VariationSettings { start_strength, ..VariationSettings::default() };
        assert!(with(Some(0.5)).check(1, true).is_ok() && with(None).check(1, false).is_ok());
        for (settings, with_start) in [(with(Some(0.5)), false), (with(None), true), (with(Some(1.5)), true)] {
            let error = settings.check(1, with_start).unwrap_err();
            assert!(matches!(error, Error::Field { field: Field::Strength, .. }), "{error}");
        }
    }

    #[test]
    fn requests_of_earlier_versions_are_read() {
        let earlier = r#"{"image_weights":[],"empty_prompt":"encode","redux_strength":1.0,"redux_downsample":1.0}"#;
        assert_eq!(serde_json::from_str::<VariationSettings>(earlier).unwrap(), VariationSettings::default());
        assert_eq!(
            serde_json::to_string(&VariationSettings::default()).unwrap(),
            earlier,
            "and say no more than before"
        );
    }

    proptest! {
        #[test]
        fn every_step_has_one_of_the_strengths(cut in 0.01_f64..0.99, done in 0.0_f64..1.0) {
            let settings = with_spans(&[[0.0, cut, 0.25], [cut, 1.0, 0.75]]);
            prop_assert!(settings.check(1, false).is_ok());
            prop_assert_eq!(settings.strength_at(done), if done < cut { 0.25 } else { 0.75 });
        }
    }
}
