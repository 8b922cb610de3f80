//! Latents to pixels.

use super::layers::{Conv, GroupNorm, Middle, Residual};
use super::{Check, Tensor3};
use crate::config::VaeConfig;
use crate::weights::Scope;
use afterimage_core::Result;
use afterimage_kernels::conv::Movement;

pub(super) struct Decoder {
    conv_in: Conv,
    middle: Middle,
    levels: Vec<Level>,
    norm_out: GroupNorm,
    conv_out: Conv,
}

/// Residual blocks of one resolution and the enlargement after them.
struct Level {
    residuals: Vec<Residual>,
    upsample: Option<Conv>,
}

impl Decoder {
    pub fn load(scope: &Scope, config: &VaeConfig) -> Result<Self> {
        let channels: Vec<usize> = config.block_out_channels.iter().rev().copied().collect();
        let (deepest, shallowest) = (channels[0], channels[channels.len() - 1]);
        let mut inputs = deepest;
        let mut levels = Vec::new();
        for (index, outputs) in channels.iter().copied().enumerate() {
            let scope = scope.at("up_blocks").at(index);
            let mut residuals = Vec::new();
            for layer in 0..=config.layers_per_block {
                residuals.push(Residual::load(&scope.at("resnets").at(layer), inputs, outputs, config)?);
                inputs = outputs;
            }
            let upsample = if index + 1 < channels.len() {
                Some(Conv::load(&scope, "upsamplers.0.conv", outputs, outputs, 3)?)
            } else {
                None
            };
            levels.push(Level { residuals, upsample });
        }
        Ok(Self {
            conv_in: Conv::load(scope, "conv_in", config.latent_channels, deepest, 3)?,
            middle: Middle::load(scope, deepest, config)?,
            levels,
            norm_out: GroupNorm::load(scope, "conv_norm_out", shallowest, config)?,
            conv_out: Conv::load(scope, "conv_out", shallowest, config.out_channels, 3)?,
        })
    }

    /// Unscaled latents to pixels.
    pub fn run(&self, latents: Tensor3, check: Check) -> Result<Tensor3> {
        let mut x = self.conv_in.run(&latents, Movement::Same, None);
        drop(latents);
        x = self.middle.run(x, check)?;
        for level in &self.levels {
            for residual in &level.residuals {
                check()?;
                x = residual.run(x);
            }
            if let Some(upsample) = &level.upsample {
                check()?;
                x = upsample.run(&x, Movement::Double, None);
            }
        }
        check()?;
        Ok(self.conv_out.run(&x, Movement::Same, Some(&self.norm_out)))
    }
}
