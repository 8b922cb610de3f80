//! How the numbers of a made-up file are stored.

use super::preset::SynthPreset;
use afterimage_tensors::Element;

/// A file's types of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[cfg_attr(feature = "clap", value(rename_all = "snake_case"))]
pub enum SynthType {
    /// As the published file: f32 for SRPO and the VAE, f16 for T5, CLIP and SigLIP, else bf16.
    Auto,
    /// Safetensors, single precision.
    F32,
    /// Safetensors, 16-bit brain floats.
    Bf16,
    /// Safetensors, half precision.
    F16,
    /// Safetensors, every tensor in e4m3 without scales.
    Fp8,
    /// Safetensors, every tensor in e5m2 without scales.
    Fp8E5m2,
    /// Safetensors, matrices of the blocks in e4m3 with a scale beside each, the rest in bf16.
    Fp8Scaled,
    /// GGUF.
    #[cfg_attr(feature = "clap", value(name = "q8_0"))]
    Q8,
    /// GGUF.
    #[cfg_attr(feature = "clap", value(name = "q6_k"))]
    Q6K,
    /// GGUF.
    #[cfg_attr(feature = "clap", value(name = "q5_k"))]
    Q5K,
    /// GGUF.
    #[cfg_attr(feature = "clap", value(name = "q4_k"))]
    Q4K,
    /// GGUF.
    #[cfg_attr(feature = "clap", value(name = "q3_k"))]
    Q3K,
    /// GGUF.
    #[cfg_attr(feature = "clap", value(name = "q2_k"))]
    Q2K,
    /// GGUF.
    #[cfg_attr(feature = "clap", value(name = "q5_0"))]
    Q5,
    /// GGUF.
    #[cfg_attr(feature = "clap", value(name = "q5_1"))]
    Q5One,
    /// GGUF.
    #[cfg_attr(feature = "clap", value(name = "q4_0"))]
    Q4,
    /// GGUF.
    #[cfg_attr(feature = "clap", value(name = "q4_1"))]
    Q4One,
    /// GGUF.
    #[cfg_attr(feature = "clap", value(name = "iq4_nl"))]
    Iq4Nl,
}

/// Parts of FLUX that the published GGUF files do not quantise (city96's patched quantiser), and T5's table of distances.
const NEVER_QUANTISED: [&str; 7] =
    ["img_in.", "txt_in.", "time_in.", "vector_in.", "guidance_in.", "final_layer.", "attn_rel_b"];

/// The same in diffusers' names.
const OUTSIDE_BLOCKS: [&str; 4] = ["x_embedder.", "context_embedder.", "time_text_embed.", "norm_out."];

impl SynthType {
    /// The type itself, or that of the published file.
    pub(super) fn resolved(self, preset: SynthPreset) -> Self {
        match (self, preset) {
            (Self::Auto, SynthPreset::Srpo | SynthPreset::Vae) => Self::F32,
            (Self::Auto, SynthPreset::T5 | SynthPreset::Clip | SynthPreset::Siglip) => Self::F16,
            (Self::Auto, _) => Self::Bf16,
            _ => self,
        }
    }

    /// The type of what is quantised.
    pub(super) fn element(self) -> Element {
        match self {
            Self::F32 => Element::F32,
            Self::Bf16 | Self::Auto => Element::Bf16,
            Self::F16 => Element::F16,
            Self::Fp8 | Self::Fp8Scaled => Element::F8E4M3,
            Self::Fp8E5m2 => Element::F8E5M2,
            Self::Q8 => Element::Q8_0,
            Self::Q6K => Element::Q6K,
            Self::Q5K => Element::Q5K,
            Self::Q4K => Element::Q4K,
            Self::Q3K => Element::Q3K,
            Self::Q2K => Element::Q2K,
            Self::Q5 => Element::Q5_0,
            Self::Q5One => Element::Q5_1,
            Self::Q4 => Element::Q4_0,
            Self::Q4One => Element::Q4_1,
            Self::Iq4Nl => Element::Iq4Nl,
        }
    }

    /// Whether the file is a GGUF file.
    pub(super) fn is_gguf(self) -> bool {
        self.element().block() > 1
    }

    /// The type of one tensor, as the published files have it: those of 256 numbers a block keep 1-D tensors in f32, the
    /// older ones in f16.
    pub(super) fn of(self, name: &str, shape: &[usize]) -> Element {
        let element = self.element();
        let outside = NEVER_QUANTISED.iter().chain(&OUTSIDE_BLOCKS).any(|part| name.contains(part));
        let whole = shape.last().is_some_and(|cols| cols.is_multiple_of(element.block()));
        match self {
            Self::F32 | Self::Bf16 | Self::Auto | Self::F16 | Self::Fp8 | Self::Fp8E5m2 => element,
            Self::Fp8Scaled if shape.len() != 2 || outside => Element::Bf16,
            _ if shape.len() < 2 && element.block() > 32 => Element::F32,
            _ if shape.len() != 2 || outside || !whole => Element::F16,
            _ => element,
        }
    }
}
