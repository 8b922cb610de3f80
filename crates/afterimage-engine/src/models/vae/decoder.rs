//! Latents to pixels: diffusers' `Decoder`, `src/diffusers/models/autoencoders/vae.py`.

use super::layers::{Conv, GroupNormWeights, Middle, Residual};
use super::tensor::{StopCheck, Tensor3};
use crate::config::VaeConfig;
use crate::models::feature_map::FeatureMap;
use crate::weights::Scope;
use afterimage_core::Result;
use afterimage_device::{Device, Movement};

pub(super) struct VaeDecoder<D: Device> {
    conv_in: Conv<D>,
    middle: Middle<D>,
    levels: Vec<UpBlock<D>>,
    norm_out: GroupNormWeights<D>,
    conv_out: Conv<D>,
}

/// Residual blocks of one resolution and the enlargement after them.
struct UpBlock<D: Device> {
    residuals: Vec<Residual<D>>,
    upsample: Option<Conv<D>>,
}

impl<D: Device> VaeDecoder<D> {
    pub fn load(device: &D, scope: &Scope, config: &VaeConfig) -> Result<Self> {
        let channels: Vec<usize> = config.block_out_channels.iter().rev().copied().collect();
        let (deepest, shallowest) = (channels[0], channels[channels.len() - 1]);
        let mut inputs = deepest;
        let mut levels = Vec::new();
        for (index, outputs) in channels.iter().copied().enumerate() {
            let scope = scope.at("up_blocks").at(index);
            let mut residuals = Vec::new();
            for layer in 0..=config.layers_per_block {
                residuals.push(Residual::load(device, &scope.at("resnets").at(layer), inputs, outputs, config)?);
                inputs = outputs;
            }
            let upsample = if index + 1 < channels.len() {
                Some(Conv::load(device, &scope.at("upsamplers.0.conv"), outputs, outputs, 3)?)
            } else {
                None
            };
            levels.push(UpBlock { residuals, upsample });
        }
        Ok(Self {
            conv_in: Conv::load(device, &scope.at("conv_in"), config.latent_channels, deepest, 3)?,
            middle: Middle::load(device, scope, deepest, config)?,
            levels,
            norm_out: GroupNormWeights::load(device, &scope.at("conv_norm_out"), shallowest, config)?,
            conv_out: Conv::load(device, &scope.at("conv_out"), shallowest, config.out_channels, 3)?,
        })
    }

    /// Unscaled latents to pixels.
    pub fn run(&self, device: &D, latents: Tensor3, check: StopCheck) -> Result<Tensor3> {
        let latents = FeatureMap::upload(device, latents)?;
        let mut x = self.conv_in.run(device, &latents, Movement::Same, None)?;
        drop(latents);
        x = self.middle.run(device, x, check)?;
        for level in &self.levels {
            for residual in &level.residuals {
                check()?;
                x = residual.run(device, x)?;
            }
            if let Some(upsample) = &level.upsample {
                check()?;
                x = upsample.run(device, &x, Movement::Double, None)?;
            }
        }
        check()?;
        let pixels = self.conv_out.run(device, &x, Movement::Same, Some(&self.norm_out))?;
        drop(x);
        pixels.read(device)
    }
}
