//! Building blocks of encoder and decoder: diffusers' `ResnetBlock2D` (`src/diffusers/models/resnet.py`), `Attention` and
//! `UNetMidBlock2D` (`src/diffusers/models/unets/unet_2d_blocks.py`).

use super::tensor::StopCheck;
use crate::config::VaeConfig;
use crate::layers::{Linear, StoredLinear, vector};
use crate::models::feature_map::FeatureMap;
use crate::weights::Scope;
use afterimage_core::Result;
use afterimage_device::{
    Attention, AttentionBias, Convolution, Device, Finish, GroupNorm, MatrixShape, Movement, Precision, Prelude,
    Transpose, View, ViewMut,
};

/// Of every group norm in the autoencoder, whatever the config says elsewhere.
const NORM_EPSILON: f32 = 1e-6;

/// A convolution's weights.
pub(super) struct Conv<D: Device> {
    weight: D::Weight,
    bias: D::Buffer,
    kernel: usize,
}

impl<D: Device> Conv<D> {
    pub fn load(device: &D, scope: &Scope, inputs: usize, outputs: usize, kernel: usize) -> Result<Self> {
        Ok(Self {
            weight: device.convolution_weight(&scope.kernel("weight", &[outputs, inputs, kernel, kernel])?)?,
            bias: vector(device, scope, "bias", outputs)?,
            kernel,
        })
    }

    /// A new map.
    pub fn run(
        &self,
        device: &D,
        x: &FeatureMap<D>,
        movement: Movement,
        norm: Option<&GroupNormWeights<D>>,
    ) -> Result<FeatureMap<D>> {
        let (height, width) = (movement.output_side(x.height), movement.output_side(x.width));
        let mut out = FeatureMap::allocate(device, self.weight.rows(), height, width)?;
        self.run_with(device, x, movement, norm, false, &mut out)?;
        Ok(out)
    }

    /// Adds to `out`.
    pub fn add_to(
        &self,
        device: &D,
        x: &FeatureMap<D>,
        norm: Option<&GroupNormWeights<D>>,
        out: &mut FeatureMap<D>,
    ) -> Result<()> {
        self.run_with(device, x, Movement::Same, norm, true, out)
    }

    fn run_with(
        &self,
        device: &D,
        x: &FeatureMap<D>,
        movement: Movement,
        norm: Option<&GroupNormWeights<D>>,
        add: bool,
        out: &mut FeatureMap<D>,
    ) -> Result<()> {
        let affine = norm.map(|norm| norm.affine(device, x)).transpose()?;
        let prelude =
            affine.as_ref().map_or(Prelude::None, |affine| Prelude::AffineSilu(View::new(affine, 2, x.channels)));
        let bias = View::vector(&self.bias, 0, self.weight.rows());
        let convolution = Convolution { weight: &self.weight, bias, kernel: self.kernel, movement, prelude, add };
        device.convolve(convolution, x.planes(), out.view_mut())
    }
}

/// A group norm's weights.
pub(super) struct GroupNormWeights<D: Device> {
    weight: D::Buffer,
    bias: D::Buffer,
    groups: usize,
}

impl<D: Device> GroupNormWeights<D> {
    pub fn load(device: &D, scope: &Scope, channels: usize, config: &VaeConfig) -> Result<Self> {
        Ok(Self {
            weight: vector(device, scope, "weight", channels)?,
            bias: vector(device, scope, "bias", channels)?,
            groups: config.norm_num_groups,
        })
    }

    /// A scale, then a shift, for every channel of `x`.
    fn affine(&self, device: &D, x: &FeatureMap<D>) -> Result<D::Buffer> {
        let [weight, bias] = [&self.weight, &self.bias].map(|vector| View::vector(vector, 0, x.channels));
        let norm = GroupNorm { groups: self.groups, weight, bias, epsilon: NORM_EPSILON, input: x.planes() };
        let mut affine = device.allocate(2 * x.channels, Precision::Exact)?;
        device.group_norm(norm, ViewMut::new(&mut affine, 2, x.channels))?;
        Ok(affine)
    }
}

/// `x + conv(silu(norm(conv(silu(norm(x))))))`, with a 1×1 convolution on the shortcut when the width changes.
pub(super) struct Residual<D: Device> {
    norm1: GroupNormWeights<D>,
    conv1: Conv<D>,
    norm2: GroupNormWeights<D>,
    conv2: Conv<D>,
    shortcut: Option<Conv<D>>,
}

impl<D: Device> Residual<D> {
    pub fn load(device: &D, scope: &Scope, inputs: usize, outputs: usize, config: &VaeConfig) -> Result<Self> {
        let conv = |name: &str, inputs, kernel| Conv::load(device, &scope.at(name), inputs, outputs, kernel);
        let shortcut = if inputs == outputs { None } else { Some(conv("conv_shortcut", inputs, 1)?) };
        Ok(Self {
            norm1: GroupNormWeights::load(device, &scope.at("norm1"), inputs, config)?,
            conv1: conv("conv1", inputs, 3)?,
            norm2: GroupNormWeights::load(device, &scope.at("norm2"), outputs, config)?,
            conv2: conv("conv2", outputs, 3)?,
            shortcut,
        })
    }

    pub fn run(&self, device: &D, x: FeatureMap<D>) -> Result<FeatureMap<D>> {
        let inside = self.conv1.run(device, &x, Movement::Same, Some(&self.norm1))?;
        let mut out = match &self.shortcut {
            Some(shortcut) => shortcut.run(device, &x, Movement::Same, None)?,
            None => x,
        };
        self.conv2.add_to(device, &inside, Some(&self.norm2), &mut out)?;
        Ok(out)
    }
}

/// Single-head attention over all pixels, with a residual connection.
struct AttentionBlock<D: Device> {
    norm: GroupNormWeights<D>,
    /// Queries, keys and values below each other: one product instead of three.
    qkv: Linear<D>,
    out: Linear<D>,
}

impl<D: Device> AttentionBlock<D> {
    fn load(device: &D, scope: &Scope, channels: usize, config: &VaeConfig) -> Result<Self> {
        let [q, k, v] = ["to_q", "to_k", "to_v"].map(|name| StoredLinear::read(&scope.at(name), channels, channels));
        Ok(Self {
            norm: GroupNormWeights::load(device, &scope.at("group_norm"), channels, config)?,
            qkv: StoredLinear::stack(&[q?, k?, v?])?.upload(device)?,
            out: Linear::load(device, &scope.at("to_out.0"), channels, channels)?,
        })
    }

    fn run(&self, device: &D, x: &mut FeatureMap<D>) -> Result<()> {
        let (channels, pixels) = (x.channels, x.pixels());
        let affine = self.norm.affine(device, x)?;
        let mut tokens = device.allocate(pixels * channels, Precision::Working)?;
        let normalise = Transpose { input: x.view(), affine: Some(View::new(&affine, 2, channels)), add: false };
        device.transpose(normalise, ViewMut::new(&mut tokens, pixels, channels))?;
        let qkv = self.qkv.apply(device, View::new(&tokens, pixels, channels), Finish::Store, Precision::Working)?;
        let part = |index: usize| View::new(&qkv, pixels, channels).strided(3 * channels).at(index * channels);
        let attention = Attention {
            heads: 1,
            scale: 1.0 / (channels as f32).sqrt(),
            queries: part(0),
            keys: part(1),
            values: part(2),
            bias: AttentionBias::None,
        };
        device.attention(attention, ViewMut::new(&mut tokens, pixels, channels))?;
        let attended =
            self.out.apply(device, View::new(&tokens, pixels, channels), Finish::Store, Precision::Working)?;
        let back = Transpose { input: View::new(&attended, pixels, channels), affine: None, add: true };
        device.transpose(back, x.view_mut())
    }
}

/// Residual block, attention, residual block.
pub(super) struct Middle<D: Device> {
    first: Residual<D>,
    attention: Option<AttentionBlock<D>>,
    second: Residual<D>,
}

impl<D: Device> Middle<D> {
    pub fn load(device: &D, scope: &Scope, channels: usize, config: &VaeConfig) -> Result<Self> {
        let scope = scope.at("mid_block");
        let attention = if config.mid_block_add_attention {
            Some(AttentionBlock::load(device, &scope.at("attentions.0"), channels, config)?)
        } else {
            None
        };
        Ok(Self {
            first: Residual::load(device, &scope.at("resnets.0"), channels, channels, config)?,
            attention,
            second: Residual::load(device, &scope.at("resnets.1"), channels, channels, config)?,
        })
    }

    pub fn run(&self, device: &D, x: FeatureMap<D>, check: StopCheck) -> Result<FeatureMap<D>> {
        let mut x = self.first.run(device, x)?;
        check()?;
        if let Some(attention) = &self.attention {
            attention.run(device, &mut x)?;
            check()?;
        }
        self.second.run(device, x)
    }
}
