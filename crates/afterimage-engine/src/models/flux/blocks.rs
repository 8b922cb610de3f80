//! Weights of the transformer's blocks: diffusers' `FluxTransformerBlock` and `FluxSingleTransformerBlock`,
//! `src/diffusers/models/transformers/transformer_flux.py`.

use crate::config::FluxConfig;
use crate::layers::{Linear, StoredLinear, vector};
use crate::weights::Scope;
use crate::weights::lora::AppliedLoras;
use afterimage_core::Result;
use afterimage_device::Device;
use std::sync::Arc;

/// Text and image tokens with weights of their own, attending to each other.
pub(super) struct DoubleBlock<D: Device> {
    pub image: Stream<D>,
    pub text: Stream<D>,
}

/// One side of a double block.
pub(super) struct Stream<D: Device> {
    /// Six chunks: shift, scale, gate of the attention, then of the MLP.
    pub modulation: Linear<D>,
    pub qkv: Linear<D>,
    pub norms: Arc<HeadNorms<D>>,
    pub projection: Linear<D>,
    pub mlp_in: Linear<D>,
    pub mlp_out: Linear<D>,
}

/// RMS norm weights `[head_dim]` of queries and keys.
pub(super) struct HeadNorms<D: Device> {
    pub query: D::Buffer,
    pub key: D::Buffer,
}

/// All tokens with the same weights; attention and MLP side by side.
pub(super) struct SingleBlock<D: Device> {
    /// Three chunks: shift, scale, gate.
    pub modulation: Linear<D>,
    /// First half of `linear1`.
    pub qkv: Linear<D>,
    /// Second half of `linear1`.
    pub mlp_in: Linear<D>,
    /// `linear2`, over attention and MLP side by side.
    pub out: Linear<D>,
    pub norms: Arc<HeadNorms<D>>,
}

impl<D: Device> DoubleBlock<D> {
    pub fn load(device: &D, scope: &Scope, config: &FluxConfig) -> Result<Self> {
        let [image, text] = ["img", "txt"].map(|side| Stream::load(device, scope, side, config));
        Ok(Self { image: image?, text: text? })
    }

    pub fn with_loras(&self, device: &D, loras: AppliedLoras) -> Result<Self> {
        let [image, text] = [&self.image, &self.text].map(|stream| stream.with_loras(device, loras));
        Ok(Self { image: image?, text: text? })
    }
}

impl<D: Device> Stream<D> {
    fn load(device: &D, scope: &Scope, side: &str, config: &FluxConfig) -> Result<Self> {
        let (hidden, mlp) = (config.hidden(), config.mlp());
        let attention = scope.at(format!("{side}_attn"));
        Ok(Self {
            modulation: Linear::load(device, &scope.at(format!("{side}_mod.lin")), hidden, 6 * hidden)?,
            qkv: Linear::load(device, &attention.at("qkv"), hidden, 3 * hidden)?,
            norms: Arc::new(HeadNorms::load(device, &attention, config)?),
            projection: Linear::load(device, &attention.at("proj"), hidden, hidden)?,
            mlp_in: Linear::load(device, &scope.at(format!("{side}_mlp.0")), hidden, mlp)?,
            mlp_out: Linear::load(device, &scope.at(format!("{side}_mlp.2")), mlp, hidden)?,
        })
    }

    fn with_loras(&self, device: &D, loras: AppliedLoras) -> Result<Self> {
        Ok(Self {
            modulation: self.modulation.with_loras(device, loras)?,
            qkv: self.qkv.with_loras(device, loras)?,
            norms: Arc::clone(&self.norms),
            projection: self.projection.with_loras(device, loras)?,
            mlp_in: self.mlp_in.with_loras(device, loras)?,
            mlp_out: self.mlp_out.with_loras(device, loras)?,
        })
    }
}

impl<D: Device> HeadNorms<D> {
    fn load(device: &D, scope: &Scope, config: &FluxConfig) -> Result<Self> {
        Ok(Self {
            query: vector(device, scope, "norm.query_norm.scale", config.attention_head_dim)?,
            key: vector(device, scope, "norm.key_norm.scale", config.attention_head_dim)?,
        })
    }
}

impl<D: Device> SingleBlock<D> {
    pub fn load(device: &D, scope: &Scope, config: &FluxConfig) -> Result<Self> {
        let (hidden, mlp) = (config.hidden(), config.mlp());
        let inner = StoredLinear::read(&scope.at("linear1"), hidden, 3 * hidden + mlp)?;
        Ok(Self {
            modulation: Linear::load(device, &scope.at("modulation.lin"), hidden, 3 * hidden)?,
            qkv: inner.outputs(0..3 * hidden).upload(device)?,
            mlp_in: inner.outputs(3 * hidden..3 * hidden + mlp).upload(device)?,
            out: Linear::load(device, &scope.at("linear2"), hidden + mlp, hidden)?,
            norms: Arc::new(HeadNorms::load(device, scope, config)?),
        })
    }

    pub fn with_loras(&self, device: &D, loras: AppliedLoras) -> Result<Self> {
        Ok(Self {
            modulation: self.modulation.with_loras(device, loras)?,
            qkv: self.qkv.with_loras(device, loras)?,
            mlp_in: self.mlp_in.with_loras(device, loras)?,
            out: self.out.with_loras(device, loras)?,
            norms: Arc::clone(&self.norms),
        })
    }
}
