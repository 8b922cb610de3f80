//! CLIP, SigLIP, T5 and Redux: the names agree everywhere but for prefixes, and T5's table of embeddings.

use super::naming::{Canonical, Naming, TensorPart};
use super::{Candidate, LayoutSource, recognise};
use crate::weights::component::Component;
use afterimage_core::Result;
use std::sync::Arc;

/// CLIP's text encoder; canonical names have no `text_model.`, which transformers wrote before version 5.
///
/// # Errors
/// [`afterimage_core::Error::ModelFile`] when it is something else.
pub fn clip(component: Arc<Component>) -> Result<LayoutSource> {
    const CANDIDATES: [Candidate; 1] =
        [Candidate { layout: "transformers", anchors: &["embeddings.token_embedding.weight"] }];
    let prefixes = [
        "",
        "text_model.",
        "text_encoder.text_model.",
        "text_encoders.clip_l.transformer.text_model.",
        "text_encoders.clip_l.text_model.",
        "cond_stage_model.transformer.text_model.",
    ];
    let (_, prefix) = recognise(&component, "a CLIP text encoder", &CANDIDATES, &prefixes)?;
    Ok(LayoutSource { component, naming: Box::new(Canonical), layout: CANDIDATES[0].layout, prefix })
}

/// SigLIP's vision tower; canonical names have no `vision_model.`, which transformers wrote before version 5.
///
/// # Errors
/// [`afterimage_core::Error::ModelFile`] when it is something else.
pub fn siglip(component: Arc<Component>) -> Result<LayoutSource> {
    const CANDIDATES: [Candidate; 1] =
        [Candidate { layout: "transformers", anchors: &["embeddings.patch_embedding.weight"] }];
    let prefixes = ["", "vision_model.", "image_encoder.vision_model."];
    let (_, prefix) = recognise(&component, "a SigLIP vision tower", &CANDIDATES, &prefixes)?;
    Ok(LayoutSource { component, naming: Box::new(Canonical), layout: CANDIDATES[0].layout, prefix })
}

/// T5's encoder in transformers' or llama.cpp's names. transformers' table of embeddings is `shared.weight` or, in files
/// cut from an encoder alone, `encoder.embed_tokens.weight`. Some files have both, with equal contents.
///
/// # Errors
/// [`afterimage_core::Error::ModelFile`] when it is something else.
pub fn t5(component: Arc<Component>) -> Result<LayoutSource> {
    const CANDIDATES: [Candidate; 2] = [
        Candidate { layout: "transformers", anchors: &["encoder.block.0.layer.0.SelfAttention.q.weight"] },
        Candidate { layout: "llama.cpp", anchors: &["enc.blk.0.attn_q.weight"] },
    ];
    let prefixes = ["", "text_encoder_2.", "text_encoders.t5xxl.transformer.", "text_encoders.t5xxl."];
    let (number, prefix) = recognise(&component, "a T5 encoder", &CANDIDATES, &prefixes)?;
    let has = |name: &str| component.has(&format!("{prefix}{name}"));
    let naming: Box<dyn Naming> = if number == 0 {
        let embedding = if !has(SHARED) && has(EMBED_TOKENS) { EMBED_TOKENS } else { SHARED };
        Box::new(T5 { embedding })
    } else {
        Box::new(LlamaT5)
    };
    Ok(LayoutSource { component, naming, layout: CANDIDATES[number].layout, prefix })
}

/// The Redux adapter: four tensors, the same names everywhere.
///
/// # Errors
/// [`afterimage_core::Error::ModelFile`] when it is something else.
pub fn redux(component: Arc<Component>) -> Result<LayoutSource> {
    const CANDIDATES: [Candidate; 1] = [Candidate { layout: "BFL and diffusers", anchors: &["redux_up.weight"] }];
    let (_, prefix) = recognise(&component, "a Redux adapter", &CANDIDATES, &["", "image_embedder."])?;
    Ok(LayoutSource { component, naming: Box::new(Canonical), layout: CANDIDATES[0].layout, prefix })
}

const SHARED: &str = "shared.weight";
const EMBED_TOKENS: &str = "encoder.embed_tokens.weight";

struct T5 {
    embedding: &'static str,
}

impl Naming for T5 {
    fn parts(&self, name: &str) -> Vec<TensorPart> {
        vec![TensorPart::all(if name == SHARED { self.embedding } else { name })]
    }
}

/// The names that llama.cpp's converter gives to a T5 encoder (`MODEL_ARCH.T5ENCODER` in its `gguf-py`).
pub(super) struct LlamaT5;

impl Naming for LlamaT5 {
    fn parts(&self, name: &str) -> Vec<TensorPart> {
        vec![TensorPart::all(llama_name(name).unwrap_or_else(|| name.to_owned()))]
    }
}

fn llama_name(name: &str) -> Option<String> {
    let (module, kind) = name.rsplit_once('.')?;
    let module = match module {
        "shared" => "token_embd".to_owned(),
        "encoder.final_layer_norm" => "enc.output_norm".to_owned(),
        _ => {
            let (block, layer) = module.strip_prefix("encoder.block.")?.split_once('.')?;
            let layer = match layer {
                "layer.0.SelfAttention.q" => "attn_q",
                "layer.0.SelfAttention.k" => "attn_k",
                "layer.0.SelfAttention.v" => "attn_v",
                "layer.0.SelfAttention.o" => "attn_o",
                "layer.0.SelfAttention.relative_attention_bias" => "attn_rel_b",
                "layer.0.layer_norm" => "attn_norm",
                "layer.1.DenseReluDense.wi_0" => "ffn_gate",
                "layer.1.DenseReluDense.wi_1" => "ffn_up",
                "layer.1.DenseReluDense.wo" => "ffn_down",
                "layer.1.layer_norm" => "ffn_norm",
                _ => return None,
            };
            format!("enc.blk.{block}.{layer}")
        }
    };
    Some(format!("{module}.{kind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama_names_follow_the_converter() {
        let name = |name: &str| LlamaT5.parts(name)[0].name.clone();
        for (canonical, expected) in [
            ("shared.weight", "token_embd.weight"),
            ("encoder.block.23.layer.0.SelfAttention.o.weight", "enc.blk.23.attn_o.weight"),
            ("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", "enc.blk.0.attn_rel_b.weight"),
            ("encoder.block.7.layer.1.DenseReluDense.wi_1.weight", "enc.blk.7.ffn_up.weight"),
            ("encoder.block.7.layer.1.layer_norm.weight", "enc.blk.7.ffn_norm.weight"),
            ("encoder.final_layer_norm.weight", "enc.output_norm.weight"),
            ("encoder.block.7.layer.2.weight", "encoder.block.7.layer.2.weight"),
        ] {
            assert_eq!(name(canonical), expected);
        }
    }
}
