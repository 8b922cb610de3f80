//! The FLUX transformer: canonical names are BFL's; diffusers splits the fused projections.

use super::naming::{Canonical, Naming, Take, TensorPart};
use super::{Candidate, LayoutSource, recognise};
use crate::weights::component::Component;
use afterimage_core::Result;
use std::ops::Range;
use std::sync::Arc;

/// BFL's and diffusers' files have none; all-in-one checkpoints of `ComfyUI`, training tools and some exports have one.
const PREFIXES: [&str; 5] = ["", "model.diffusion_model.", "diffusion_model.", "transformer.", "model."];

/// A model may lack either kind of block, so each layout has an anchor in both.
const CANDIDATES: [Candidate; 2] = [
    Candidate { layout: "BFL", anchors: &["double_blocks.0.img_attn.qkv.weight", "single_blocks.0.linear1.weight"] },
    Candidate {
        layout: "diffusers",
        anchors: &["transformer_blocks.0.attn.add_q_proj.weight", "single_transformer_blocks.0.proj_mlp.weight"],
    },
];

/// Rows of the single blocks' MLP part in multiples of the hidden width; diffusers fixes the ratio at 4.
const MLP_RATIO: usize = 4;

/// A FLUX transformer in BFL's or diffusers' layout.
///
/// # Errors
/// [`afterimage_core::Error::ModelFile`] when it is neither.
pub fn flux(component: Arc<Component>) -> Result<LayoutSource> {
    let (number, prefix) = recognise(&component, "a FLUX transformer", &CANDIDATES, &PREFIXES)?;
    let naming: Box<dyn Naming> = if number == 0 { Box::new(Canonical) } else { Box::new(DiffusersFlux) };
    Ok(LayoutSource { component, naming, layout: CANDIDATES[number].layout, prefix })
}

/// The tensors of diffusers' layout that the canonical tensor `name` with so many `rows` is made of, top to bottom: each
/// one's name, its rows of the canonical tensor, and which rows of its own these are.
pub fn diffusers_rows(name: &str, rows: usize) -> Vec<(String, Range<usize>, Range<usize>)> {
    let parts = DiffusersFlux.parts(name);
    let shares: usize = parts.iter().map(|part| part.share).sum();
    let mut first = 0;
    parts
        .into_iter()
        .map(|part| {
            let count = rows / shares.max(1) * part.share;
            let here = first..first + count;
            first += count;
            let there = if part.take == Take::SecondHalf { count..2 * count } else { 0..count };
            (part.name, here, there)
        })
        .collect()
}

pub(super) struct DiffusersFlux;

impl Naming for DiffusersFlux {
    fn parts(&self, name: &str) -> Vec<TensorPart> {
        parts(name).unwrap_or_else(|| vec![TensorPart::all(name)])
    }
}

fn parts(name: &str) -> Option<Vec<TensorPart>> {
    if let Some(rest) = name.strip_prefix("double_blocks.") {
        let (block, rest) = rest.split_once('.')?;
        return double_block(&format!("transformer_blocks.{block}"), rest);
    }
    if let Some(rest) = name.strip_prefix("single_blocks.") {
        let (block, rest) = rest.split_once('.')?;
        return single_block(&format!("single_transformer_blocks.{block}"), rest);
    }
    let (module, kind) = name.rsplit_once('.')?;
    let module = match module {
        "img_in" => "x_embedder",
        "txt_in" => "context_embedder",
        "time_in.in_layer" => "time_text_embed.timestep_embedder.linear_1",
        "time_in.out_layer" => "time_text_embed.timestep_embedder.linear_2",
        "guidance_in.in_layer" => "time_text_embed.guidance_embedder.linear_1",
        "guidance_in.out_layer" => "time_text_embed.guidance_embedder.linear_2",
        "vector_in.in_layer" => "time_text_embed.text_embedder.linear_1",
        "vector_in.out_layer" => "time_text_embed.text_embedder.linear_2",
        "final_layer.linear" => "proj_out",
        // BFL's rows are shift, then scale; diffusers' AdaLayerNormContinuous has them the other way round.
        "final_layer.adaLN_modulation.1" => {
            let name = format!("norm_out.linear.{kind}");
            return Some(vec![
                TensorPart::half(name.clone(), Take::SecondHalf),
                TensorPart::half(name, Take::FirstHalf),
            ]);
        }
        _ => return None,
    };
    Some(vec![TensorPart::all(format!("{module}.{kind}"))])
}

fn double_block(block: &str, rest: &str) -> Option<Vec<TensorPart>> {
    let (module, kind) = rest.rsplit_once('.')?;
    let module = match module {
        "img_mod.lin" => "norm1.linear",
        "txt_mod.lin" => "norm1_context.linear",
        "img_attn.qkv" => return Some(each(block, ["attn.to_q", "attn.to_k", "attn.to_v"], kind)),
        "txt_attn.qkv" => return Some(each(block, ["attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"], kind)),
        "img_attn.proj" => "attn.to_out.0",
        "txt_attn.proj" => "attn.to_add_out",
        "img_attn.norm.query_norm" => return norm(block, "attn.norm_q", kind),
        "img_attn.norm.key_norm" => return norm(block, "attn.norm_k", kind),
        "txt_attn.norm.query_norm" => return norm(block, "attn.norm_added_q", kind),
        "txt_attn.norm.key_norm" => return norm(block, "attn.norm_added_k", kind),
        "img_mlp.0" => "ff.net.0.proj",
        "img_mlp.2" => "ff.net.2",
        "txt_mlp.0" => "ff_context.net.0.proj",
        "txt_mlp.2" => "ff_context.net.2",
        _ => return None,
    };
    Some(vec![TensorPart::all(format!("{block}.{module}.{kind}"))])
}

fn single_block(block: &str, rest: &str) -> Option<Vec<TensorPart>> {
    let (module, kind) = rest.rsplit_once('.')?;
    let module = match module {
        "modulation.lin" => "norm.linear",
        "linear1" => {
            let mut parts = each(block, ["attn.to_q", "attn.to_k", "attn.to_v"], kind);
            parts.push(TensorPart::share(format!("{block}.proj_mlp.{kind}"), MLP_RATIO));
            return Some(parts);
        }
        "linear2" => "proj_out",
        "norm.query_norm" => return norm(block, "attn.norm_q", kind),
        "norm.key_norm" => return norm(block, "attn.norm_k", kind),
        _ => return None,
    };
    Some(vec![TensorPart::all(format!("{block}.{module}.{kind}"))])
}

fn each(block: &str, modules: [&str; 3], kind: &str) -> Vec<TensorPart> {
    modules.iter().map(|module| TensorPart::all(format!("{block}.{module}.{kind}"))).collect()
}

/// BFL calls a norm's weight `scale`.
fn norm(block: &str, module: &str, kind: &str) -> Option<Vec<TensorPart>> {
    (kind == "scale").then(|| vec![TensorPart::all(format!("{block}.{module}.weight"))])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(canonical: &str) -> Vec<String> {
        DiffusersFlux.parts(canonical).into_iter().map(|part| part.name).collect()
    }

    #[test]
    fn fused_projections_are_the_split_ones_in_order() {
        assert_eq!(
            names("double_blocks.7.txt_attn.qkv.bias"),
            [
                "transformer_blocks.7.attn.add_q_proj.bias",
                "transformer_blocks.7.attn.add_k_proj.bias",
                "transformer_blocks.7.attn.add_v_proj.bias"
            ]
        );
        let linear1 = DiffusersFlux.parts("single_blocks.12.linear1.weight");
        assert_eq!(linear1[3], TensorPart::share("single_transformer_blocks.12.proj_mlp.weight", 4));
        assert_eq!(linear1.iter().map(|part| part.share).sum::<usize>(), 7);
    }

    #[test]
    fn the_two_meanings_of_proj_out_are_kept_apart() {
        assert_eq!(names("final_layer.linear.weight"), ["proj_out.weight"]);
        assert_eq!(names("single_blocks.0.linear2.bias"), ["single_transformer_blocks.0.proj_out.bias"]);
    }

    #[test]
    fn the_final_modulation_is_exchanged() {
        let parts = DiffusersFlux.parts("final_layer.adaLN_modulation.1.bias");
        assert_eq!(parts[0], TensorPart::half("norm_out.linear.bias", Take::SecondHalf));
        assert_eq!(parts[1], TensorPart::half("norm_out.linear.bias", Take::FirstHalf));
    }

    #[test]
    fn unknown_names_stay_as_they_are() {
        for name in ["", "x", "double_blocks.", "double_blocks.0", "single_blocks.0.linear3.weight", "img_in"] {
            assert_eq!(names(name), [name]);
        }
    }
}
