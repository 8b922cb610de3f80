//! The pre-norm transformer that CLIP's two towers, SigLIP's vision tower and ViT are all made of: transformers'
//! `CLIPEncoder`, `SiglipEncoder` and `ViTEncoder`.

use super::ConfiguredActivation;
use crate::layers::{LayerNorm, Linear, StoredLinear};
use crate::weights::Scope;
use crate::weights::lora::AppliedLoras;
use afterimage_core::Result;
use afterimage_device::{Attention, AttentionBias, Device, Finish, Precision, View, ViewMut};
use std::sync::Arc;

/// Sizes that all layers of an encoder share.
#[derive(Clone, Copy, Debug)]
pub(super) struct EncoderShape {
    pub hidden: usize,
    pub intermediate: usize,
    pub heads: usize,
    pub layers: usize,
    pub epsilon: f32,
    pub activation: ConfiguredActivation,
}

/// `CLIPEncoderLayer`, `SiglipEncoderLayer`.
struct Layer<D: Device> {
    norm1: Arc<LayerNorm<D>>,
    /// Queries, keys and values below each other: one product instead of three.
    qkv: Linear<D>,
    out: Linear<D>,
    norm2: Arc<LayerNorm<D>>,
    fc1: Linear<D>,
    fc2: Linear<D>,
}

/// All layers: `layers.N.{layer_norm1, self_attn, layer_norm2, mlp}`.
pub(super) struct TransformerEncoder<D: Device> {
    shape: EncoderShape,
    layers: Vec<Layer<D>>,
}

impl<D: Device> TransformerEncoder<D> {
    pub fn load(device: &D, scope: &Scope, shape: EncoderShape) -> Result<Self> {
        let layers = (0..shape.layers).map(|index| Layer::load(device, &scope.at("layers").at(index), &shape));
        Ok(Self { shape, layers: layers.collect::<Result<_>>()? })
    }

    /// The encoder with what `loras` add to it, on the same weights.
    pub fn with_loras(&self, device: &D, loras: AppliedLoras) -> Result<Self> {
        let layers = self.layers.iter().map(|layer| layer.with_loras(device, loras));
        Ok(Self { shape: self.shape, layers: layers.collect::<Result<_>>()? })
    }

    /// Runs all layers on `x [tokens, hidden]`. `mask` `[keys, queries]` is added to the scores of every head.
    /// `interrupted` answers between layers whether to stop.
    pub fn forward(
        &self,
        device: &D,
        x: &mut D::Buffer,
        tokens: usize,
        mask: Option<&D::Buffer>,
        interrupted: &dyn Fn() -> Result<()>,
    ) -> Result<()> {
        self.layers.iter().try_for_each(|layer| {
            interrupted()?;
            layer.forward(device, x, tokens, &self.shape, mask)
        })
    }
}

impl<D: Device> Layer<D> {
    fn load(device: &D, scope: &Scope, shape: &EncoderShape) -> Result<Self> {
        let EncoderShape { hidden, intermediate, epsilon, .. } = *shape;
        let attention = scope.at("self_attn");
        let [q, k, v] =
            ["q_proj", "k_proj", "v_proj"].map(|name| StoredLinear::read(&attention.at(name), hidden, hidden));
        let qkv = StoredLinear::stack(&[q?, k?, v?])?.upload(device)?;
        let mlp = scope.at("mlp");
        Ok(Self {
            norm1: Arc::new(LayerNorm::load(device, &scope.at("layer_norm1"), hidden, epsilon)?),
            qkv,
            out: Linear::load(device, &attention.at("out_proj"), hidden, hidden)?,
            norm2: Arc::new(LayerNorm::load(device, &scope.at("layer_norm2"), hidden, epsilon)?),
            fc1: Linear::load(device, &mlp.at("fc1"), hidden, intermediate)?,
            fc2: Linear::load(device, &mlp.at("fc2"), intermediate, hidden)?,
        })
    }

    fn with_loras(&self, device: &D, loras: AppliedLoras) -> Result<Self> {
        Ok(Self {
            norm1: Arc::clone(&self.norm1),
            qkv: self.qkv.with_loras(device, loras)?,
            out: self.out.with_loras(device, loras)?,
            norm2: Arc::clone(&self.norm2),
            fc1: self.fc1.with_loras(device, loras)?,
            fc2: self.fc2.with_loras(device, loras)?,
        })
    }

    fn forward(
        &self,
        device: &D,
        x: &mut D::Buffer,
        tokens: usize,
        shape: &EncoderShape,
        mask: Option<&D::Buffer>,
    ) -> Result<()> {
        let EncoderShape { hidden, intermediate, .. } = *shape;
        let normal = self.norm1.apply(device, View::new(x, tokens, hidden), Precision::Working)?;
        let qkv = self.qkv.apply(device, View::new(&normal, tokens, hidden), Finish::Store, Precision::Working)?;
        let mut attended = normal;
        let part = |index: usize| View::new(&qkv, tokens, hidden).strided(3 * hidden).at(index * hidden);
        let attention = Attention {
            heads: shape.heads,
            scale: ((hidden / shape.heads) as f64).powf(-0.5) as f32,
            queries: part(0),
            keys: part(1),
            values: part(2),
            bias: mask.map_or(AttentionBias::None, |mask| AttentionBias::Pairs(View::new(mask, tokens, tokens))),
        };
        device.attention(attention, ViewMut::new(&mut attended, tokens, hidden))?;
        self.out.add_to(device, View::new(&attended, tokens, hidden), x)?;
        let normal = self.norm2.apply(device, View::new(x, tokens, hidden), Precision::Working)?;
        let normal = View::new(&normal, tokens, hidden);
        // The tanh form happens inside the product.
        let inner = if shape.activation == ConfiguredActivation::GeluTanh {
            self.fc1.apply(device, normal, Finish::GeluTanh, Precision::Working)?
        } else {
            let mut inner = self.fc1.apply(device, normal, Finish::Store, Precision::Working)?;
            device.activate(shape.activation.into(), ViewMut::new(&mut inner, tokens, intermediate))?;
            inner
        };
        self.fc2.add_to(device, View::new(&inner, tokens, intermediate), x)
    }
}
