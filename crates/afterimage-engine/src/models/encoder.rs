//! The pre-norm transformer that CLIP's text model and SigLIP's vision tower are both made of.

use super::Activation;
use crate::layers::layer_norm;
use crate::weights::Scope;
use afterimage_core::{Error, Result};
use afterimage_kernels::attention::{AttentionBias, AttentionShape, Tokens, attention};
use afterimage_kernels::gemm::{Finish, Rows, RowsMut, linear, linear_into};
use afterimage_tensors::Matrix;

/// Sizes that all layers of an encoder share.
#[derive(Clone, Copy, Debug)]
pub(super) struct EncoderShape {
    pub hidden: usize,
    pub intermediate: usize,
    pub heads: usize,
    pub layers: usize,
    pub epsilon: f32,
    pub activation: Activation,
}

/// A learned layer norm.
pub(super) struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
}

impl Norm {
    pub fn new(weights: &Scope, width: usize, epsilon: f32) -> Result<Self> {
        Ok(Self { weight: weights.vector("weight", width)?, bias: weights.vector("bias", width)?, epsilon })
    }

    pub fn apply(&self, x: &[f32]) -> Vec<f32> {
        layer_norm(x, &self.weight, &self.bias, self.epsilon)
    }
}

/// A matrix and a bias.
struct Linear {
    weight: Matrix,
    bias: Vec<f32>,
}

impl Linear {
    fn new(weights: &Scope, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self { weight: weights.matrix("weight", outputs, inputs)?, bias: weights.vector("bias", outputs)? })
    }

    /// `out += x · weightᵀ + bias`
    fn add_to(&self, x: &[f32], out: &mut [f32]) {
        let (inputs, outputs) = (self.weight.cols(), self.weight.rows());
        let x = Rows { data: x, rows: x.len() / inputs, stride: inputs };
        linear_into(x, &self.weight, Some(&self.bias), Finish::Add, RowsMut { data: out, stride: outputs });
    }

    fn gelu_tanh(&self, x: &[f32]) -> Vec<f32> {
        let (inputs, outputs) = (self.weight.cols(), self.weight.rows());
        let x = Rows { data: x, rows: x.len() / inputs, stride: inputs };
        let mut out = vec![0.0; x.rows * outputs];
        let target = RowsMut { data: &mut out, stride: outputs };
        linear_into(x, &self.weight, Some(&self.bias), Finish::Gelu, target);
        out
    }
}

struct Layer {
    norm1: Norm,
    /// Queries, keys and values below each other: one product instead of three.
    qkv: Linear,
    out: Linear,
    norm2: Norm,
    fc1: Linear,
    fc2: Linear,
}

/// All layers: `layers.N.{layer_norm1, self_attn, layer_norm2, mlp}`.
pub(super) struct Encoder {
    shape: EncoderShape,
    layers: Vec<Layer>,
}

impl Encoder {
    pub fn new(weights: &Scope, shape: EncoderShape) -> Result<Self> {
        let layers = (0..shape.layers).map(|index| Layer::new(&weights.at("layers").at(index), &shape));
        Ok(Self { shape, layers: layers.collect::<Result<_>>()? })
    }

    /// Runs all layers on `x [tokens, hidden]`.
    pub fn forward(&self, x: &mut [f32], bias: &AttentionBias) {
        for layer in &self.layers {
            layer.forward(x, &self.shape, bias);
        }
    }
}

impl Layer {
    fn new(weights: &Scope, shape: &EncoderShape) -> Result<Self> {
        let EncoderShape { hidden, intermediate, epsilon, .. } = *shape;
        let attention = weights.at("self_attn");
        let [q, k, v] = ["q_proj", "k_proj", "v_proj"].map(|name| Linear::new(&attention.at(name), hidden, hidden));
        let (q, k, v) = (q?, k?, v?);
        let weight = Matrix::stack(&[q.weight, k.weight, v.weight])
            .ok_or_else(|| Error::internal("queries, keys and values of different widths"))?;
        let mlp = weights.at("mlp");
        Ok(Self {
            norm1: Norm::new(&weights.at("layer_norm1"), hidden, epsilon)?,
            qkv: Linear { weight, bias: [q.bias, k.bias, v.bias].concat() },
            out: Linear::new(&attention.at("out_proj"), hidden, hidden)?,
            norm2: Norm::new(&weights.at("layer_norm2"), hidden, epsilon)?,
            fc1: Linear::new(&mlp.at("fc1"), hidden, intermediate)?,
            fc2: Linear::new(&mlp.at("fc2"), intermediate, hidden)?,
        })
    }

    fn forward(&self, x: &mut [f32], shape: &EncoderShape, bias: &AttentionBias) {
        let hidden = shape.hidden;
        let tokens = x.len() / hidden;
        let head_dim = hidden / shape.heads;
        let attention_shape = AttentionShape {
            queries: tokens,
            keys: tokens,
            heads: shape.heads,
            head_dim,
            scale: (head_dim as f64).powf(-0.5) as f32,
        };
        let qkv = linear(&self.norm1.apply(x), &self.qkv.weight, Some(&self.qkv.bias));
        let part = |index: usize| Tokens { data: &qkv, row_stride: 3 * hidden, offset: index * hidden };
        let mut attended = vec![0.0; tokens * hidden];
        attention(&attention_shape, part(0), part(1), part(2), bias, &mut attended, hidden, 0);
        self.out.add_to(&attended, x);
        let normalised = self.norm2.apply(x);
        let inner = if shape.activation == Activation::GeluTanh {
            self.fc1.gelu_tanh(&normalised)
        } else {
            let mut inner = linear(&normalised, &self.fc1.weight, Some(&self.fc1.bias));
            shape.activation.apply(&mut inner);
            inner
        };
        self.fc2.add_to(&inner, x);
    }
}
