//! CompVis' checker: CLIP's vision tower, and how near a picture is to embeddings of concepts (diffusers'
//! `StableDiffusionSafetyChecker`, `src/diffusers/pipelines/stable_diffusion/safety_checker.py`).

use super::preprocessor::{Defaults, Preprocessor};
use super::vit::whole;
use crate::bundle::Bundle;
use crate::config::check::ConfigCheck;
use crate::layers::{Linear, StoredLinear};
use crate::models::{StatedVision, VisionConfig, VisionKind, VisionTransformer};
use crate::weights::{LayoutSource, Scope};
use afterimage_core::{Picture, Result};
use afterimage_device::{Device, Finish, Precision};
use serde::Deserialize;
use std::sync::Arc;

/// What CLIP's image processor does where a folder does not say it. 3: bicubic.
pub(super) const DEFAULTS: Defaults = Defaults {
    processor: "CLIP",
    resample: 3,
    image_mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
    image_std: [0.268_629_54, 0.261_302_58, 0.275_777_11],
    center_crop: true,
};

/// Concepts that are objected to, and those that only lower the others' thresholds. The class has as many.
const CONCEPTS: usize = 17;
const SPECIAL_CONCEPTS: usize = 3;

/// What a picture near a special concept is moved towards all that follow.
const ADJUSTMENT: f32 = 0.01;

/// `config.json`. Its `text_config` means nothing here.
#[derive(Deserialize)]
struct CompVisConfig {
    #[serde(default)]
    vision_config: StatedVision,
    #[serde(default = "projection_dim")]
    projection_dim: usize,
}

const fn projection_dim() -> usize {
    512
}

pub(super) struct CompVisChecker<D: Device> {
    device: Arc<D>,
    preprocessor: Preprocessor,
    network: VisionTransformer<D>,
    projection: Linear<D>,
    special: Concepts,
    concepts: Concepts,
}

/// Directions and how near is too near.
struct Concepts {
    /// Of unit length.
    embeddings: Vec<Vec<f64>>,
    /// Cosines.
    thresholds: Vec<f32>,
}

impl<D: Device> CompVisChecker<D> {
    pub fn load(device: &Arc<D>, folder: &Bundle, source: LayoutSource) -> Result<Self> {
        let path = folder.path("config.json");
        let check = ConfigCheck::new(&path);
        let CompVisConfig { vision_config, projection_dim: width } = folder.json("config.json")?;
        let config = VisionConfig::new(VisionKind::Clip, &vision_config, &check)?;
        check.range("projection_dim", width, &(1..=65_536))?;
        let preprocessor = Preprocessor::read(folder, &DEFAULTS, config.image_size)?;
        source.check_depths(&path, &config.depths())?;
        let scope = source.scope();
        let projection = StoredLinear::read_without_bias(&scope.at("visual_projection"), config.hidden_size, width)?;
        Ok(Self {
            device: Arc::clone(device),
            preprocessor,
            network: VisionTransformer::load(device, &scope, &config)?,
            projection: projection.upload(device.as_ref())?,
            special: Concepts::read(&scope, "special_care_embeds", SPECIAL_CONCEPTS, width)?,
            concepts: Concepts::read(&scope, "concept_embeds", CONCEPTS, width)?,
        })
    }

    /// How far the nearest concept is beyond its threshold, in thousandths as diffusers rounds it: above 0 it objects.
    pub fn score(&self, picture: &Picture, interrupted: &dyn Fn() -> Result<()>) -> Result<f64> {
        Ok(highest(&self.cosines(picture, interrupted)?, &self.special.thresholds, &self.concepts.thresholds))
    }

    /// Cosines of the special concepts and of the others.
    pub fn cosines(&self, picture: &Picture, interrupted: &dyn Fn() -> Result<()>) -> Result<[Vec<f32>; 2]> {
        let device = self.device.as_ref();
        let token = self.network.class_token(&self.preprocessor.planes(picture)?, interrupted)?;
        let projected = self.projection.apply(device, whole(&token), Finish::Store, Precision::Exact)?;
        let view = whole(&projected);
        let mut embedding = vec![0.0; view.cols];
        device.read(view, &mut embedding)?;
        let embedding = unit(&embedding);
        Ok([&self.special, &self.concepts].map(|concepts| concepts.cosines(&embedding)))
    }
}

impl Concepts {
    fn read(scope: &Scope, name: &str, count: usize, width: usize) -> Result<Self> {
        let embeddings = scope.values(name, &[count, width])?;
        Ok(Self {
            embeddings: embeddings.chunks_exact(width).map(unit).collect(),
            thresholds: scope.vector(&format!("{name}_weights"), count)?,
        })
    }

    fn cosines(&self, embedding: &[f64]) -> Vec<f32> {
        let product = |concept: &Vec<f64>| concept.iter().zip(embedding).map(|(a, b)| a * b).sum::<f64>() as f32;
        self.embeddings.iter().map(product).collect()
    }
}

/// A vector brought to length 1; torch's `normalize` leaves one of zeros as it is.
fn unit(vector: &[f32]) -> Vec<f64> {
    let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt().max(1e-12);
    vector.iter().map(|value| f64::from(*value) / length).collect()
}

/// The highest score of a concept. A special concept that is too near moves the picture towards all that are looked at
/// after it, special ones too; alone it makes no score. NaN when a cosine is none.
fn highest([special, concepts]: &[Vec<f32>; 2], special_thresholds: &[f32], thresholds: &[f32]) -> f64 {
    if special.iter().chain(concepts).any(|cosine| !cosine.is_finite()) {
        return f64::NAN;
    }
    let mut adjustment = 0.0;
    for (cosine, threshold) in special.iter().zip(special_thresholds) {
        if thousandths(cosine - threshold + adjustment) > 0.0 {
            adjustment = ADJUSTMENT;
        }
    }
    let scores =
        concepts.iter().zip(thresholds).map(|(cosine, threshold)| thousandths(cosine - threshold + adjustment));
    f64::from(scores.fold(f32::NEG_INFINITY, f32::max)) / 1000.0
}

/// numpy's `round(x, 3)` in f32 without its division: halves to even.
fn thousandths(x: f32) -> f32 {
    (x * 1000.0).round_ties_even()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(special: &[f32], concepts: &[f32]) -> f64 {
        highest(&[special.to_vec(), concepts.to_vec()], &vec![0.2; special.len()], &vec![0.2; concepts.len()])
    }

    fn close(found: f64, expected: f64) -> bool {
        (found - expected).abs() < 1e-9
    }

    #[test]
    fn half_a_thousandth_does_not_count() {
        assert!(close(score(&[0.0], &[0.2004, 0.1]), 0.0));
        assert!(close(score(&[0.0], &[0.1, 0.2008]), 0.001));
        assert!(close(score(&[0.0], &[0.1, -0.3]), -0.1));
    }

    #[test]
    fn a_special_concept_moves_those_after_it_and_is_no_score_itself() {
        // The first special concept is too near, which makes the second one so, and lifts all others by the same 0.01.
        assert!(close(score(&[0.25, 0.195], &[0.194]), 0.004));
        assert!(close(score(&[0.195, 0.15], &[0.194]), -0.006), "in order");
        assert!(close(score(&[0.9, 0.9, 0.9], &[0.0]), -0.19));
    }

    #[test]
    fn what_is_no_number_makes_no_score() {
        assert!(score(&[f32::NAN], &[0.0]).is_nan() && score(&[0.0], &[0.1, f32::NAN]).is_nan());
    }
}
