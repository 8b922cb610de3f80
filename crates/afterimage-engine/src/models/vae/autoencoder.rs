//! Both halves of the autoencoder.

use super::decoder::VaeDecoder;
use super::encoder::{Posterior, VaeEncoder};
use super::tensor::{StopCheck, Tensor3};
use super::tiling;
use crate::config::VaeConfig;
use crate::weights::Scope;
use afterimage_core::Result;
use afterimage_device::Device;
use std::sync::Arc;

/// Decoder, and encoder unless it was loaded without.
pub struct Autoencoder<D: Device> {
    device: Arc<D>,
    config: VaeConfig,
    encoder: Option<VaeEncoder<D>>,
    decoder: VaeDecoder<D>,
    budget: u64,
}

impl<D: Device> Autoencoder<D> {
    /// Reads the weights under their canonical (diffusers) names; the encoder's only with `with_encoder`.
    ///
    /// # Errors
    /// [`afterimage_core::Error::Tensor`] for the first tensor that is missing or does not fit `config`, and those of
    /// the device.
    pub fn load(device: &Arc<D>, scope: &Scope, config: VaeConfig, with_encoder: bool) -> Result<Self> {
        let on: &D = device.as_ref();
        let encoder = if with_encoder { Some(VaeEncoder::load(on, &scope.at("encoder"), &config)?) } else { None };
        let decoder = VaeDecoder::load(on, &scope.at("decoder"), &config)?;
        let budget = device.limits().activation_bytes;
        Ok(Self { device: Arc::clone(device), config, encoder, decoder, budget })
    }

    /// Works in tiles as soon as activations would exceed `bytes`.
    #[must_use]
    pub fn with_activation_budget(mut self, bytes: u64) -> Self {
        self.budget = bytes;
        self
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &VaeConfig {
        &self.config
    }

    /// Scaled latents `[latent_channels, h, w]` to pixels `[3, h × factor, w × factor]`, roughly −1..1 and not clamped.
    ///
    /// # Errors
    /// What `check` returns, and those of the device.
    pub fn decode(&self, latents: &Tensor3, check: StopCheck) -> Result<Tensor3> {
        let (scale, shift) = (self.config.scaling_factor as f32, self.config.shift() as f32);
        let mut unscaled = latents.clone();
        for value in &mut unscaled.data {
            *value = *value / scale + shift;
        }
        let factor = self.config.spatial_factor();
        let bytes = self.config.activation_bytes(unscaled.height * factor, unscaled.width * factor);
        if bytes > self.budget {
            tiling::decode(self.device.as_ref(), &self.decoder, &self.config, &unscaled, check)
        } else {
            self.decoder.run(self.device.as_ref(), unscaled, check)
        }
    }

    /// Pixels `[3, H, W]` in −1..1 to the distribution of unscaled latents.
    ///
    /// # Errors
    /// What `check` returns, those of the device; [`afterimage_core::Error::Internal`] when it was loaded without the encoder.
    pub fn encode(&self, pixels: Tensor3, check: StopCheck) -> Result<Posterior> {
        let encoder = self
            .encoder
            .as_ref()
            .ok_or_else(|| afterimage_core::Error::internal("the autoencoder was loaded without its encoder"))?;
        let moments = if self.config.activation_bytes(pixels.height, pixels.width) > self.budget {
            tiling::encode(self.device.as_ref(), encoder, &self.config, &pixels, check)?
        } else {
            encoder.run(self.device.as_ref(), pixels, check)?
        };
        Ok(Posterior::new(&moments))
    }

    /// `(latents − shift) × scale`, what the transformer works on.
    pub fn scale(&self, latents: &mut [f32]) {
        let (scale, shift) = (self.config.scaling_factor as f32, self.config.shift() as f32);
        for value in latents {
            *value = (*value - shift) * scale;
        }
    }
}
