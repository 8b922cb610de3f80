//! A FLUX transformer's sizes as its tensors' shapes tell them, for single files that come without a configuration.

use super::blocks::MOST_BLOCKS;
use super::layout::LayoutSource;
use crate::config::FluxConfig;
use afterimage_core::{Error, Result};
use serde::Serialize;

/// Everything of a [`FluxConfig`] that shapes tell; only the split of the head into rotary axes is not among it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FluxShape {
    /// Width of a packed latent token.
    pub in_channels: usize,
    /// Width of the output.
    pub out_channels: usize,
    /// Double blocks.
    pub num_layers: usize,
    /// Single blocks.
    pub num_single_layers: usize,
    /// Width of one attention head.
    pub attention_head_dim: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Width of the text tokens.
    pub joint_attention_dim: usize,
    /// Width of the pooled text vector.
    pub pooled_projection_dim: usize,
    /// Whether there is a guidance embedding.
    pub guidance_embeds: bool,
}

/// The embedding of guidance, which FLUX.1-schnell has not.
const GUIDANCE: [&str; 4] = [
    "guidance_in.in_layer.weight",
    "guidance_in.in_layer.bias",
    "guidance_in.out_layer.weight",
    "guidance_in.out_layer.bias",
];

impl FluxShape {
    /// Reads the shape of the transformer in `source`.
    ///
    /// # Errors
    /// [`Error::Tensor`] when a tensor that tells a size is missing or has another number of dimensions.
    pub fn read(source: &LayoutSource) -> Result<Self> {
        let [hidden, in_channels] = sides(source, "img_in.weight")?;
        let [_, joint_attention_dim] = sides(source, "txt_in.weight")?;
        let [_, pooled_projection_dim] = sides(source, "vector_in.in_layer.weight")?;
        let [out_channels, _] = sides(source, "final_layer.linear.weight")?;
        let num_layers = blocks(source, |number| {
            [format!("double_blocks.{number}.img_attn.qkv.weight"), format!("double_blocks.{number}.txt_mlp.2.weight")]
        });
        let num_single_layers = blocks(source, |number| {
            [format!("single_blocks.{number}.linear1.weight"), format!("single_blocks.{number}.linear2.weight")]
        });
        let scale = if num_layers > 0 {
            "double_blocks.0.img_attn.norm.query_norm.scale"
        } else {
            "single_blocks.0.norm.query_norm.scale"
        };
        let [attention_head_dim] = sides(source, scale)?;
        if attention_head_dim == 0 || !hidden.is_multiple_of(attention_head_dim) {
            return Err(unusable(source, scale, format!("a divisor of the hidden width {hidden}")));
        }
        Ok(Self {
            in_channels,
            out_channels,
            num_layers,
            num_single_layers,
            attention_head_dim,
            num_attention_heads: hidden / attention_head_dim,
            joint_attention_dim,
            pooled_projection_dim,
            // Any of them, so that a missing one is told by its name.
            guidance_embeds: GUIDANCE.iter().any(|name| source.shape(name).is_some()),
        })
    }

    /// The configuration with these sizes. `axes` are the rotary axes; without them FLUX.1's are taken for heads of 128,
    /// and otherwise the head is split as FLUX.1 does, 1 : 3.5 : 3.5, which is a guess.
    pub fn config(&self, axes: Option<[usize; 3]>) -> FluxConfig {
        FluxConfig {
            in_channels: self.in_channels,
            out_channels: (self.out_channels != self.in_channels).then_some(self.out_channels),
            num_layers: self.num_layers,
            num_single_layers: self.num_single_layers,
            attention_head_dim: self.attention_head_dim,
            num_attention_heads: self.num_attention_heads,
            joint_attention_dim: self.joint_attention_dim,
            pooled_projection_dim: self.pooled_projection_dim,
            guidance_embeds: self.guidance_embeds,
            axes_dims_rope: axes.unwrap_or_else(|| split_axes(self.attention_head_dim)),
            ..FluxConfig::default()
        }
    }

    /// Checks that the transformer in `source`, which has this shape, can take the place of the one that `config`
    /// describes: what goes in and out is as wide. Depth, width inside and guidance are its own affair.
    ///
    /// # Errors
    /// [`Error::ModelFile`] for the file, naming the first field that differs.
    pub fn check(&self, source: &LayoutSource, config: &FluxConfig) -> Result<()> {
        let fields = [
            ("in_channels", self.in_channels, config.in_channels),
            ("out_channels", self.out_channels, config.out_channels()),
            ("joint_attention_dim", self.joint_attention_dim, config.joint_attention_dim),
            ("pooled_projection_dim", self.pooled_projection_dim, config.pooled_projection_dim),
        ];
        let Some((field, here, there)) = fields.into_iter().find(|(_, here, there)| here != there) else {
            return Ok(());
        };
        Err(Error::model_file(
            source.component().path(),
            format!(
                "{field} is {here} in this file, but {there} in the transformer/config.json it is used with; \
                 a transformer must match its base model"
            ),
        ))
    }
}

/// The sides of a tensor with `N` dimensions. Some exports of GGUF fill them up to four with ones.
fn sides<const N: usize>(source: &LayoutSource, name: &str) -> Result<[usize; N]> {
    let trimmed = |mut shape: Vec<usize>| {
        while shape.len() > N && shape.first() == Some(&1) {
            shape.remove(0);
        }
        while shape.len() > N && shape.last() == Some(&1) {
            shape.pop();
        }
        shape.try_into().ok()
    };
    source.shape(name).and_then(trimmed).ok_or_else(|| unusable(source, name, format!("a tensor with {N} dimensions")))
}

fn unusable(source: &LayoutSource, name: &str, expected: String) -> Error {
    // Fused tensors have several names in a file; the first one that is missing, else the first, is the telling one.
    let names = source.file_names(name);
    let missing = names.iter().find(|name| !source.component().has(name));
    Error::Tensor {
        path: source.component().path().to_path_buf(),
        tensor: missing.or(names.first()).cloned().unwrap_or_else(|| name.to_owned()),
        expected,
        found: match (missing, source.shape(name)) {
            (None, Some(shape)) => format!("{shape:?}"),
            _ => "nothing".to_owned(),
        },
    }
}

/// Counts blocks as long as either of two of their tensors is there, so that one missing tensor does not hide a block.
fn blocks(source: &LayoutSource, names: impl Fn(usize) -> [String; 2]) -> usize {
    (0..MOST_BLOCKS).take_while(|number| names(*number).iter().any(|name| source.shape(name).is_some())).count()
}

/// FLUX.1's proportions (16 : 56 : 56 of 128), rounded to even numbers.
fn split_axes(head_dim: usize) -> [usize; 3] {
    let spatial = head_dim / 16 * 7;
    let spatial = spatial - spatial % 2;
    [head_dim - 2 * spatial, spatial, spatial]
}

#[cfg(test)]
mod tests {
    use super::split_axes;

    #[test]
    fn axes_follow_flux() {
        assert_eq!(split_axes(128), [16, 56, 56]);
        assert_eq!(split_axes(64), [8, 28, 28]);
        assert_eq!(split_axes(32), [4, 14, 14]);
    }
}
