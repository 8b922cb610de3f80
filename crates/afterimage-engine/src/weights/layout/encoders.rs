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
    let prefixes = ["", "text_model.", "text_encoder.text_model.", "text_encoders.clip_l.transformer.text_model."];
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

/// T5's encoder; the table of embeddings is `shared.weight` or, in files cut from an encoder alone,
/// `encoder.embed_tokens.weight`. Some files have both, with equal contents.
///
/// # Errors
/// [`afterimage_core::Error::ModelFile`] when it is something else.
pub fn t5(component: Arc<Component>) -> Result<LayoutSource> {
    const CANDIDATES: [Candidate; 1] =
        [Candidate { layout: "transformers", anchors: &["encoder.block.0.layer.0.SelfAttention.q.weight"] }];
    let prefixes = ["", "text_encoder_2.", "text_encoders.t5xxl.transformer."];
    let (_, prefix) = recognise(&component, "a T5 encoder", &CANDIDATES, &prefixes)?;
    let has = |name: &str| component.has(&format!("{prefix}{name}"));
    let embedding = if !has(SHARED) && has(EMBED_TOKENS) { EMBED_TOKENS } else { SHARED };
    Ok(LayoutSource { component, naming: Box::new(T5 { embedding }), layout: CANDIDATES[0].layout, prefix })
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
