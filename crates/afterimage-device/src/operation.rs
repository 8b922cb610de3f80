//! The arguments of the operations. Vectors are views of one row.

use crate::view::{Planes, View};
pub use afterimage_kernels::conv::Movement;

/// A dense layer's parameters: `y = x · weightᵀ + bias`, and what adapters add to it.
#[derive(Debug)]
pub struct Dense<'a, W, B> {
    /// `[outputs, inputs]`
    pub weight: &'a W,
    /// `[outputs]`
    pub bias: Option<View<'a, B>>,
    /// Added to `y` before the finish.
    pub low_rank: Option<LowRank<'a, W>>,
}

/// What a low-rank adapter adds to a dense layer: `x · downᵀ · upᵀ` (Hu et al., LoRA: Low-Rank Adaptation of Large
/// Language Models, 2021), whatever the type of the layer's own numbers.
#[derive(Debug)]
pub struct LowRank<'a, W> {
    /// `[rank, inputs]`
    pub down: &'a W,
    /// `[outputs, rank]`, times alpha, scale and the like.
    pub up: &'a W,
}

/// What happens to a matrix product `y`.
#[derive(Debug)]
pub enum Finish<'a, B> {
    /// `out = y`
    Store,
    /// `out = gelu_tanh(y)`, see [`Activation::GeluTanh`].
    GeluTanh,
    /// `out += y`
    Add,
    /// `out += gate * y`, one gate a column: the residual connection of a modulated transformer block.
    AddGated(View<'a, B>),
}

/// Scaled dot-product attention. Heads stand side by side in a row: head `h` of queries, keys and values is columns
/// `h * head_dim ..`, where `head_dim` is their width divided by `heads`.
#[derive(Debug)]
pub struct Attention<'a, B> {
    /// Heads; they divide the width.
    pub heads: usize,
    /// Factor on q·k, usually `head_dim^-0.5`.
    pub scale: f32,
    /// `[queries, width]`
    pub queries: View<'a, B>,
    /// `[keys, width]`
    pub keys: View<'a, B>,
    /// `[keys, width]`
    pub values: View<'a, B>,
    /// Added to the scaled scores before the softmax.
    pub bias: AttentionBias<'a, B>,
}

/// What is added to the scaled scores before the softmax.
#[derive(Debug)]
pub enum AttentionBias<'a, B> {
    /// Nothing.
    None,
    /// `offset[key] + gate[query] * gated[key]`: collapsed tokens (ln of their count in `offset`) and the Redux strength
    /// (ln strength in `gated` for image tokens, gate 1 for all other queries). All finite. No table of pairs is needed.
    Keys {
        /// One number a key.
        offset: View<'a, B>,
        /// One number a key.
        gated: View<'a, B>,
        /// One number a query.
        gate: View<'a, B>,
    },
    /// A number per pair, **key-major**: `[keys, queries]`, or `[heads × keys, queries]` with a table for each head;
    /// without gaps. −∞ is allowed as long as every query keeps a finite key.
    Pairs(View<'a, B>),
}

/// A normalisation of every row of `[rows, width]`; vectors have `width` numbers.
#[derive(Debug)]
pub enum Norm<'a, B> {
    /// `(x − mean) / √(variance + epsilon) · weight + bias`, with the biased variance (Ba, Kiros and Hinton, 2016).
    Layer {
        /// Learned factor.
        weight: View<'a, B>,
        /// Learned offset.
        bias: View<'a, B>,
    },
    /// `(x − mean) / √(variance + epsilon) · (1 + scale) + shift`: adaptive layer norm as every FLUX block uses it.
    Modulated {
        /// From the block's modulation.
        scale: View<'a, B>,
        /// From the block's modulation.
        shift: View<'a, B>,
    },
    /// `x / √(mean(x²) + epsilon) · weight` (Zhang and Sennrich, 2019).
    Rms {
        /// Learned factor.
        weight: View<'a, B>,
    },
}

/// Root-mean-square norm of every head of some tokens, then rotation: interleaved pairs become
/// `(x₀ cos − x₁ sin, x₁ cos + x₀ sin)`.
#[derive(Debug)]
pub struct HeadNorm<'a, R, B> {
    /// `[head_dim]`
    pub weight: View<'a, B>,
    /// Added to the mean square.
    pub epsilon: f32,
    /// Angles.
    pub rotary: &'a R,
    /// The table's row of the first token.
    pub first_token: usize,
}

/// One convolution over planes.
#[derive(Debug)]
pub struct Convolution<'a, W, B> {
    /// `[outputs, inputs × kernel × kernel]`, as a `[outputs, inputs, kernel, kernel]` tensor is stored.
    pub weight: &'a W,
    /// `[outputs]`
    pub bias: View<'a, B>,
    /// Side of the square kernel, odd.
    pub kernel: usize,
    /// How it moves.
    pub movement: Movement,
    /// What is done to the input first.
    pub prelude: Prelude<'a, B>,
    /// Whether the result is added to what the output holds (a residual connection) instead of replacing it.
    pub add: bool,
}

/// What is done to a convolution's input on its way in.
#[derive(Debug)]
pub enum Prelude<'a, B> {
    /// Nothing.
    None,
    /// `silu(x * scale[channel] + shift[channel])`, scales and shifts as `[2, channels]`: a group norm by
    /// [`crate::Device::group_norm`] and its activation. Padding is added after it.
    AffineSilu(View<'a, B>),
}

/// A group norm over planes, folded into one scale and one shift a channel.
#[derive(Debug)]
pub struct GroupNorm<'a, B> {
    /// Groups; they divide the channels.
    pub groups: usize,
    /// `[channels]`
    pub weight: View<'a, B>,
    /// `[channels]`
    pub bias: View<'a, B>,
    /// Added to the variance.
    pub epsilon: f32,
    /// The planes whose statistics are taken.
    pub input: Planes<'a, B>,
}

/// An elementwise function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x · sigmoid(x)`
    Silu,
    /// `x · sigmoid(1.702 x)`, the approximation of GELU that the first CLIP models were trained with.
    QuickGelu,
    /// `x/2 · (1 + erf(x / √2))`
    Gelu,
    /// GELU with the tanh approximation (Hendrycks and Gimpel, 2016): `x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))`
    GeluTanh,
    /// 0 below 0, else `x`; NaN stays NaN, so that a damaged network is found out.
    Relu,
}

/// How two operands become one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Combine {
    /// `x += factor · y`
    Add {
        /// Factor on `y`, usually 1.
        factor: f32,
    },
    /// `x *= y`
    Multiply,
}

/// A transposition: planes to tokens and back.
#[derive(Debug)]
pub struct Transpose<'a, B> {
    /// `[rows, cols]`; the output is `[cols, rows]`.
    pub input: View<'a, B>,
    /// `[2, rows]`: a scale and a shift of each row of the input, applied on the way.
    pub affine: Option<View<'a, B>>,
    /// Whether the result is added to what the output holds.
    pub add: bool,
}
