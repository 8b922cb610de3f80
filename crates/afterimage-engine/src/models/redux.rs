//! The Redux adapter: SigLIP's tokens in the space of T5's, and fewer of them on request. diffusers' `ReduxImageEncoder`,
//! `src/diffusers/pipelines/flux/modeling_flux.py`.

use super::area::area_average;
use crate::config::check::{ConfigCheck, read_checked};
use crate::layers::Linear;
use crate::weights::{Bundle, Scope};
use afterimage_core::{Error, Result};
use afterimage_device::{Activation, Device, Finish, Precision, View, ViewMut};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// `image_embedder/config.json`; absent fields have diffusers' defaults, those of FLUX.1 Redux.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReduxConfig {
    /// Width of the image encoder's tokens.
    pub redux_dim: usize,
    /// Width of the text tokens; inside, the adapter is three times as wide.
    pub txt_in_features: usize,
}

impl Default for ReduxConfig {
    fn default() -> Self {
        Self { redux_dim: 1152, txt_in_features: 4096 }
    }
}

impl ReduxConfig {
    /// Reads and checks `config.json` of the folder `folder`.
    ///
    /// # Errors
    /// [`Error::ModelFile`] naming the field that cannot be used and what would be right.
    pub fn read(folder: &Bundle) -> Result<Self> {
        read_checked(folder, "config.json", Self::validate)
    }

    /// Checks every field; `path` is the file that messages name.
    ///
    /// # Errors
    /// [`Error::ModelFile`] for the first field that cannot be used.
    pub fn validate(&self, path: &Path) -> Result<()> {
        let check = ConfigCheck::new(path);
        check.range("redux_dim", self.redux_dim, &(1..=65_536))?;
        check.range("txt_in_features", self.txt_in_features, &(1..=65_536))
    }
}

/// `redux_down(silu(redux_up(tokens)))`
pub struct ReduxEmbedder<D: Device> {
    device: Arc<D>,
    config: ReduxConfig,
    up: Linear<D>,
    down: Linear<D>,
}

impl<D: Device> ReduxEmbedder<D> {
    /// Takes the four tensors from `scope`.
    ///
    /// # Errors
    /// [`Error::Tensor`] for one that is missing or has another shape than `config` says, and those of the device.
    pub fn load(device: &Arc<D>, scope: &Scope, config: ReduxConfig) -> Result<Self> {
        let (inputs, outputs) = (config.redux_dim, config.txt_in_features);
        let inner = 3 * outputs;
        Ok(Self {
            device: Arc::clone(device),
            up: Linear::load(device.as_ref(), &scope.at("redux_up"), inputs, inner)?,
            down: Linear::load(device.as_ref(), &scope.at("redux_down"), inner, outputs)?,
            config,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &ReduxConfig {
        &self.config
    }

    /// Text-like tokens `[tokens, txt_in_features]` of image tokens `[tokens, redux_dim]`.
    ///
    /// # Errors
    /// [`Error::Internal`] when `tokens` is not a whole number of rows, and those of the device.
    pub fn embed(&self, tokens: &[f32]) -> Result<Vec<f32>> {
        let ReduxConfig { redux_dim: inputs, txt_in_features: outputs } = self.config;
        if !tokens.len().is_multiple_of(inputs) {
            return Err(Error::internal(format!("{} numbers in rows of {inputs}", tokens.len())));
        }
        let (device, rows) = (self.device.as_ref(), tokens.len() / inputs);
        let x = device.upload(tokens.to_vec())?;
        let mut inner = self.up.apply(device, View::new(&x, rows, inputs), Finish::Store, Precision::Working)?;
        device.activate(Activation::Silu, ViewMut::new(&mut inner, rows, 3 * outputs))?;
        let down = self.down.apply(device, View::new(&inner, rows, 3 * outputs), Finish::Store, Precision::Exact)?;
        let mut embedded = vec![0.0; rows * outputs];
        device.read(View::new(&down, rows, outputs), &mut embedded)?;
        Ok(embedded)
    }
}

/// Side of the token grid after [`downsample`]: `grid_side / factor` rounded half to even, at least 1.
pub fn downsampled_side(grid_side: usize, factor: f64) -> usize {
    ((grid_side as f64 / factor).round_ties_even() as usize).clamp(1, grid_side.max(1))
}

/// Averages a grid of tokens `[grid_side², width]` down to [`downsampled_side`] squared; see [`area_average`].
///
/// # Panics
/// When `tokens` is not a whole number of rows for each of the grid's cells, or `grid_side` is 0.
pub fn downsample(tokens: &[f32], grid_side: usize, factor: f64) -> Vec<f32> {
    let side = downsampled_side(grid_side, factor);
    area_average(tokens, [grid_side; 2], [side; 2])
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the compared results are exact")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sides_are_rounded_half_to_even() {
        let sides: Vec<usize> = (1..=9).map(|factor| downsampled_side(27, f64::from(factor))).collect();
        assert_eq!(sides, [27, 14, 9, 7, 5, 4, 4, 3, 3]);
        assert_eq!(downsampled_side(5, 2.0), 2, "2.5 to the even 2");
        assert_eq!(downsampled_side(2, 9.0), 1);
    }

    #[test]
    fn averages_are_torchs() {
        // interpolate(arange(25.).view(1, 1, 5, 5), size=(3, 3), mode="area"), torch 2.11; 5 / 1.8 rounds to 3.
        let tokens: Vec<f32> = (0..25).map(|value| value as f32).collect();
        assert_eq!(downsample(&tokens, 5, 1.8), AREA);
        // Two numbers a token: each is averaged on its own.
        let pairs: Vec<f32> = tokens.iter().flat_map(|value| [*value, -value]).collect();
        let found = downsample(&pairs, 5, 1.8);
        assert_eq!(found.iter().step_by(2).copied().collect::<Vec<_>>(), AREA);
        assert_eq!(found[1], -AREA[0]);
    }

    const AREA: [f32; 9] = [3.0, 4.5, 6.0, 10.5, 12.0, 13.5, 18.0, 19.5, 21.0];

    proptest! {
        #[test]
        fn a_constant_stays_constant(side in 1_usize..30, factor in 1.0_f64..=9.0, width in 1_usize..4) {
            let found = downsample(&vec![0.75; side * side * width], side, factor);
            prop_assert_eq!(found.len(), downsampled_side(side, factor).pow(2) * width);
            prop_assert!(found.iter().all(|value| (value - 0.75).abs() < 1e-6));
        }
    }
}
