//! The VAE's sizes: `vae/config.json`.

use super::check::{ConfigCheck, read_checked};
use super::depth::Depth;
use crate::bundle::Bundle;
use afterimage_core::Result;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Sizes of a VAE, as diffusers' `AutoencoderKL` is configured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VaeConfig {
    /// diffusers' name of the class, checked when it is there.
    #[serde(rename = "_class_name", skip_serializing)]
    pub class_name: Option<String>,
    /// Channels of a picture, always 3.
    pub in_channels: usize,
    /// Channels of a decoded picture, always 3.
    pub out_channels: usize,
    /// The encoder's kinds of levels; only `DownEncoderBlock2D` is known.
    pub down_block_types: Option<Vec<String>>,
    /// The decoder's kinds of levels; only `UpDecoderBlock2D` is known.
    pub up_block_types: Option<Vec<String>>,
    /// Channels of each level, highest resolution first.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks per level of the encoder; the decoder has one more.
    pub layers_per_block: usize,
    /// Activation, always `silu`.
    pub act_fn: String,
    /// Channels of a latent.
    pub latent_channels: usize,
    /// Groups of every group normalisation.
    pub norm_num_groups: usize,
    /// Side in pixels above which tiles are worth while; diffusers' tile size.
    pub sample_size: usize,
    /// `z = (latent − shift_factor) × scaling_factor`.
    pub scaling_factor: f64,
    /// See `scaling_factor`; null counts as 0.
    pub shift_factor: Option<f64>,
    /// A 1×1 convolution behind the encoder; FLUX has none.
    pub use_quant_conv: bool,
    /// A 1×1 convolution before the decoder; FLUX has none.
    pub use_post_quant_conv: bool,
    /// Whether the middle of encoder and decoder has attention.
    pub mid_block_add_attention: bool,
}

impl Default for VaeConfig {
    /// diffusers' defaults, which are not FLUX's; [`VaeConfig::flux`] is.
    fn default() -> Self {
        Self {
            class_name: None,
            in_channels: 3,
            out_channels: 3,
            down_block_types: None,
            up_block_types: None,
            block_out_channels: vec![64],
            layers_per_block: 1,
            act_fn: "silu".to_owned(),
            latent_channels: 4,
            norm_num_groups: 32,
            sample_size: 32,
            scaling_factor: 0.18215,
            shift_factor: None,
            use_quant_conv: true,
            use_post_quant_conv: true,
            mid_block_add_attention: true,
        }
    }
}

impl VaeConfig {
    /// FLUX.1's VAE.
    pub fn flux() -> Self {
        Self {
            block_out_channels: vec![128, 256, 512, 512],
            layers_per_block: 2,
            latent_channels: 16,
            sample_size: 1024,
            scaling_factor: 0.3611,
            shift_factor: Some(0.1159),
            use_quant_conv: false,
            use_post_quant_conv: false,
            ..Self::default()
        }
    }

    /// Reads and checks `config.json` of the component folder `folder`.
    ///
    /// # Errors
    /// [`afterimage_core::Error::ModelFile`] naming the field that cannot be used and what would be right.
    pub fn read(folder: &Bundle) -> Result<Self> {
        read_checked(folder, "config.json", Self::validate)
    }

    /// The levels and blocks that it counts, and what it turns on.
    pub fn depths(&self) -> [Depth; 6] {
        [
            Depth {
                field: "block_out_channels",
                used: self.block_out_channels.len(),
                is_switch: false,
                patterns: &["encoder.down_blocks.#", "decoder.up_blocks.#", "encoder.down.#", "decoder.up.#"],
            },
            Depth {
                field: "layers_per_block",
                used: self.layers_per_block,
                is_switch: false,
                patterns: &["encoder.down_blocks.*.resnets.#", "encoder.down.*.block.#"],
            },
            Depth {
                field: "layers_per_block + 1",
                used: self.layers_per_block + 1,
                is_switch: false,
                patterns: &["decoder.up_blocks.*.resnets.#", "decoder.up.*.block.#"],
            },
            Depth {
                field: "mid_block_add_attention",
                used: usize::from(self.mid_block_add_attention),
                is_switch: true,
                patterns: &[
                    "encoder.mid_block.attentions.#",
                    "decoder.mid_block.attentions.#",
                    "encoder.mid.attn_1",
                    "decoder.mid.attn_1",
                ],
            },
            Depth {
                field: "use_quant_conv",
                used: usize::from(self.use_quant_conv),
                is_switch: true,
                patterns: &["quant_conv"],
            },
            Depth {
                field: "use_post_quant_conv",
                used: usize::from(self.use_post_quant_conv),
                is_switch: true,
                patterns: &["post_quant_conv"],
            },
        ]
    }

    /// Checks every field; `path` is the file that messages name.
    ///
    /// # Errors
    /// [`afterimage_core::Error::ModelFile`] for the first field that cannot be used.
    pub fn validate(&self, path: &Path) -> Result<()> {
        let check = ConfigCheck::new(path);
        check.class(self.class_name.as_deref(), "AutoencoderKL")?;
        check.range("in_channels", self.in_channels, &(3..=3))?;
        check.range("out_channels", self.out_channels, &(3..=3))?;
        let levels = self.block_out_channels.len();
        if !(1..=8).contains(&levels) {
            return Err(check.refuse("block_out_channels", format!("{levels} levels; expected 1 to 8")));
        }
        check.range("norm_num_groups", self.norm_num_groups, &(1..=8192))?;
        for channels in &self.block_out_channels {
            check.range("block_out_channels", *channels, &(1..=8192))?;
            if !channels.is_multiple_of(self.norm_num_groups) {
                return Err(check.refuse(
                    "norm_num_groups",
                    format!("{} groups do not divide the {channels} of block_out_channels", self.norm_num_groups),
                ));
            }
        }
        for (field, types, known) in [
            ("down_block_types", &self.down_block_types, "DownEncoderBlock2D"),
            ("up_block_types", &self.up_block_types, "UpDecoderBlock2D"),
        ] {
            let Some(types) = types else { continue };
            if let Some(other) = types.iter().find(|name| *name != known) {
                return Err(check.refuse(field, format!("{other} is not supported; expected {known}")));
            }
            if types.len() != levels {
                return Err(check.refuse(field, format!("{} levels, but block_out_channels has {levels}", types.len())));
            }
        }
        check.range("layers_per_block", self.layers_per_block, &(1..=16))?;
        if !matches!(self.act_fn.as_str(), "silu" | "swish") {
            return Err(check.refuse("act_fn", format!("{} is not supported; expected silu", self.act_fn)));
        }
        check.range("latent_channels", self.latent_channels, &(1..=256))?;
        check.range("sample_size", self.sample_size, &(1..=65_536))?;
        check.positive("scaling_factor", self.scaling_factor)?;
        check.finite("shift_factor", self.shift())?;
        // Absent means true in diffusers, so the message has to say that false must be written out.
        for (field, used) in
            [("use_quant_conv", self.use_quant_conv), ("use_post_quant_conv", self.use_post_quant_conv)]
        {
            if used {
                return Err(check.refuse(field, "true (the default) is not supported; expected false, as in FLUX"));
            }
        }
        Ok(())
    }

    /// The shift of latents, 0 when there is none.
    pub fn shift(&self) -> f64 {
        self.shift_factor.unwrap_or(0.0)
    }

    /// Bytes of the largest set of activations alive at once over a picture of these sides in pixels, all at full resolution: a
    /// residual block's input, its inside and its output.
    pub fn activation_bytes(&self, height: usize, width: usize) -> u64 {
        let first = self.block_out_channels.first().copied().unwrap_or(0);
        let second = self.block_out_channels.get(1).copied().unwrap_or(first);
        4 * (height * width) as u64 * (2 * first + second) as u64
    }

    /// Pixels per latent and side: 2 to the number of levels − 1.
    pub fn spatial_factor(&self) -> usize {
        1 << (self.block_out_channels.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flux_is_valid() {
        VaeConfig::flux().validate(Path::new("config.json")).unwrap();
        assert_eq!(VaeConfig::flux().spatial_factor(), 8);
        let null: VaeConfig = serde_json::from_str(r#"{"shift_factor": null}"#).unwrap();
        assert_eq!(null.shift().to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn unusable_fields_are_named() {
        let flux = serde_json::to_value(VaeConfig::flux()).unwrap();
        for (field, value, expected) in [
            ("use_quant_conv", "true", "use_quant_conv: true (the default) is not supported"),
            ("use_post_quant_conv", "true", "use_post_quant_conv: true"),
            ("norm_num_groups", "0", "norm_num_groups: 0 is out of range"),
            ("norm_num_groups", "48", "norm_num_groups: 48 groups do not divide the 128"),
            ("block_out_channels", "[]", "block_out_channels: 0 levels"),
            ("block_out_channels", "[1000000000]", "block_out_channels: 1000000000 is out of range"),
            ("act_fn", "\"gelu\"", "act_fn: gelu is not supported"),
            ("scaling_factor", "0", "scaling_factor: 0 is out of range; expected a number above 0"),
            ("down_block_types", "[\"AttnDownEncoderBlock2D\"]", "down_block_types: AttnDownEncoderBlock2D is not"),
            ("up_block_types", "[\"UpDecoderBlock2D\"]", "up_block_types: 1 levels, but block_out_channels has 4"),
            ("latent_channels", "0", "latent_channels: 0 is out of range; expected 1 to 256"),
            ("in_channels", "4", "in_channels: 4 is not supported; expected 3"),
        ] {
            let mut json = flux.clone();
            json[field] = serde_json::from_str(value).unwrap();
            let config: VaeConfig = serde_json::from_value(json).unwrap();
            let message = config.validate(Path::new("config.json")).unwrap_err().to_string();
            assert!(message.starts_with(&format!("config.json: {expected}")), "{message}");
        }
    }
}
