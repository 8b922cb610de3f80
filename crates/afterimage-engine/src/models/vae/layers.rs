//! Building blocks of encoder and decoder.

use super::{Check, Tensor3};
use crate::config::VaeConfig;
use crate::layers::Linear;
use crate::weights::Scope;
use afterimage_core::Result;
use afterimage_kernels::attention::{AttentionBias, AttentionShape, Tokens, attention};
use afterimage_kernels::conv::{Convolution, Movement, Planes, Prelude};
use afterimage_kernels::gemm::Finish;
use afterimage_kernels::norm::group_norm_affine;
use afterimage_tensors::Matrix;

/// Of every group norm in the autoencoder, whatever the config says elsewhere.
const NORM_EPSILON: f32 = 1e-6;

impl Tensor3 {
    pub(super) fn planes(&self) -> Planes<'_> {
        Planes { data: &self.data, channels: self.channels, height: self.height, width: self.width }
    }
}

/// A convolution's weights.
pub(super) struct Conv {
    weight: Matrix,
    bias: Vec<f32>,
    kernel: usize,
}

impl Conv {
    pub fn load(scope: &Scope, name: &str, inputs: usize, outputs: usize, kernel: usize) -> Result<Self> {
        Ok(Self {
            weight: scope.kernel(&format!("{name}.weight"), &[outputs, inputs, kernel, kernel])?,
            bias: scope.vector(&format!("{name}.bias"), outputs)?,
            kernel,
        })
    }

    fn convolution<'a>(&'a self, movement: Movement, prelude: Prelude<'a>, add: bool) -> Convolution<'a> {
        Convolution { weight: &self.weight, bias: &self.bias, kernel: self.kernel, movement, prelude, add }
    }

    /// A new tensor.
    pub fn run(&self, x: &Tensor3, movement: Movement, norm: Option<&GroupNorm>) -> Tensor3 {
        let (height, width) = (movement.output_side(x.height), movement.output_side(x.width));
        let mut out = Tensor3::zeros(self.weight.rows(), height, width);
        self.run_with(x, movement, norm, false, &mut out);
        out
    }

    /// Adds to `out`.
    pub fn add_to(&self, x: &Tensor3, norm: Option<&GroupNorm>, out: &mut Tensor3) {
        self.run_with(x, Movement::Same, norm, true, out);
    }

    fn run_with(&self, x: &Tensor3, movement: Movement, norm: Option<&GroupNorm>, add: bool, out: &mut Tensor3) {
        let affine = norm.map(|norm| norm.affine(x));
        let prelude = affine.as_ref().map_or(Prelude::None, |(scale, shift)| Prelude::AffineSilu { scale, shift });
        self.convolution(movement, prelude, add).run(x.planes(), &mut out.data);
    }
}

/// A group norm's weights.
pub(super) struct GroupNorm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    groups: usize,
}

impl GroupNorm {
    pub fn load(scope: &Scope, name: &str, channels: usize, config: &VaeConfig) -> Result<Self> {
        Ok(Self {
            weight: scope.vector(&format!("{name}.weight"), channels)?,
            bias: scope.vector(&format!("{name}.bias"), channels)?,
            groups: config.norm_num_groups,
        })
    }

    fn affine(&self, x: &Tensor3) -> (Vec<f32>, Vec<f32>) {
        group_norm_affine(x.planes(), self.groups, &self.weight, &self.bias, NORM_EPSILON)
    }
}

/// `x + conv(silu(norm(conv(silu(norm(x))))))`, with a 1×1 convolution on the shortcut when the width changes.
pub(super) struct Residual {
    norm1: GroupNorm,
    conv1: Conv,
    norm2: GroupNorm,
    conv2: Conv,
    shortcut: Option<Conv>,
}

impl Residual {
    pub fn load(scope: &Scope, inputs: usize, outputs: usize, config: &VaeConfig) -> Result<Self> {
        let shortcut =
            if inputs == outputs { None } else { Some(Conv::load(scope, "conv_shortcut", inputs, outputs, 1)?) };
        Ok(Self {
            norm1: GroupNorm::load(scope, "norm1", inputs, config)?,
            conv1: Conv::load(scope, "conv1", inputs, outputs, 3)?,
            norm2: GroupNorm::load(scope, "norm2", outputs, config)?,
            conv2: Conv::load(scope, "conv2", outputs, outputs, 3)?,
            shortcut,
        })
    }

    pub fn run(&self, x: Tensor3) -> Tensor3 {
        let inside = self.conv1.run(&x, Movement::Same, Some(&self.norm1));
        let mut out = match &self.shortcut {
            Some(shortcut) => shortcut.run(&x, Movement::Same, None),
            None => x,
        };
        self.conv2.add_to(&inside, Some(&self.norm2), &mut out);
        out
    }
}

/// Single-head attention over all pixels, with a residual connection.
struct Attention {
    norm: GroupNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
}

impl Attention {
    fn load(scope: &Scope, channels: usize, config: &VaeConfig) -> Result<Self> {
        let linear = |name| Linear::load(scope, name, channels, channels);
        Ok(Self {
            norm: GroupNorm::load(scope, "group_norm", channels, config)?,
            query: linear("to_q")?,
            key: linear("to_k")?,
            value: linear("to_v")?,
            out: linear("to_out.0")?,
        })
    }

    fn run(&self, x: &mut Tensor3) {
        let (channels, pixels) = (x.channels, x.height * x.width);
        let (scale, shift) = self.norm.affine(x);
        let mut normal = vec![0.0; x.data.len()];
        for (channel, plane) in x.data.chunks_exact(pixels).enumerate() {
            for (pixel, value) in plane.iter().enumerate() {
                normal[pixel * channels + channel] = value * scale[channel] + shift[channel];
            }
        }
        let width = 3 * channels;
        let mut qkv = vec![0.0; pixels * width];
        for (index, layer) in [&self.query, &self.key, &self.value].into_iter().enumerate() {
            layer.apply_into(&normal, Finish::Store, &mut qkv[index * channels..], width);
        }
        let view = |index: usize| Tokens { data: &qkv, row_stride: width, offset: index * channels };
        let shape = AttentionShape {
            queries: pixels,
            keys: pixels,
            heads: 1,
            head_dim: channels,
            scale: 1.0 / (channels as f32).sqrt(),
        };
        attention(&shape, view(0), view(1), view(2), &AttentionBias::None, &mut normal, channels, 0);
        let attended = self.out.apply(&normal);
        for (channel, plane) in x.data.chunks_exact_mut(pixels).enumerate() {
            for (pixel, value) in plane.iter_mut().enumerate() {
                *value += attended[pixel * channels + channel];
            }
        }
    }
}

/// Residual block, attention, residual block.
pub(super) struct Middle {
    first: Residual,
    attention: Option<Attention>,
    second: Residual,
}

impl Middle {
    pub fn load(scope: &Scope, channels: usize, config: &VaeConfig) -> Result<Self> {
        let scope = scope.at("mid_block");
        let attention = if config.mid_block_add_attention {
            Some(Attention::load(&scope.at("attentions.0"), channels, config)?)
        } else {
            None
        };
        Ok(Self {
            first: Residual::load(&scope.at("resnets.0"), channels, channels, config)?,
            attention,
            second: Residual::load(&scope.at("resnets.1"), channels, channels, config)?,
        })
    }

    pub fn run(&self, x: Tensor3, check: Check) -> Result<Tensor3> {
        let mut x = self.first.run(x);
        check()?;
        if let Some(attention) = &self.attention {
            attention.run(&mut x);
            check()?;
        }
        Ok(self.second.run(x))
    }
}
