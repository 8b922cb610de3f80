//! What is known of finished pictures beside their pixels, the same from the engine to every front end.

use crate::{Enlarge, LoraChoice, ModelFacts, OnFlag, SafetyFacts, Size, Timings};
use serde::{Deserialize, Serialize};

/// What a generation did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerationFacts {
    /// The seed that was used, given or drawn.
    pub seed: u64,
    /// The second seed that was used, given or drawn, where the request looked near the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variation_seed: Option<u64>,
    /// The size that the request came to: given, or the model's or picture's own, rounded down.
    pub size: Size,
    /// Transformer steps that ran, in both passes together when there were two.
    pub steps_run: u32,
    /// How the request's `enlarge` was understood, never [`Enlarge::Auto`].
    pub enlarge: Enlarge,
    /// Size of the first pass, when there were two.
    pub enlarged_from: Option<Size>,
    /// Time of each stage.
    pub timings: Timings,
    /// Wall-clock milliseconds of decoding the sources and encoding the files, which `timings` do not include; `None`
    /// where nobody measured them.
    pub files_ms: Option<f64>,
    /// The input pictures' tokens were known from earlier requests of the tenant; `false` without such tokens.
    pub image_cached: bool,
    /// The prompt was known from an earlier request of the tenant.
    pub text_cached: bool,
    /// What ran.
    pub model: ModelFacts,
    /// The largest change at which a step reused an earlier one's blocks; `None`: every step was computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_threshold: Option<f64>,
    /// What was added to the model: the engine's own `LoRA`s, then the request's, in the order in which they were named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loras: Vec<LoraChoice>,
    /// What safety checkers did; `None`: nobody looked, since there is no checker or the request went without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safety: Option<SafetyFacts>,
    /// Each picture, in order.
    pub pictures: Vec<PictureFacts>,
}

/// What is true of one picture and need not be of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureFacts {
    /// Its size.
    pub size: Size,
    /// Whether a safety checker objects to it; `None`: nobody looked, or whoever looked failed. `false` only after a check.
    #[serde(default)]
    pub flagged: Option<bool>,
    /// Steps that reused an earlier one's blocks, of all that ran.
    #[serde(default, skip_serializing_if = "is_none")]
    pub cached_steps: u32,
}

/// Whether there are none: most results say nothing of it.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_none(steps: &u32) -> bool {
    *steps == 0
}

impl GenerationFacts {
    /// Facts of `num_images` pictures of `size` in one pass, of which nothing else is known yet: no times, no steps.
    pub fn new(seed: u64, size: Size, num_images: usize, model: ModelFacts) -> Self {
        Self {
            seed,
            variation_seed: None,
            size,
            steps_run: 0,
            enlarge: Enlarge::Off,
            enlarged_from: None,
            timings: Timings::default(),
            files_ms: None,
            image_cached: false,
            text_cached: false,
            model,
            cache_threshold: None,
            loras: Vec::new(),
            safety: None,
            pictures: vec![PictureFacts::new(size); num_images],
        }
    }

    /// Whether picture `index` was flagged and something else stands in its place.
    pub fn is_hidden(&self, index: usize) -> bool {
        let flagged = self.pictures.get(index).is_some_and(|picture| picture.flagged == Some(true));
        flagged && self.safety.as_ref().is_some_and(|safety| safety.on_flag != OnFlag::Keep)
    }
}

impl PictureFacts {
    /// A picture of `size` of which nothing else is known.
    pub const fn new(size: Size) -> Self {
        Self { size, flagged: None, cached_steps: 0 }
    }
}
