//! The VAE: canonical names are diffusers'; BFL's `ae.safetensors` numbers the decoder from the other end.

use super::naming::{Naming, TensorPart};
use super::{Candidate, LayoutSource, recognise};
use crate::weights::blocks::count;
use crate::weights::component::Component;
use afterimage_core::Result;
use std::sync::Arc;

/// Plain files have none; all-in-one checkpoints have one of the others.
const PREFIXES: [&str; 3] = ["", "vae.", "first_stage_model."];

const CANDIDATES: [Candidate; 2] = [
    Candidate { layout: "diffusers", anchors: &["encoder.down_blocks.0.resnets.0.conv1.weight"] },
    Candidate { layout: "BFL", anchors: &["encoder.down.0.block.0.conv1.weight"] },
];

/// An `AutoencoderKL` in diffusers' or BFL's layout.
///
/// # Errors
/// [`afterimage_core::Error::ModelFile`] when it is neither.
pub fn vae(component: Arc<Component>) -> Result<LayoutSource> {
    let (number, prefix) = recognise(&component, "a VAE", &CANDIDATES, &PREFIXES)?;
    let has = |name: &str| component.has(&format!("{prefix}{name}"));
    let naming: Box<dyn Naming> = if number == 0 {
        let old_attention = has("encoder.mid_block.attentions.0.query.weight");
        Box::new(DiffusersVae { old_attention })
    } else {
        let levels = count(has, |level| format!("decoder.up.{level}.block.0.conv1.weight"));
        Box::new(Bfl { levels })
    };
    Ok(LayoutSource { component, naming, layout: CANDIDATES[number].layout, prefix })
}

/// diffusers' names; before 0.14 the attention's layers were called `query`, `key`, `value` and `proj_attn`.
struct DiffusersVae {
    old_attention: bool,
}

impl Naming for DiffusersVae {
    fn parts(&self, name: &str) -> Vec<TensorPart> {
        let Some((block, layer)) = name.split_once("mid_block.attentions.0.").filter(|_| self.old_attention) else {
            return vec![TensorPart::all(name)];
        };
        let (layer, kind) = layer.rsplit_once('.').unwrap_or((layer, ""));
        let layer = match layer {
            "to_q" => "query",
            "to_k" => "key",
            "to_v" => "value",
            "to_out.0" => "proj_attn",
            other => other,
        };
        vec![TensorPart::all(format!("{block}mid_block.attentions.0.{layer}.{kind}"))]
    }
}

pub(super) struct Bfl {
    /// Resolution levels of the decoder.
    pub(super) levels: usize,
}

impl Naming for Bfl {
    fn parts(&self, name: &str) -> Vec<TensorPart> {
        vec![TensorPart::all(self.name(name).unwrap_or_else(|| name.to_owned()))]
    }
}

impl Bfl {
    fn name(&self, name: &str) -> Option<String> {
        let (coder, rest) = name.split_once('.').filter(|(coder, _)| matches!(*coder, "encoder" | "decoder"))?;
        let (module, kind) = rest.rsplit_once('.')?;
        let segments: Vec<&str> = module.split('.').collect();
        let module = match segments[..] {
            ["conv_norm_out"] => "norm_out".to_owned(),
            ["mid_block", "resnets", number, layer] => {
                format!("mid.block_{}.{}", number.parse::<usize>().ok()?.checked_add(1)?, resnet_layer(layer))
            }
            ["mid_block", "attentions", "0", layer] => format!("mid.attn_1.{}", attention_layer(layer)),
            ["mid_block", "attentions", "0", "to_out", "0"] => "mid.attn_1.proj_out".to_owned(),
            ["down_blocks", level, "resnets", number, layer] => {
                format!("down.{level}.block.{number}.{}", resnet_layer(layer))
            }
            ["down_blocks", level, "downsamplers", "0", "conv"] => format!("down.{level}.downsample.conv"),
            ["up_blocks", level, "resnets", number, layer] => {
                format!("up.{}.block.{number}.{}", self.mirrored(level)?, resnet_layer(layer))
            }
            ["up_blocks", level, "upsamplers", "0", "conv"] => format!("up.{}.upsample.conv", self.mirrored(level)?),
            _ => return None,
        };
        Some(format!("{coder}.{module}.{kind}"))
    }

    /// BFL numbers the decoder's levels by resolution, diffusers in the order in which they run.
    fn mirrored(&self, level: &str) -> Option<usize> {
        self.levels.checked_sub(1)?.checked_sub(level.parse().ok()?)
    }
}

fn resnet_layer(layer: &str) -> &str {
    if layer == "conv_shortcut" { "nin_shortcut" } else { layer }
}

fn attention_layer(layer: &str) -> &str {
    match layer {
        "group_norm" => "norm",
        "to_q" => "q",
        "to_k" => "k",
        "to_v" => "v",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bfl_names_follow_the_table() {
        let bfl = |name: &str| Bfl { levels: 4 }.parts(name)[0].name.clone();
        for (canonical, expected) in [
            ("encoder.conv_in.weight", "encoder.conv_in.weight"),
            ("decoder.conv_norm_out.bias", "decoder.norm_out.bias"),
            ("encoder.down_blocks.1.resnets.0.conv_shortcut.weight", "encoder.down.1.block.0.nin_shortcut.weight"),
            ("encoder.down_blocks.2.downsamplers.0.conv.bias", "encoder.down.2.downsample.conv.bias"),
            ("encoder.mid_block.resnets.1.norm2.weight", "encoder.mid.block_2.norm2.weight"),
            ("decoder.mid_block.attentions.0.group_norm.weight", "decoder.mid.attn_1.norm.weight"),
            ("decoder.mid_block.attentions.0.to_k.weight", "decoder.mid.attn_1.k.weight"),
            ("decoder.mid_block.attentions.0.to_out.0.bias", "decoder.mid.attn_1.proj_out.bias"),
            ("decoder.up_blocks.0.resnets.2.conv1.weight", "decoder.up.3.block.2.conv1.weight"),
            ("decoder.up_blocks.2.upsamplers.0.conv.weight", "decoder.up.1.upsample.conv.weight"),
            ("decoder.up_blocks.4.resnets.0.conv1.bias", "decoder.up_blocks.4.resnets.0.conv1.bias"),
            ("quant_conv.weight", "quant_conv.weight"),
        ] {
            assert_eq!(bfl(canonical), expected);
        }
    }

    #[test]
    fn old_attention_names_are_known() {
        let old = |name: &str| DiffusersVae { old_attention: true }.parts(name)[0].name.clone();
        assert_eq!(
            old("encoder.mid_block.attentions.0.to_out.0.bias"),
            "encoder.mid_block.attentions.0.proj_attn.bias"
        );
        assert_eq!(old("encoder.mid_block.attentions.0.to_q.weight"), "encoder.mid_block.attentions.0.query.weight");
        assert_eq!(old("encoder.mid_block.resnets.0.conv1.bias"), "encoder.mid_block.resnets.0.conv1.bias");
    }
}
