//! What a component has to hold, worked out from its configuration or its own shapes.

use super::report::ComponentKind;
use super::shapes;
use super::wanted::{self, WantedTensors};
use crate::bundle::Bundle;
use crate::config::{FluxConfig, VaeConfig};
use crate::weights::{FluxShape, LayoutSource};
use afterimage_core::{Error, Result};

/// What a component has to hold.
pub(super) struct ComponentNeeds {
    pub recording: WantedTensors,
    /// Names and values of the sizes that make it so.
    pub sizes: Vec<(String, String)>,
}

/// The needs of the component in `source`. `folder` is where its `config.json` is; only transformer and VAE follow it,
/// the others are what their shapes say.
///
/// # Errors
/// [`Error::ModelFile`] or [`Error::Tensor`] when neither tells usable sizes.
pub(super) fn needs(kind: ComponentKind, source: &LayoutSource, folder: Option<&Bundle>) -> Result<ComponentNeeds> {
    let path = source.component().path();
    match kind {
        ComponentKind::FluxTransformer => flux(source, folder),
        ComponentKind::Vae => {
            let config = match folder {
                Some(folder) => VaeConfig::read(folder)?,
                None => told(source, shapes::vae(source))?,
            };
            config.validate(path)?;
            let sizes = [
                ("block_out_channels", format!("{:?}", config.block_out_channels)),
                ("layers_per_block", config.layers_per_block.to_string()),
                ("latent_channels", config.latent_channels.to_string()),
            ];
            Ok(ComponentNeeds { recording: wanted::vae(&config), sizes: owned(sizes) })
        }
        ComponentKind::T5 => {
            let config = told(source, shapes::t5(source))?;
            config.validate(path)?;
            let sizes = [
                ("buckets", config.relative_attention_num_buckets),
                ("heads", config.num_heads),
                ("inner", config.num_heads * config.d_kv),
                ("layers", config.num_layers),
                ("mlp", config.d_ff),
                ("vocabulary", config.vocab_size),
                ("width", config.d_model),
            ];
            Ok(ComponentNeeds { recording: wanted::t5(config), sizes: counted(sizes) })
        }
        ComponentKind::Clip => {
            let config = told(source, shapes::clip(source))?;
            config.validate(path)?;
            let sizes = [
                ("layers", config.num_hidden_layers),
                ("mlp", config.intermediate_size),
                ("positions", config.max_position_embeddings),
                ("vocabulary", config.vocab_size),
                ("width", config.hidden_size),
            ];
            Ok(ComponentNeeds { recording: wanted::clip(config), sizes: counted(sizes) })
        }
        ComponentKind::Siglip => {
            let config = told(source, shapes::siglip(source))?;
            config.validate(path)?;
            let sizes = [
                ("layers", config.num_hidden_layers),
                ("mlp", config.intermediate_size),
                ("patch", config.patch_size),
                ("tokens", config.grid_side().pow(2)),
                ("width", config.hidden_size),
            ];
            Ok(ComponentNeeds { recording: wanted::siglip(config), sizes: counted(sizes) })
        }
        ComponentKind::Redux => {
            let config = told(source, shapes::redux(source))?;
            config.validate(path)?;
            let sizes = [
                ("hidden", 3 * config.txt_in_features),
                ("input", config.redux_dim),
                ("output", config.txt_in_features),
            ];
            Ok(ComponentNeeds { recording: wanted::redux(config), sizes: counted(sizes) })
        }
        ComponentKind::Lora | ComponentKind::Unknown => Err(Error::internal("such a component has no needs")),
    }
}

fn flux(source: &LayoutSource, folder: Option<&Bundle>) -> Result<ComponentNeeds> {
    let config = if let Some(folder) = folder {
        FluxConfig::read(folder)?
    } else {
        let config = FluxShape::read(source)?.config(None);
        config.validate(source.component().path())?;
        config
    };
    let sizes = [
        ("num_layers", config.num_layers.to_string()),
        ("num_single_layers", config.num_single_layers.to_string()),
        ("num_attention_heads", config.num_attention_heads.to_string()),
        ("attention_head_dim", config.attention_head_dim.to_string()),
        ("in_channels", config.in_channels.to_string()),
        ("joint_attention_dim", config.joint_attention_dim.to_string()),
        ("pooled_projection_dim", config.pooled_projection_dim.to_string()),
        ("guidance_embeds", config.guidance_embeds.to_string()),
    ];
    Ok(ComponentNeeds { recording: wanted::flux(&config), sizes: owned(sizes) })
}

fn counted<const N: usize>(pairs: [(&str, usize); N]) -> Vec<(String, String)> {
    owned(pairs.map(|(name, value)| (name, value.to_string())))
}

fn owned<const N: usize>(pairs: [(&str, String); N]) -> Vec<(String, String)> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn told<T>(source: &LayoutSource, config: Option<T>) -> Result<T> {
    config.ok_or_else(|| {
        Error::model_file(source.component().path(), "tensors that tell the model's sizes are missing or mis-shaped")
    })
}
