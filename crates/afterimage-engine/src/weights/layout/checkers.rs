//! Safety checkers. Canonical names of their vision transformers are those of CLIP's vision tower, as SigLIP's are.

use super::naming::{Canonical, Naming, TensorPart};
use super::{Candidate, LayoutSource, recognise};
use crate::weights::component::Component;
use afterimage_core::Result;
use std::sync::Arc;

/// Kinds of safety checkers, told apart by their tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckerKind {
    /// Yahoo's residual network.
    OpenNsfw,
    /// A vision transformer with a classifier behind it: transformers' `ViTForImageClassification`.
    Vit,
    /// CLIP's vision tower beside embeddings of concepts: diffusers' `StableDiffusionSafetyChecker`.
    CompVis,
}

/// Any safety checker.
///
/// # Errors
/// [`afterimage_core::Error::ModelFile`] when it is something else.
pub fn checker(component: Arc<Component>) -> Result<(CheckerKind, LayoutSource)> {
    const CANDIDATES: [Candidate; 3] = [
        Candidate {
            layout: "open_nsfw",
            anchors: &["stage1.block1.conv1.weight", "stage1.block1.shortcut.weight", "stage4.block3.conv3.weight"],
        },
        Candidate {
            layout: "ViT classifier",
            anchors: &["vit.embeddings.cls_token", "vit.embeddings.position_embeddings", "vit.layernorm.weight"],
        },
        Candidate {
            layout: "CompVis",
            anchors: &[
                "concept_embeds",
                "special_care_embeds",
                "concept_embeds_weights",
                "special_care_embeds_weights",
            ],
        },
    ];
    let (number, prefix) = recognise(&component, "a safety checker", &CANDIDATES, &[""])?;
    let (kind, naming): (CheckerKind, Box<dyn Naming>) = match number {
        0 => (CheckerKind::OpenNsfw, Box::new(Canonical)),
        1 => (CheckerKind::Vit, Box::new(Vit)),
        _ => (CheckerKind::CompVis, Box::new(CompVis::of(&component))),
    };
    Ok((kind, LayoutSource { component, naming, layout: CANDIDATES[number].layout, prefix }))
}

/// transformers' names of a ViT.
struct Vit;

impl Naming for Vit {
    fn parts(&self, name: &str) -> Vec<TensorPart> {
        const TRUNK: [(&str, &str); 4] = [
            ("embeddings.class_embedding", "vit.embeddings.cls_token"),
            ("embeddings.patch_embedding.", "vit.embeddings.patch_embeddings.projection."),
            ("embeddings.position_embedding.weight", "vit.embeddings.position_embeddings"),
            ("post_layernorm.", "vit.layernorm."),
        ];
        const LAYER: [(&str, &str); 8] = [
            ("layer_norm1.", "layernorm_before."),
            ("self_attn.q_proj.", "attention.attention.query."),
            ("self_attn.k_proj.", "attention.attention.key."),
            ("self_attn.v_proj.", "attention.attention.value."),
            ("self_attn.out_proj.", "attention.output.dense."),
            ("layer_norm2.", "layernorm_after."),
            ("mlp.fc1.", "intermediate.dense."),
            ("mlp.fc2.", "output.dense."),
        ];
        let layer = name.strip_prefix("encoder.layers.").and_then(|rest| rest.split_once('.'));
        vec![TensorPart::all(match layer {
            Some((number, inner)) => format!("vit.encoder.layer.{number}.{}", renamed(inner, &LAYER)),
            None => renamed(name, &TRUNK),
        })]
    }
}

/// `name` with its beginning replaced.
fn renamed(name: &str, beginnings: &[(&str, &str)]) -> String {
    let found = beginnings.iter().find_map(|(canonical, stored)| Some((name.strip_prefix(canonical)?, stored)));
    found.map_or_else(|| name.to_owned(), |(rest, stored)| format!("{stored}{rest}"))
}

/// The published file has `vision_model.` twice in front of the tower's names, what transformers 5 saves has it once.
struct CompVis {
    tower: &'static str,
}

impl CompVis {
    fn of(component: &Component) -> Self {
        const TWICE: &str = "vision_model.vision_model.";
        let twice = component.names().any(|name| name.starts_with(TWICE));
        Self { tower: if twice { TWICE } else { "vision_model." } }
    }
}

impl Naming for CompVis {
    fn parts(&self, name: &str) -> Vec<TensorPart> {
        let in_tower = ["embeddings.", "encoder.", "pre_layrnorm.", "post_layernorm."];
        let tower = if in_tower.iter().any(|beginning| name.starts_with(beginning)) { self.tower } else { "" };
        vec![TensorPart::all(format!("{tower}{name}"))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_names_become_transformers() {
        let vit = |name: &str| Vit.parts(name)[0].name.clone();
        assert_eq!(
            vit("encoder.layers.11.self_attn.q_proj.bias"),
            "vit.encoder.layer.11.attention.attention.query.bias"
        );
        assert_eq!(vit("embeddings.patch_embedding.weight"), "vit.embeddings.patch_embeddings.projection.weight");
        assert_eq!(vit("classifier.weight"), "classifier.weight");
        let compvis = |name: &str| CompVis { tower: "vision_model." }.parts(name)[0].name.clone();
        assert_eq!(compvis("pre_layrnorm.bias"), "vision_model.pre_layrnorm.bias");
        assert_eq!(compvis("visual_projection.weight"), "visual_projection.weight");
    }
}
