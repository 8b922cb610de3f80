//! The published models whose files can be made up: their tensors, layouts and types.

use crate::config::{FluxConfig, VaeConfig};
use crate::inspect::wanted::{self, WantedTensors};
use crate::models::{ClipTextConfig, ReduxConfig, SiglipConfig, T5Config};
use crate::weights::Wanted;
use crate::weights::layout::WrittenLayout;

/// Models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum SynthPreset {
    /// FLUX.1-dev's transformer.
    FluxDev,
    /// FLUX.1-schnell's transformer.
    Schnell,
    /// SRPO's transformer: FLUX.1-dev's in f32 and diffusers' names.
    Srpo,
    /// The FLUX.1 Redux adapter.
    Redux,
    /// T5-XXL's encoder.
    T5,
    /// CLIP-L's text encoder.
    Clip,
    /// SigLIP so400m's vision tower with its pooling head.
    Siglip,
    /// FLUX.1's autoencoder.
    Vae,
    /// A transformer with FLUX.1's inputs, 256 wide, of two blocks of each kind; runs with FLUX.1's other parts.
    Tiny,
}

/// Whose names a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum SynthLayout {
    /// Black Forest Labs' single files; transformers' names for the encoders.
    Bfl,
    /// diffusers' and transformers'.
    Diffusers,
    /// Black Forest Labs' names behind the prefixes of `ComfyUI`'s all-in-one checkpoints.
    Comfyui,
    /// llama.cpp's, of T5.
    LlamaCpp,
}

impl SynthPreset {
    /// The layout of the published file.
    pub(super) fn layout(self) -> SynthLayout {
        match self {
            Self::Srpo => SynthLayout::Diffusers,
            _ => SynthLayout::Bfl,
        }
    }

    /// The sizes of the transformers.
    pub(super) fn flux(self) -> Option<FluxConfig> {
        let dev = FluxConfig { guidance_embeds: true, ..FluxConfig::default() };
        match self {
            Self::FluxDev | Self::Srpo => Some(dev),
            Self::Schnell => Some(FluxConfig::default()),
            Self::Tiny => Some(FluxConfig { num_layers: 2, num_single_layers: 2, num_attention_heads: 2, ..dev }),
            _ => None,
        }
    }

    /// The tensors of a file in `layout`.
    ///
    /// # Errors
    /// What is wrong, for a layout that the model does not come in.
    pub(super) fn tensors(self, layout: SynthLayout) -> Result<Vec<Wanted>, String> {
        let unsupported = || "only T5 comes in llama.cpp's layout".to_owned();
        let written = match (self, layout) {
            (Self::T5, SynthLayout::LlamaCpp) => WrittenLayout::LlamaT5,
            (_, SynthLayout::LlamaCpp) => return Err(unsupported()),
            (Self::Vae, SynthLayout::Bfl | SynthLayout::Comfyui) => {
                WrittenLayout::BflVae { levels: VaeConfig::flux().block_out_channels.len() }
            }
            (Self::FluxDev | Self::Schnell | Self::Srpo | Self::Tiny, SynthLayout::Diffusers) => {
                WrittenLayout::DiffusersFlux
            }
            _ => WrittenLayout::Canonical,
        };
        let (canonical, ended) = self.canonical();
        ended.map_err(|error| error.to_string())?;
        let mut tensors = written.tensors(&canonical);
        if layout != SynthLayout::LlamaCpp {
            tensors.extend(self.beside());
        }
        let prefix = self.prefix(layout);
        for tensor in &mut tensors {
            tensor.name.insert_str(0, prefix);
        }
        Ok(tensors)
    }

    fn canonical(self) -> WantedTensors {
        match self {
            Self::Redux => wanted::redux(ReduxConfig::default()),
            Self::Vae => wanted::vae(&VaeConfig::flux()),
            Self::Siglip => wanted::siglip(SiglipConfig {
                hidden_size: 1152,
                intermediate_size: 4304,
                num_hidden_layers: 27,
                num_attention_heads: 16,
                image_size: 384,
                patch_size: 14,
                ..SiglipConfig::default()
            }),
            Self::T5 => {
                let mut config = T5Config::default();
                (config.d_model, config.d_ff, config.num_layers, config.num_heads) = (4096, 10_240, 24, 64);
                wanted::t5(config)
            }
            Self::Clip => {
                let mut config = ClipTextConfig::default();
                (config.hidden_size, config.intermediate_size, config.num_attention_heads) = (768, 3072, 12);
                wanted::clip(config)
            }
            Self::FluxDev | Self::Schnell | Self::Srpo | Self::Tiny => wanted::flux(&self.flux().unwrap_or_default()),
        }
    }

    /// Tensors that the published file has and no model here needs.
    fn beside(self) -> Vec<Wanted> {
        let tensor = |name: &str, shape: &[usize]| Wanted { name: name.to_owned(), shape: shape.to_vec() };
        match self {
            Self::T5 => vec![tensor("encoder.embed_tokens.weight", &[32_128, 4096])],
            Self::Siglip => vec![
                tensor("head.probe", &[1, 1, 1152]),
                tensor("head.attention.in_proj_weight", &[3456, 1152]),
                tensor("head.attention.in_proj_bias", &[3456]),
                tensor("head.attention.out_proj.weight", &[1152, 1152]),
                tensor("head.attention.out_proj.bias", &[1152]),
                tensor("head.layernorm.weight", &[1152]),
                tensor("head.layernorm.bias", &[1152]),
                tensor("head.mlp.fc1.weight", &[4304, 1152]),
                tensor("head.mlp.fc1.bias", &[4304]),
                tensor("head.mlp.fc2.weight", &[1152, 4304]),
                tensor("head.mlp.fc2.bias", &[1152]),
            ],
            _ => Vec::new(),
        }
    }

    fn prefix(self, layout: SynthLayout) -> &'static str {
        match (self, layout == SynthLayout::Comfyui) {
            (Self::FluxDev | Self::Schnell | Self::Srpo | Self::Tiny, true) => "model.diffusion_model.",
            (Self::Vae, true) => "vae.",
            (Self::T5, true) => "text_encoders.t5xxl.transformer.",
            (Self::Clip, true) => "text_encoders.clip_l.transformer.text_model.",
            (Self::Clip, false) => "text_model.",
            (Self::Siglip, _) => "vision_model.",
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inventories_are_those_of_the_published_files() {
        let count = |preset: SynthPreset, layout| preset.tensors(layout).unwrap().len();
        let numbers =
            |preset: SynthPreset| preset.tensors(preset.layout()).unwrap().iter().map(Wanted::numbers).sum::<usize>();
        assert_eq!(count(SynthPreset::FluxDev, SynthLayout::Bfl), 780);
        assert_eq!(count(SynthPreset::FluxDev, SynthLayout::Diffusers), 1160);
        assert_eq!(count(SynthPreset::Schnell, SynthLayout::Comfyui), 776);
        assert_eq!(count(SynthPreset::Srpo, SynthLayout::Diffusers), 1160);
        assert_eq!(count(SynthPreset::T5, SynthLayout::LlamaCpp), 219);
        assert_eq!(count(SynthPreset::Vae, SynthLayout::Bfl), 244);
        assert_eq!(numbers(SynthPreset::Siglip), 428_225_600);
        assert_eq!(numbers(SynthPreset::Vae), 83_819_683);
        assert_eq!(numbers(SynthPreset::Srpo), 11_901_408_320);
        assert_eq!(numbers(SynthPreset::T5), 4_762_310_656 + 32_128 * 4096);
        assert!(SynthPreset::Vae.tensors(SynthLayout::LlamaCpp).is_err());
        let attention = |layout| {
            let tensors = SynthPreset::Vae.tensors(layout).unwrap();
            tensors.into_iter().find(|tensor| tensor.name.contains("att") && tensor.name.ends_with("q.weight")).unwrap()
        };
        assert_eq!(attention(SynthLayout::Bfl).shape, [512, 512, 1, 1]);
        assert_eq!(attention(SynthLayout::Diffusers).shape, [512, 512]);
    }
}
