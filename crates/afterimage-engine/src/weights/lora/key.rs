//! Names of a LoRA's tensors.

use serde::Serialize;
use std::fmt;

/// The network that a tensor changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LoraPart {
    /// The FLUX transformer.
    Transformer,
    /// CLIP's text encoder.
    Clip,
    /// T5's encoder.
    T5,
}

impl LoraPart {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Transformer, Self::Clip, Self::T5];
}

impl fmt::Display for LoraPart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Transformer => "transformer",
            Self::Clip => "CLIP text encoder",
            Self::T5 => "T5 encoder",
        })
    }
}

/// Whose way of naming a file follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LoraForm {
    /// `transformer.….lora_A.weight`
    Peft,
    /// `lora_unet_….lora_down.weight`
    Kohya,
    /// `lora_transformer_….lora_down.weight`
    AiToolkit,
    /// `diffusion_model.….lora_A.weight`
    ComfyUi,
    /// Black Forest Labs' module names as they are.
    Bfl,
    /// `double_blocks.N.processor.qkv_lora1.down.weight`
    Xlabs,
    /// `base_model.model.….lora_A.weight`
    Fal,
}

impl LoraForm {
    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Peft => "diffusers (PEFT)",
            Self::Kohya => "kohya",
            Self::AiToolkit => "ai-toolkit",
            Self::ComfyUi => "ComfyUI",
            Self::Bfl => "BFL",
            Self::Xlabs => "XLabs",
            Self::Fal => "fal",
        }
    }
}

/// Which of a layer's tensors one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoraRole {
    /// `[rank, inputs]`
    Down,
    /// `[outputs, rank]`
    Up,
    /// One number: the update counts times alpha / rank.
    Alpha,
    /// `[outputs]`, added to the layer's bias.
    UpBias,
}

/// What a name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LoraTensorName {
    pub part: LoraPart,
    pub form: LoraForm,
    /// The layer as the file calls it, behind what stands in front of all names.
    pub module: String,
    pub role: LoraRole,
}

/// Endings, the longer ones before those that they end with.
const ENDINGS: [(&str, LoraRole); 13] = [
    (".lora_A.weight", LoraRole::Down),
    (".lora_B.weight", LoraRole::Up),
    (".lora_B.bias", LoraRole::UpBias),
    (".lora_up.bias", LoraRole::UpBias),
    (".lora_down.weight", LoraRole::Down),
    (".lora_up.weight", LoraRole::Up),
    (".lora.down.weight", LoraRole::Down),
    (".lora.up.weight", LoraRole::Up),
    (".lora_linear_layer.down.weight", LoraRole::Down),
    (".lora_linear_layer.up.weight", LoraRole::Up),
    (".down.weight", LoraRole::Down),
    (".up.weight", LoraRole::Up),
    (".alpha", LoraRole::Alpha),
];

/// What stands in front of all names of a network, the longer ones before those that they begin with.
const BEGINNINGS: [(&str, LoraPart, LoraForm); 19] = [
    ("lora_unet_", LoraPart::Transformer, LoraForm::Kohya),
    ("lora_transformer_", LoraPart::Transformer, LoraForm::AiToolkit),
    ("lora_te1_", LoraPart::Clip, LoraForm::Kohya),
    ("lora_te2_", LoraPart::T5, LoraForm::Kohya),
    ("lora_te3_", LoraPart::T5, LoraForm::Kohya),
    ("lora_te_", LoraPart::Clip, LoraForm::Kohya),
    ("lycoris_", LoraPart::Transformer, LoraForm::Kohya),
    ("text_encoders.clip_l.transformer.", LoraPart::Clip, LoraForm::ComfyUi),
    ("text_encoders.t5xxl.transformer.", LoraPart::T5, LoraForm::ComfyUi),
    ("clip_l.transformer.", LoraPart::Clip, LoraForm::ComfyUi),
    ("t5xxl.transformer.", LoraPart::T5, LoraForm::ComfyUi),
    ("text_encoder_2.", LoraPart::T5, LoraForm::Peft),
    ("text_encoder.", LoraPart::Clip, LoraForm::Peft),
    ("base_model.model.transformer.", LoraPart::Transformer, LoraForm::Peft),
    ("base_model.model.", LoraPart::Transformer, LoraForm::Fal),
    ("model.diffusion_model.", LoraPart::Transformer, LoraForm::ComfyUi),
    ("diffusion_model.", LoraPart::Transformer, LoraForm::ComfyUi),
    ("transformer.", LoraPart::Transformer, LoraForm::Peft),
    ("unet.", LoraPart::Transformer, LoraForm::Peft),
];

/// Parts of names that give another kind of adapter away, and how it is called.
const OTHERS: [(&str, &str); 14] = [
    ("dora_scale", "a DoRA (weights split into magnitude and direction)"),
    ("lora_magnitude_vector", "a DoRA (weights split into magnitude and direction)"),
    ("lokr_", "a LoKr (Kronecker products)"),
    ("hada_", "a LoHa (Hadamard products)"),
    ("lora_mid", "a LoCon (low rank of a convolution)"),
    ("lora_embedding_", "an adapter of an embedding"),
    ("oft_", "an OFT (orthogonal fine-tuning)"),
    ("boft_", "a BOFT (orthogonal fine-tuning)"),
    ("vera_lambda", "a VeRA (shared random matrices)"),
    ("ia3_l", "an IA3 (learned factors of activations)"),
    ("query_norm.scale", "the norms of a control LoRA, which also needs a control picture"),
    ("key_norm.scale", "the norms of a control LoRA, which also needs a control picture"),
    ("norm_q.weight", "the norms of a control LoRA, which also needs a control picture"),
    ("norm_k.weight", "the norms of a control LoRA, which also needs a control picture"),
];

/// Whether names look like those of a LoRA or of its kin, be they understood or not.
pub fn is_lora<'a>(names: impl IntoIterator<Item = &'a str>) -> bool {
    const WORDS: [&str; 4] = ["lora", "lokr_", "hada_", "dora_scale"];
    names.into_iter().any(|name| WORDS.iter().any(|word| name.contains(word)))
}

/// What the name of a tensor says, or what kind of adapter it belongs to that is not applied.
pub(super) fn read_name(name: &str) -> Result<LoraTensorName, &'static str> {
    if let Some((_, kind)) = OTHERS.iter().find(|(part, _)| name.contains(part)) {
        return Err(kind);
    }
    if [".diff", ".diff_b"].iter().any(|ending| name.ends_with(ending)) {
        return Err("a difference of whole weights");
    }
    let ending = ENDINGS.iter().find_map(|(ending, role)| Some((name.strip_suffix(ending)?, *role)));
    let ending = ending.or_else(|| of_adapter(name));
    let Some((module, role)) = ending.filter(|(module, _)| !module.is_empty()) else {
        return Err("no tensor of a LoRA");
    };
    let beginning = BEGINNINGS.iter().find_map(|(beginning, part, form)| {
        let module = module.strip_prefix(beginning)?;
        Some((module, *part, *form))
    });
    let (module, part, form) = beginning.unwrap_or_else(|| {
        let is_diffusers = module.contains("transformer_blocks.");
        (module, LoraPart::Transformer, if is_diffusers { LoraForm::Peft } else { LoraForm::Bfl })
    });
    let form = if module.contains(".processor.") { LoraForm::Xlabs } else { form };
    Ok(LoraTensorName { part, form, module: module.to_owned(), role })
}

/// Layer and role in PEFT's names while an adapter is loaded: its own name stands before `weight`.
fn of_adapter(name: &str) -> Option<(&str, LoraRole)> {
    let (start, adapter) = name.strip_suffix(".weight")?.rsplit_once('.')?;
    let roles = [(".lora_A", LoraRole::Down), (".lora_B", LoraRole::Up)];
    let found = roles.iter().find_map(|(ending, role)| Some((start.strip_suffix(ending)?, *role)));
    found.filter(|_| !adapter.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_told_apart() {
        use LoraForm::{AiToolkit, Bfl, ComfyUi, Fal, Kohya, Peft, Xlabs};
        use LoraPart::{Clip, T5, Transformer};
        use LoraRole::{Alpha, Down, Up, UpBias};
        for (name, part, form, module, role) in [
            ("transformer.proj_out.lora_A.weight", Transformer, Peft, "proj_out", Down),
            ("transformer_blocks.0.attn.to_q.lora_B.weight", Transformer, Peft, "transformer_blocks.0.attn.to_q", Up),
            ("lora_unet_double_blocks_0_img_mlp_2.alpha", Transformer, Kohya, "double_blocks_0_img_mlp_2", Alpha),
            ("lora_transformer_proj_out.lora_up.weight", Transformer, AiToolkit, "proj_out", Up),
            ("diffusion_model.img_in.lora_down.weight", Transformer, ComfyUi, "img_in", Down),
            ("model.diffusion_model.img_in.lora_A.weight", Transformer, ComfyUi, "img_in", Down),
            ("clip_l.transformer.text_model.x.lora_A.weight", Clip, ComfyUi, "text_model.x", Down),
            ("lycoris_img_in.lora_up.weight", Transformer, Kohya, "img_in", Up),
            ("transformer.proj_out.lora_A.default.weight", Transformer, Peft, "proj_out", Down),
            ("transformer.proj_out.lora_B.default_0.weight", Transformer, Peft, "proj_out", Up),
            ("img_in.lora_B.bias", Transformer, Bfl, "img_in", UpBias),
            (
                "double_blocks.1.processor.qkv_lora2.down.weight",
                Transformer,
                Xlabs,
                "double_blocks.1.processor.qkv_lora2",
                Down,
            ),
            ("base_model.model.txt_in.lora_A.weight", Transformer, Fal, "txt_in", Down),
            ("text_encoder.text_model.x.lora_A.weight", Clip, Peft, "text_model.x", Down),
            ("lora_te_text_model_x.lora_down.weight", Clip, Kohya, "text_model_x", Down),
            ("lora_te1_text_model_x.alpha", Clip, Kohya, "text_model_x", Alpha),
            ("lora_te3_encoder_x.lora_up.weight", T5, Kohya, "encoder_x", Up),
            ("text_encoder_2.encoder.x.lora_B.weight", T5, Peft, "encoder.x", Up),
        ] {
            let expected = LoraTensorName { part, form, module: module.to_owned(), role };
            assert_eq!(read_name(name), Ok(expected), "{name}");
        }
    }

    #[test]
    fn other_adapters_are_called_by_their_names() {
        for (name, kind) in [
            ("lora_unet_x.dora_scale", "a DoRA"),
            ("transformer.x.lora_magnitude_vector", "a DoRA"),
            ("lycoris_x.lokr_w1", "a LoKr"),
            ("lora_unet_x.hada_w1_a", "a LoHa"),
            ("diffusion_model.img_in.diff", "a difference of whole weights"),
            ("diffusion_model.img_in.diff_b", "a difference of whole weights"),
            ("double_blocks.0.img_attn.norm.query_norm.scale", "the norms of a control LoRA"),
            ("img_in.weight", "no tensor of a LoRA"),
            (".alpha", "no tensor of a LoRA"),
            ("", "no tensor of a LoRA"),
        ] {
            assert!(read_name(name).unwrap_err().starts_with(kind), "{name}");
        }
    }
}
