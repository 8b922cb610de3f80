//! One evaluation of the transformer.
//!
//! All tokens live in one buffer, text first, so that attention sees one sequence and nothing is ever concatenated.
//! Biases, GELU and gated residuals happen inside the matrix products. MLPs run over blocks of rows, which keeps their
//! wide activations small. In the last single block only image tokens are computed beyond keys and values, since
//! nothing reads the text after it.

use super::blocks::{DoubleBlock, HeadNorms, SingleBlock, Stream};
use super::{Conditioning, FluxTransformer, NORM_EPSILON};
use afterimage_core::{Error, Result};
use afterimage_kernels::attention::{AttentionBias, AttentionShape, Tokens, attention};
use afterimage_kernels::gemm::Finish;
use afterimage_kernels::norm::{modulated_layer_norm, rms_norm_rotate};
use afterimage_kernels::simd::Isa;
use std::ops::Range;

/// Rows that an MLP handles at once.
const MLP_ROWS: usize = 2304;

/// Buffers of an evaluation, reused from step to step.
#[derive(Default)]
pub struct Workspace {
    /// `[tokens, hidden]`: the residual stream.
    x: Vec<f32>,
    /// `[tokens, hidden]`: normalised input of a layer, then the attention's output.
    h: Vec<f32>,
    /// `[tokens, 3 × hidden]`
    qkv: Vec<f32>,
    /// `[MLP rows, hidden]`: normalised input of an MLP beside the attention's output.
    normal: Vec<f32>,
    /// `[MLP rows, hidden + mlp]`
    wide: Vec<f32>,
}

impl Workspace {
    fn resize(&mut self, tokens: usize, hidden: usize, mlp: usize) {
        let rows = tokens.min(MLP_ROWS);
        self.x.resize(tokens * hidden, 0.0);
        self.h.resize(tokens * hidden, 0.0);
        self.qkv.resize(tokens * 3 * hidden, 0.0);
        self.normal.resize(rows * hidden, 0.0);
        self.wide.resize(rows * (hidden + mlp), 0.0);
    }
}

impl FluxTransformer {
    /// The velocity at `step` for packed `latents` `[image tokens, in_channels]`; writes `[image tokens, out channels]`.
    ///
    /// # Errors
    /// [`Error::Internal`] when latents or step do not fit `conditioning`.
    pub fn forward(
        &self,
        conditioning: &Conditioning,
        step: usize,
        latents: &[f32],
        workspace: &mut Workspace,
        velocity: &mut [f32],
    ) -> Result<()> {
        let (hidden, text_tokens) = (self.config.hidden(), conditioning.text_tokens);
        let image_tokens = conditioning.grid.tokens();
        if step >= conditioning.steps
            || latents.len() != image_tokens * self.config.in_channels
            || velocity.len() != image_tokens * self.config.out_channels()
        {
            return Err(Error::internal("latents do not fit the conditioning"));
        }
        workspace.resize(text_tokens + image_tokens, hidden, self.config.mlp());
        let (text, image) = workspace.x.split_at_mut(text_tokens * hidden);
        text.copy_from_slice(&conditioning.text);
        self.image_in.apply_into(latents, Finish::Store, image, hidden);
        let pass = Pass { flux: self, conditioning, hidden, text_tokens, tokens: text_tokens + image_tokens };
        for (block, modulations) in self.double_blocks.iter().zip(&conditioning.double) {
            let [image, text] = modulations.each_ref().map(|rows| chunks::<6>(rows, step, hidden));
            pass.double_block(block, &image, &text, workspace);
        }
        for (index, (block, modulation)) in self.single_blocks.iter().zip(&conditioning.single).enumerate() {
            let first = if index + 1 == self.single_blocks.len() { text_tokens } else { 0 };
            pass.single_block(block, &chunks::<3>(modulation, step, hidden), first, workspace);
        }
        let [shift, scale] = chunks::<2>(&conditioning.last, step, hidden);
        let image = text_tokens * hidden..;
        modulated_layer_norm(
            Isa::detect(),
            &workspace.x[image.clone()],
            scale,
            shift,
            NORM_EPSILON,
            &mut workspace.h[image.clone()],
        );
        self.final_linear.apply_into(&workspace.h[image], Finish::Store, velocity, self.config.out_channels());
        Ok(())
    }
}

impl FluxTransformer {
    /// Floating-point operations (a multiply-add counts two) that one evaluation of one picture performs.
    pub fn step_flops(&self, text_tokens: usize, image_tokens: usize) -> f64 {
        let (hidden, mlp) = (self.config.hidden() as f64, self.config.mlp() as f64);
        let (image, tokens) = (image_tokens as f64, (text_tokens + image_tokens) as f64);
        let block = |queries: f64| {
            let linear = tokens * 3.0 * hidden * hidden + queries * (hidden * hidden + 2.0 * hidden * mlp);
            2.0 * linear + 4.0 * hidden * queries * tokens
        };
        let single = self.single_blocks.len();
        let whole = (self.double_blocks.len() + single.saturating_sub(1)) as f64;
        let ends = 2.0 * image * hidden * (self.config.in_channels + self.config.out_channels()) as f64;
        whole * block(tokens) + if single > 0 { block(image) } else { 0.0 } + ends
    }
}

/// The `N` vectors of one step.
fn chunks<const N: usize>(rows: &[f32], step: usize, hidden: usize) -> [&[f32]; N] {
    std::array::from_fn(|index| &rows[(step * N + index) * hidden..][..hidden])
}

/// What all blocks of one evaluation share.
struct Pass<'a> {
    flux: &'a FluxTransformer,
    conditioning: &'a Conditioning,
    hidden: usize,
    text_tokens: usize,
    tokens: usize,
}

impl Pass<'_> {
    fn double_block(&self, block: &DoubleBlock, image: &[&[f32]; 6], text: &[&[f32]; 6], workspace: &mut Workspace) {
        let streams = [(&block.text, text, 0..self.text_tokens), (&block.image, image, self.text_tokens..self.tokens)];
        for (stream, [shift, scale, ..], rows) in &streams {
            self.queries_keys_values(&stream.qkv, &stream.norms, shift, scale, rows.clone(), workspace);
        }
        self.attend(0, workspace);
        for (stream, [_, _, gate, ..], rows) in &streams {
            let range = rows.start * self.hidden..rows.end * self.hidden;
            let (attended, x) = (&workspace.h[range.clone()], &mut workspace.x[range]);
            stream.projection.apply_into(attended, Finish::AddGated(gate), x, self.hidden);
        }
        for (stream, [_, _, _, shift, scale, gate], rows) in &streams {
            self.mlp(stream, [shift, scale, gate], rows.clone(), workspace);
        }
    }

    /// Attention and MLP of tokens from `first` on; keys and values of all tokens.
    fn single_block(&self, block: &SingleBlock, chunks: &[&[f32]; 3], first: usize, workspace: &mut Workspace) {
        let [shift, scale, gate] = chunks;
        self.queries_keys_values(&block.qkv, &block.norms, shift, scale, 0..self.tokens, workspace);
        self.attend(first, workspace);
        let (hidden, width) = (self.hidden, self.hidden + self.flux.config.mlp());
        for rows in blocks_of_rows(first..self.tokens) {
            let range = rows.start * hidden..rows.end * hidden;
            let normal = &mut workspace.normal[..range.len()];
            modulated_layer_norm(Isa::detect(), &workspace.x[range.clone()], scale, shift, NORM_EPSILON, normal);
            let wide = &mut workspace.wide[..rows.len() * width];
            for (wide, attended) in wide.chunks_exact_mut(width).zip(workspace.h[range.clone()].chunks_exact(hidden)) {
                wide[..hidden].copy_from_slice(attended);
            }
            block.mlp_in.apply_into(normal, Finish::Gelu, &mut wide[hidden..], width);
            block.out.apply_into(wide, Finish::AddGated(gate), &mut workspace.x[range], hidden);
        }
    }

    /// Modulated norm, projection, query and key norms and rotation of some rows.
    fn queries_keys_values(
        &self,
        projection: &crate::layers::Linear,
        norms: &HeadNorms,
        shift: &[f32],
        scale: &[f32],
        rows: Range<usize>,
        workspace: &mut Workspace,
    ) {
        let hidden = self.hidden;
        let range = rows.start * hidden..rows.end * hidden;
        modulated_layer_norm(
            Isa::detect(),
            &workspace.x[range.clone()],
            scale,
            shift,
            NORM_EPSILON,
            &mut workspace.h[range.clone()],
        );
        let qkv = &mut workspace.qkv[3 * range.start..3 * range.end];
        projection.apply_into(&workspace.h[range], Finish::Store, qkv, 3 * hidden);
        let heads = self.flux.config.num_attention_heads;
        for (offset, weight) in [(0, &norms.query), (hidden, &norms.key)] {
            let rotary = &self.conditioning.rotary;
            rms_norm_rotate(
                Isa::detect(),
                &mut qkv[offset..],
                3 * hidden,
                heads,
                weight,
                NORM_EPSILON,
                rotary,
                rows.start,
            );
        }
    }

    /// Attention of the queries from token `first` on to all tokens; the result goes to `workspace.h`.
    fn attend(&self, first: usize, workspace: &mut Workspace) {
        let (hidden, head_dim) = (self.hidden, self.flux.config.attention_head_dim);
        let shape = AttentionShape {
            queries: self.tokens - first,
            keys: self.tokens,
            heads: self.flux.config.num_attention_heads,
            head_dim,
            scale: 1.0 / (head_dim as f32).sqrt(),
        };
        let view = |offset| Tokens { data: &workspace.qkv, row_stride: 3 * hidden, offset };
        let bias = self.conditioning.bias.as_ref().map_or(AttentionBias::None, |bias| AttentionBias::Keys {
            offset: &bias.offset,
            gated: &bias.gated,
            gate: &bias.gate[first..],
        });
        let queries = view(first * 3 * hidden);
        let out = &mut workspace.h[first * hidden..];
        attention(&shape, queries, view(hidden), view(2 * hidden), &bias, out, hidden, 0);
    }

    fn mlp(&self, stream: &Stream, [shift, scale, gate]: [&[f32]; 3], rows: Range<usize>, workspace: &mut Workspace) {
        let (hidden, mlp) = (self.hidden, self.flux.config.mlp());
        for rows in blocks_of_rows(rows) {
            let range = rows.start * hidden..rows.end * hidden;
            let normal = &mut workspace.normal[..range.len()];
            modulated_layer_norm(Isa::detect(), &workspace.x[range.clone()], scale, shift, NORM_EPSILON, normal);
            let wide = &mut workspace.wide[..rows.len() * mlp];
            stream.mlp_in.apply_into(normal, Finish::Gelu, wide, mlp);
            stream.mlp_out.apply_into(wide, Finish::AddGated(gate), &mut workspace.x[range], hidden);
        }
    }
}

/// `rows` in equal blocks of at most [`MLP_ROWS`].
fn blocks_of_rows(rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let count = rows.len().div_ceil(MLP_ROWS).max(1);
    let size = rows.len().div_ceil(count);
    (0..count).map(move |block| {
        let start = rows.start + block * size;
        start..(start + size).min(rows.end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_all_rows_once() {
        for rows in [0..0, 3..4, 5..MLP_ROWS + 5, 0..2 * MLP_ROWS + 1] {
            let covered: Vec<usize> = blocks_of_rows(rows.clone()).flatten().collect();
            assert_eq!(covered, rows.clone().collect::<Vec<_>>());
            assert!(blocks_of_rows(rows).all(|block| block.len() <= MLP_ROWS));
        }
    }
}
