//! Pixels to a distribution of latents: diffusers' `Encoder` and `DiagonalGaussianDistribution`,
//! `src/diffusers/models/autoencoders/vae.py`.

use super::layers::{Conv, GroupNormWeights, Middle, Residual};
use super::tensor::{StopCheck, Tensor3};
use crate::config::VaeConfig;
use crate::models::feature_map::FeatureMap;
use crate::weights::Scope;
use afterimage_core::Result;
use afterimage_device::{Device, Movement};

pub(super) struct VaeEncoder<D: Device> {
    conv_in: Conv<D>,
    levels: Vec<DownBlock<D>>,
    middle: Middle<D>,
    norm_out: GroupNormWeights<D>,
    conv_out: Conv<D>,
}

/// Residual blocks of one resolution and the reduction after them.
struct DownBlock<D: Device> {
    residuals: Vec<Residual<D>>,
    downsample: Option<Conv<D>>,
}

impl<D: Device> VaeEncoder<D> {
    pub fn load(device: &D, scope: &Scope, config: &VaeConfig) -> Result<Self> {
        let channels = &config.block_out_channels;
        let (shallowest, deepest) = (channels[0], channels[channels.len() - 1]);
        let mut inputs = shallowest;
        let mut levels = Vec::new();
        for (index, outputs) in channels.iter().copied().enumerate() {
            let scope = scope.at("down_blocks").at(index);
            let mut residuals = Vec::new();
            for layer in 0..config.layers_per_block {
                residuals.push(Residual::load(device, &scope.at("resnets").at(layer), inputs, outputs, config)?);
                inputs = outputs;
            }
            let downsample = if index + 1 < channels.len() {
                Some(Conv::load(device, &scope.at("downsamplers.0.conv"), outputs, outputs, 3)?)
            } else {
                None
            };
            levels.push(DownBlock { residuals, downsample });
        }
        Ok(Self {
            conv_in: Conv::load(device, &scope.at("conv_in"), config.in_channels, shallowest, 3)?,
            levels,
            middle: Middle::load(device, scope, deepest, config)?,
            norm_out: GroupNormWeights::load(device, &scope.at("conv_norm_out"), deepest, config)?,
            conv_out: Conv::load(device, &scope.at("conv_out"), deepest, 2 * config.latent_channels, 3)?,
        })
    }

    /// Pixels to moments: means, then log variances.
    pub fn run(&self, device: &D, pixels: Tensor3, check: StopCheck) -> Result<Tensor3> {
        let pixels = FeatureMap::upload(device, pixels)?;
        let mut x = self.conv_in.run(device, &pixels, Movement::Same, None)?;
        drop(pixels);
        for level in &self.levels {
            for residual in &level.residuals {
                check()?;
                x = residual.run(device, x)?;
            }
            if let Some(downsample) = &level.downsample {
                check()?;
                x = downsample.run(device, &x, Movement::Halve, None)?;
            }
        }
        x = self.middle.run(device, x, check)?;
        self.conv_out.run(device, &x, Movement::Same, Some(&self.norm_out))?.read(device)
    }
}

/// A diagonal normal distribution of unscaled latents.
pub struct Posterior {
    /// `[latent_channels, h, w]`
    pub mean: Tensor3,
    /// Logarithm of the variance, within −30..=20 as diffusers clamps it.
    pub log_variance: Tensor3,
}

impl Posterior {
    pub(super) fn new(moments: &Tensor3) -> Self {
        let channels = moments.channels / 2;
        let (height, width) = (moments.height, moments.width);
        let half = |data: &[f32]| Tensor3 { data: data.to_vec(), channels, height, width };
        let (mean, log_variance) = moments.data.split_at(moments.data.len() / 2);
        let mut log_variance = half(log_variance);
        for value in &mut log_variance.data {
            *value = value.clamp(-30.0, 20.0);
        }
        Self { mean: half(mean), log_variance }
    }

    /// `mean + exp(log_variance / 2) · noise`; `noise` has the mean's length.
    pub fn sample(&self, noise: &[f32]) -> Tensor3 {
        let mut sample = self.mean.clone();
        for ((value, log_variance), noise) in sample.data.iter_mut().zip(&self.log_variance.data).zip(noise) {
            *value += (0.5 * log_variance).exp() * noise;
        }
        sample
    }
}
