//! Weights of the transformer's blocks.

use crate::config::FluxConfig;
use crate::layers::Linear;
use crate::weights::Scope;
use afterimage_core::Result;

/// Text and image tokens with weights of their own, attending to each other.
pub(super) struct DoubleBlock {
    pub image: Stream,
    pub text: Stream,
}

/// One side of a double block.
pub(super) struct Stream {
    /// Six chunks: shift, scale, gate of the attention, then of the MLP.
    pub modulation: Linear,
    pub qkv: Linear,
    pub norms: HeadNorms,
    pub projection: Linear,
    pub mlp_in: Linear,
    pub mlp_out: Linear,
}

/// RMS norm weights `[head_dim]` of queries and keys.
pub(super) struct HeadNorms {
    pub query: Vec<f32>,
    pub key: Vec<f32>,
}

/// All tokens with the same weights; attention and MLP side by side.
pub(super) struct SingleBlock {
    /// Three chunks: shift, scale, gate.
    pub modulation: Linear,
    /// First half of `linear1`.
    pub qkv: Linear,
    /// Second half of `linear1`.
    pub mlp_in: Linear,
    /// `linear2`, over attention and MLP side by side.
    pub out: Linear,
    pub norms: HeadNorms,
}

impl DoubleBlock {
    pub fn load(scope: &Scope, config: &FluxConfig) -> Result<Self> {
        Ok(Self { image: Stream::load(scope, "img", config)?, text: Stream::load(scope, "txt", config)? })
    }
}

impl Stream {
    fn load(scope: &Scope, side: &str, config: &FluxConfig) -> Result<Self> {
        let (hidden, mlp) = (config.hidden(), config.mlp());
        let attention = scope.at(format!("{side}_attn"));
        Ok(Self {
            modulation: Linear::load(scope, &format!("{side}_mod.lin"), hidden, 6 * hidden)?,
            qkv: Linear::load(&attention, "qkv", hidden, 3 * hidden)?,
            norms: HeadNorms::load(&attention, config)?,
            projection: Linear::load(&attention, "proj", hidden, hidden)?,
            mlp_in: Linear::load(scope, &format!("{side}_mlp.0"), hidden, mlp)?,
            mlp_out: Linear::load(scope, &format!("{side}_mlp.2"), mlp, hidden)?,
        })
    }
}

impl HeadNorms {
    fn load(scope: &Scope, config: &FluxConfig) -> Result<Self> {
        Ok(Self {
            query: scope.vector("norm.query_norm.scale", config.attention_head_dim)?,
            key: scope.vector("norm.key_norm.scale", config.attention_head_dim)?,
        })
    }
}

impl SingleBlock {
    pub fn load(scope: &Scope, config: &FluxConfig) -> Result<Self> {
        let (hidden, mlp) = (config.hidden(), config.mlp());
        let inner = Linear::load(scope, "linear1", hidden, 3 * hidden + mlp)?;
        Ok(Self {
            modulation: Linear::load(scope, "modulation.lin", hidden, 3 * hidden)?,
            qkv: inner.outputs(0..3 * hidden),
            mlp_in: inner.outputs(3 * hidden..3 * hidden + mlp),
            out: Linear::load(scope, "linear2", hidden + mlp, hidden)?,
            norms: HeadNorms::load(scope, config)?,
        })
    }
}
