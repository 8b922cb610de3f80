//! The FLUX transformer's sizes: `transformer/config.json`.

use super::check::{ConfigCheck, read_checked};
use super::depth::Depth;
use crate::bundle::Bundle;
use afterimage_core::Result;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Sizes of a FLUX transformer, as diffusers' `FluxTransformer2DModel` is configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FluxConfig {
    /// diffusers' name of the class, checked when it is there.
    #[serde(rename = "_class_name", skip_serializing)]
    pub class_name: Option<String>,
    /// Always 1: the pipeline packs 2×2 latents into one token.
    pub patch_size: usize,
    /// Width of a packed latent token: four times the VAE's latent channels.
    pub in_channels: usize,
    /// Width of the output; `None`: the same as `in_channels`.
    pub out_channels: Option<usize>,
    /// Double (two-stream) blocks.
    pub num_layers: usize,
    /// Single-stream blocks.
    pub num_single_layers: usize,
    /// Width of one attention head, the sum of `axes_dims_rope`.
    pub attention_head_dim: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Width of the text and image tokens (T5's).
    pub joint_attention_dim: usize,
    /// Width of the pooled text vector (CLIP's).
    pub pooled_projection_dim: usize,
    /// Whether the distilled guidance is an input (dev: yes, schnell: no).
    pub guidance_embeds: bool,
    /// Rotated dimensions for index, row and column; each even.
    pub axes_dims_rope: [usize; 3],
}

impl Default for FluxConfig {
    /// diffusers' defaults: FLUX.1 without guidance.
    fn default() -> Self {
        Self {
            class_name: None,
            patch_size: 1,
            in_channels: 64,
            out_channels: None,
            num_layers: 19,
            num_single_layers: 38,
            attention_head_dim: 128,
            num_attention_heads: 24,
            joint_attention_dim: 4096,
            pooled_projection_dim: 768,
            guidance_embeds: false,
            axes_dims_rope: [16, 56, 56],
        }
    }
}

impl FluxConfig {
    /// Reads and checks `config.json` of the component folder `folder`.
    ///
    /// # Errors
    /// [`afterimage_core::Error::ModelFile`] naming the field that cannot be used and what would be right.
    pub fn read(folder: &Bundle) -> Result<Self> {
        read_checked(folder, "config.json", Self::validate)
    }

    /// The blocks that it counts, and what it turns on.
    pub fn depths(&self) -> [Depth; 3] {
        [
            Depth {
                field: "num_layers",
                used: self.num_layers,
                is_switch: false,
                patterns: &["double_blocks.#", "transformer_blocks.#"],
            },
            Depth {
                field: "num_single_layers",
                used: self.num_single_layers,
                is_switch: false,
                patterns: &["single_blocks.#", "single_transformer_blocks.#"],
            },
            Depth {
                field: "guidance_embeds",
                used: usize::from(self.guidance_embeds),
                is_switch: true,
                patterns: &["guidance_in", "time_text_embed.guidance_embedder"],
            },
        ]
    }

    /// Checks every field; `path` is the file that messages name. Limits are a few times those of the largest known
    /// model of the kind, so that a damaged file cannot ask for unbounded memory.
    ///
    /// # Errors
    /// [`afterimage_core::Error::ModelFile`] for the first field that cannot be used.
    pub fn validate(&self, path: &Path) -> Result<()> {
        let check = ConfigCheck::new(path);
        check.class(self.class_name.as_deref(), "FluxTransformer2DModel")?;
        check.range("patch_size", self.patch_size, &(1..=1))?;
        check.range("in_channels", self.in_channels, &(4..=1024))?;
        if !self.in_channels.is_multiple_of(4) {
            return Err(check.refuse("in_channels", format!("{} is not a multiple of 4", self.in_channels)));
        }
        if self.out_channels() != self.in_channels {
            return Err(check.refuse(
                "out_channels",
                format!(
                    "{} differs from in_channels {}, as in FLUX.1 Fill, Canny and Depth, which are not supported; \
                     expected null or {}",
                    self.out_channels(),
                    self.in_channels,
                    self.in_channels
                ),
            ));
        }
        check.range("num_layers", self.num_layers, &(0..=256))?;
        check.range("num_single_layers", self.num_single_layers, &(0..=256))?;
        check.range("attention_head_dim", self.attention_head_dim, &(2..=1024))?;
        check.range("num_attention_heads", self.num_attention_heads, &(1..=1024))?;
        // The product cannot overflow within the ranges above.
        if self.hidden() > 65_536 {
            return Err(check.refuse(
                "num_attention_heads",
                format!("{} heads of {} are wider than 65536", self.num_attention_heads, self.attention_head_dim),
            ));
        }
        check.range("joint_attention_dim", self.joint_attention_dim, &(1..=65_536))?;
        check.range("pooled_projection_dim", self.pooled_projection_dim, &(1..=65_536))?;
        if let Some(axis) = self.axes_dims_rope.iter().find(|axis| !axis.is_multiple_of(2)) {
            return Err(check.refuse("axes_dims_rope", format!("{axis} is odd; dimensions are rotated in pairs")));
        }
        let sum = self.axes_dims_rope.iter().try_fold(0_usize, |sum, axis| sum.checked_add(*axis));
        if sum != Some(self.attention_head_dim) {
            return Err(check.refuse(
                "axes_dims_rope",
                format!("{:?} does not add up to attention_head_dim {}", self.axes_dims_rope, self.attention_head_dim),
            ));
        }
        Ok(())
    }

    /// Width of a token inside the transformer: heads × head width.
    pub fn hidden(&self) -> usize {
        self.num_attention_heads * self.attention_head_dim
    }

    /// Width of the MLPs; diffusers and BFL fix it at four times [`FluxConfig::hidden`].
    pub fn mlp(&self) -> usize {
        4 * self.hidden()
    }

    /// Width of the output, in a valid configuration that of the input.
    pub fn out_channels(&self) -> usize {
        self.out_channels.unwrap_or(self.in_channels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(json: &str) -> String {
        let config: Result<FluxConfig, _> = serde_json::from_str(json);
        match config {
            Ok(config) => config.validate(Path::new("config.json")).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn absent_fields_take_diffusers_defaults() {
        let config: FluxConfig = serde_json::from_str(r#"{"guidance_embeds": true, "unknown": 1}"#).unwrap();
        config.validate(Path::new("config.json")).unwrap();
        assert_eq!((config.hidden(), config.mlp(), config.out_channels()), (3072, 12_288, 64));
        assert!(config.guidance_embeds);
    }

    #[test]
    fn absurd_sizes_are_refused_by_name() {
        for (json, expected) in [
            (r#"{"num_layers": 1000000000}"#, "config.json: num_layers: 1000000000 is out of range; expected 0 to 256"),
            (r#"{"attention_head_dim": 0}"#, "attention_head_dim: 0 is out of range; expected 2 to 1024"),
            (r#"{"num_attention_heads": 18446744073709551615}"#, "num_attention_heads: 18446744073709551615 is out"),
            (r#"{"attention_head_dim": 1024, "num_attention_heads": 1024}"#, "num_attention_heads: 1024 heads of 1024"),
            (r#"{"axes_dims_rope": [16, 56, 58]}"#, "axes_dims_rope: [16, 56, 58] does not add up"),
            (r#"{"axes_dims_rope": [15, 57, 56]}"#, "axes_dims_rope: 15 is odd"),
            (r#"{"axes_dims_rope": [2, 18446744073709551614, 18446744073709551614]}"#, "does not add up"),
            (r#"{"axes_dims_rope": [64, 64]}"#, "invalid length 2, expected an array of length 3"),
            (r#"{"in_channels": 384, "out_channels": 64}"#, "out_channels: 64 differs from in_channels 384"),
            (r#"{"in_channels": 66}"#, "in_channels: 66 is not a multiple of 4"),
            (r#"{"patch_size": 2}"#, "patch_size: 2 is not supported; expected 1"),
            (r#"{"_class_name": "SD3Transformer2DModel"}"#, "_class_name: SD3Transformer2DModel is not supported"),
            (r#"{"num_layers": -1}"#, "invalid value: integer `-1`"),
            (r#"{"num_layers": 1.5}"#, "invalid type: floating point `1.5`"),
            (r#"{"num_layers": NaN}"#, "expected value at line 1"),
        ] {
            let message = problem(json);
            assert!(message.contains(expected), "{json}: {message}");
        }
    }
}
