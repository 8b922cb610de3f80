//! An attention call: its sizes, inputs and biases.

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

    /// # Panics
    /// When there are not so many tokens.
    pub(super) fn check(&self, tokens: usize, shape: &AttentionShape, name: &str) {
        let end = (tokens - 1) * self.row_stride + self.offset + shape.heads * shape.head_dim;
        assert!(self.data.len() >= end, "{name} shorter than {shape:?}");
    }
}

/// What attention reads.
#[derive(Clone, Copy, Debug)]
pub struct AttentionInputs<'a> {
    /// A row a query token.
    pub queries: Tokens<'a>,
    /// A row a key token.
    pub keys: Tokens<'a>,
    /// A row a key token.
    pub values: Tokens<'a>,
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

    /// # Panics
    /// When there is not a number for each of what it belongs to.
    pub(super) fn check(&self, shape: &AttentionShape) {
        match self {
            Self::None => {}
            Self::Keys { offset, gated, gate } => {
                assert!(offset.len() == shape.keys && gated.len() == shape.keys, "a bias per key");
                assert!(gate.len() == shape.queries, "a gate per query");
            }
            Self::Pairs { values, per_head } => {
                let tables = if *per_head { shape.heads } else { 1 };
                assert!(values.len() == tables * shape.keys * shape.queries, "a bias per pair");
            }
        }
    }
}
