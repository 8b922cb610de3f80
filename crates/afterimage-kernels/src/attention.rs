//! Scaled dot-product attention that never holds the queries × keys scores.

/// Sizes of one attention call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionShape {
    /// Query tokens.
    pub queries: usize,
    /// Key and value tokens.
    pub keys: usize,
    /// Heads.
    pub heads: usize,
    /// Width of one head, any positive number.
    pub head_dim: usize,
    /// Factor on q·k, usually `head_dim^-0.5`.
    pub scale: f32,
}

/// A view of `[tokens, heads, head_dim]` inside a wider row-major buffer: element `d` of head `h` of token `t` stands
/// at `data[t * row_stride + offset + h * head_dim + d]`.
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'a> {
    /// The buffer.
    pub data: &'a [f32],
    /// Numbers from one token to the next.
    pub row_stride: usize,
    /// Where head 0 of token 0 starts.
    pub offset: usize,
}

impl<'a> Tokens<'a> {
    /// The numbers of one head of one token.
    pub fn row(&self, token: usize, head: usize, head_dim: usize) -> &'a [f32] {
        &self.data[token * self.row_stride + self.offset + head * head_dim..][..head_dim]
    }
}

/// What is added to the scaled scores before the softmax.
#[derive(Clone, Copy, Debug)]
pub enum AttentionBias<'a> {
    /// Nothing.
    None,
    /// `offset[key] + gate[query] * gated[key]`: collapsed tokens (ln of their count in `offset`) and the Redux
    /// strength (ln strength in `gated` for image tokens, gate 1 for all other queries). All finite.
    Keys {
        /// One number a key.
        offset: &'a [f32],
        /// One number a key.
        gated: &'a [f32],
        /// One number a query.
        gate: &'a [f32],
    },
    /// A number per pair, **key-major**: `values[(head * keys + key) * queries + query]`, −∞ allowed as long as every
    /// query keeps a finite key. Without `per_head` all heads share one `[keys, queries]` table.
    Pairs {
        /// The table.
        values: &'a [f32],
        /// Whether each head has its own.
        per_head: bool,
    },
}

impl AttentionBias<'_> {
    /// The number added for one pair.
    pub fn at(&self, shape: &AttentionShape, head: usize, query: usize, key: usize) -> f32 {
        match self {
            Self::None => 0.0,
            Self::Keys { offset, gated, gate } => offset[key] + gate[query] * gated[key],
            Self::Pairs { values, per_head } => {
                let head = if *per_head { head } else { 0 };
                values[(head * shape.keys + key) * shape.queries + query]
            }
        }
    }
}

/// Writes `softmax(q kᵀ · scale + bias) v` of token `t`, head `h` to
/// `out[t * out_stride + out_offset + h * head_dim ..][..head_dim]`.
///
/// # Panics
/// When a buffer is too short for `shape`.
pub fn attention(
    shape: &AttentionShape,
    q: Tokens,
    k: Tokens,
    v: Tokens,
    bias: &AttentionBias,
    out: &mut [f32],
    out_stride: usize,
    out_offset: usize,
) {
    let width = shape.heads * shape.head_dim;
    for (token, row) in crate::plain::attention(shape, q, k, v, bias).chunks_exact(width).enumerate() {
        out[token * out_stride + out_offset..][..width].copy_from_slice(row);
    }
}
