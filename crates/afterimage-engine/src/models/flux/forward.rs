//! One evaluation of the transformer.
//!
//! All tokens live in one buffer, text first, so that attention sees one sequence and nothing is ever concatenated.
//! Biases, GELU and gated residuals happen inside the matrix products. MLPs run over as many rows as the
//! device likes at once, which keeps their wide activations small. In the last single block only image tokens are computed beyond keys and values, since
//! nothing reads the text after it.

use super::blocks::{DoubleBlock, HeadNorms, SingleBlock, Stream};
use super::{Conditioning, FluxTransformer, NORM_EPSILON};
use crate::layers::Linear;
use afterimage_core::{Error, Result};
use afterimage_device::{Attention, AttentionBias, Device, Finish, HeadNorm, Norm, Precision, View, ViewMut};
use std::ops::Range;

/// Buffers of an evaluation, reused from step to step.
pub struct Workspace<D: Device> {
    /// `[tokens, hidden]`: the residual stream.
    x: D::Buffer,
    /// `[tokens, hidden]`: normalised input of a layer, then the attention's output.
    h: D::Buffer,
    /// `[tokens, 3 × hidden]`
    qkv: D::Buffer,
    /// `[wide rows, hidden]`: normalised input of an MLP beside the attention's output.
    normal: D::Buffer,
    /// `[wide rows, hidden + mlp]`
    wide: D::Buffer,
    /// `[image tokens, in channels]`
    latents: D::Buffer,
    /// `[image tokens, out channels]`
    velocity: D::Buffer,
    tokens: usize,
}

impl<D: Device> FluxTransformer<D> {
    /// Room for evaluations under `conditioning`, or under others with as many tokens.
    ///
    /// # Errors
    /// Those of the device.
    pub fn workspace(&self, conditioning: &Conditioning<D>) -> Result<Workspace<D>> {
        let (device, hidden) = (self.device.as_ref(), self.config.hidden());
        let image_tokens = conditioning.grid.tokens();
        let tokens = conditioning.text_tokens + image_tokens;
        let rows = tokens.min(device.limits().wide_rows);
        Ok(Workspace {
            x: device.allocate(tokens * hidden, Precision::Exact)?,
            h: device.allocate(tokens * hidden, Precision::Working)?,
            qkv: device.allocate(tokens * 3 * hidden, Precision::Working)?,
            normal: device.allocate(rows * hidden, Precision::Working)?,
            wide: device.allocate(rows * (hidden + self.config.mlp()), Precision::Working)?,
            latents: device.allocate(image_tokens * self.config.in_channels, Precision::Exact)?,
            velocity: device.allocate(image_tokens * self.config.out_channels(), Precision::Exact)?,
            tokens,
        })
    }

    /// The velocity at `step` for packed `latents` `[image tokens, in_channels]`; writes `[image tokens, out channels]`.
    ///
    /// # Errors
    /// [`Error::Internal`] when latents, step or workspace do not fit `conditioning`, and those of the device.
    pub fn forward(
        &self,
        conditioning: &Conditioning<D>,
        step: usize,
        latents: &[f32],
        workspace: &mut Workspace<D>,
        velocity: &mut [f32],
    ) -> Result<()> {
        let evaluation = self.evaluation(conditioning, step, workspace)?;
        evaluation.embed(latents, workspace)?;
        evaluation.blocks(0..evaluation.count(), workspace)?;
        evaluation.velocity(workspace, velocity)
    }

    /// The evaluation of `step`, of which nothing is computed yet.
    ///
    /// # Errors
    /// [`Error::Internal`] when step or workspace do not fit `conditioning`.
    pub(super) fn evaluation<'a>(
        &'a self,
        conditioning: &'a Conditioning<D>,
        step: usize,
        workspace: &Workspace<D>,
    ) -> Result<Evaluation<'a, D>> {
        let (text_tokens, hidden) = (conditioning.text_tokens, self.config.hidden());
        let tokens = text_tokens + conditioning.grid.tokens();
        if step >= conditioning.steps || workspace.tokens != tokens {
            return Err(Error::internal("the step or its workspace does not fit the conditioning"));
        }
        Ok(Evaluation { device: self.device.as_ref(), flux: self, conditioning, hidden, step, tokens })
    }
}

/// Chunk `index` of `N` of the row that modulates `step`.
fn chunk<B>(rows: &B, step: usize, chunks: usize, index: usize, hidden: usize) -> View<'_, B> {
    View::vector(rows, (step * chunks + index) * hidden, hidden)
}

/// What all blocks of one evaluation share.
pub(super) struct Evaluation<'a, D: Device> {
    pub device: &'a D,
    flux: &'a FluxTransformer<D>,
    conditioning: &'a Conditioning<D>,
    hidden: usize,
    step: usize,
    tokens: usize,
}

/// Shift and scale of a modulated norm.
type Modulation<'a, D> = [View<'a, <D as Device>::Buffer>; 2];

impl<D: Device> Evaluation<'_, D> {
    /// Fills the residual stream: the conditioning's text, and packed `latents` `[image tokens, in channels]`.
    ///
    /// # Errors
    /// [`Error::Internal`] when `latents` has another length, and those of the device.
    pub fn embed(&self, latents: &[f32], workspace: &mut Workspace<D>) -> Result<()> {
        let Self { device, flux, conditioning, hidden, tokens, .. } = *self;
        let (text_tokens, inputs) = (conditioning.text_tokens, flux.config.in_channels);
        let image_tokens = tokens - text_tokens;
        device.write(latents, ViewMut::new(&mut workspace.latents, image_tokens, inputs))?;
        device.copy(
            View::new(&conditioning.text, text_tokens, hidden),
            ViewMut::new(&mut workspace.x, text_tokens, hidden),
        )?;
        let latents = View::new(&workspace.latents, image_tokens, inputs);
        let image = ViewMut::new(&mut workspace.x, image_tokens, hidden).at(text_tokens * hidden);
        flux.image_in.apply_into(device, latents, Finish::Store, image)
    }

    /// Blocks of both kinds.
    pub fn count(&self) -> usize {
        self.flux.double_blocks.len() + self.flux.single_blocks.len()
    }

    /// Some of the blocks in the order in which they come, double ones first.
    ///
    /// # Errors
    /// Those of the device.
    pub fn blocks(&self, which: Range<usize>, workspace: &mut Workspace<D>) -> Result<()> {
        let Self { flux, conditioning, .. } = *self;
        let (double, all) = (flux.double_blocks.len(), self.count());
        for (index, (block, modulations)) in flux.double_blocks.iter().zip(&conditioning.double).enumerate() {
            if which.contains(&index) {
                self.double_block(block, modulations, workspace)?;
            }
        }
        for (index, (block, modulation)) in flux.single_blocks.iter().zip(&conditioning.single).enumerate() {
            if which.contains(&(double + index)) {
                let first = if double + index + 1 == all { conditioning.text_tokens } else { 0 };
                self.single_block(block, modulation, first, workspace)?;
            }
        }
        Ok(())
    }

    /// What the residual stream says of the velocity `[image tokens, out channels]`.
    ///
    /// # Errors
    /// [`Error::Internal`] when `velocity` has another length, and those of the device.
    pub fn velocity(&self, workspace: &mut Workspace<D>, velocity: &mut [f32]) -> Result<()> {
        let Self { device, flux, conditioning, hidden, step, tokens } = *self;
        let (text_tokens, outputs) = (conditioning.text_tokens, flux.config.out_channels());
        let modulation = [0, 1].map(|index| chunk(&conditioning.last, step, 2, index, hidden));
        self.modulate(&workspace.x, text_tokens..tokens, modulation, &mut workspace.h, text_tokens)?;
        let normal = self.rows(&workspace.h, text_tokens..tokens);
        let image_tokens = tokens - text_tokens;
        let out = ViewMut::new(&mut workspace.velocity, image_tokens, outputs);
        flux.final_linear.apply_into(device, normal, Finish::Store, out)?;
        device.read(View::new(&workspace.velocity, image_tokens, outputs), velocity)
    }

    /// The image's rows of the residual stream, `[image tokens, hidden]`.
    pub fn image<'b>(&self, workspace: &'b Workspace<D>) -> View<'b, D::Buffer> {
        self.rows(&workspace.x, self.conditioning.text_tokens..self.tokens)
    }

    /// The same, to be changed.
    pub fn image_mut<'b>(&self, workspace: &'b mut Workspace<D>) -> ViewMut<'b, D::Buffer> {
        self.rows_mut(&mut workspace.x, self.conditioning.text_tokens..self.tokens)
    }

    fn double_block(
        &self,
        block: &DoubleBlock<D>,
        [image, text]: &[D::Buffer; 2],
        workspace: &mut Workspace<D>,
    ) -> Result<()> {
        let text_tokens = self.conditioning.text_tokens;
        let streams = [(&block.text, text, 0..text_tokens), (&block.image, image, text_tokens..self.tokens)];
        let chunk = |modulation, index| chunk(modulation, self.step, 6, index, self.hidden);
        for &(stream, modulation, ref rows) in &streams {
            let modulation = [0, 1].map(|index| chunk(modulation, index));
            self.queries_keys_values(&stream.qkv, &stream.norms, modulation, rows.clone(), workspace)?;
        }
        self.attend(0, workspace)?;
        for &(stream, modulation, ref rows) in &streams {
            let attended = self.rows(&workspace.h, rows.clone());
            let x = self.rows_mut(&mut workspace.x, rows.clone());
            stream.projection.apply_into(self.device, attended, Finish::AddGated(chunk(modulation, 2)), x)?;
        }
        for &(stream, modulation, ref rows) in &streams {
            let [shift, scale, gate] = [3, 4, 5].map(|index| chunk(modulation, index));
            self.mlp(stream, [shift, scale], gate, rows.clone(), workspace)?;
        }
        Ok(())
    }

    /// Attention and MLP of tokens from `first` on; keys and values of all tokens.
    fn single_block(
        &self,
        block: &SingleBlock<D>,
        modulation: &D::Buffer,
        first: usize,
        workspace: &mut Workspace<D>,
    ) -> Result<()> {
        let [shift, scale, gate] = [0, 1, 2].map(|index| chunk(modulation, self.step, 3, index, self.hidden));
        self.queries_keys_values(&block.qkv, &block.norms, [shift, scale], 0..self.tokens, workspace)?;
        self.attend(first, workspace)?;
        let (device, hidden, mlp) = (self.device, self.hidden, self.flux.config.mlp());
        let width = hidden + mlp;
        for rows in blocks_of_rows(first..self.tokens, device.limits().wide_rows) {
            let count = rows.len();
            self.modulate(&workspace.x, rows.clone(), [shift, scale], &mut workspace.normal, 0)?;
            let attended = ViewMut::new(&mut workspace.wide, count, hidden).strided(width);
            device.copy(self.rows(&workspace.h, rows.clone()), attended)?;
            let wide = ViewMut::new(&mut workspace.wide, count, mlp).strided(width).at(hidden);
            let normal = View::new(&workspace.normal, count, hidden);
            block.mlp_in.apply_into(device, normal, Finish::GeluTanh, wide)?;
            let (wide, x) = (View::new(&workspace.wide, count, width), self.rows_mut(&mut workspace.x, rows));
            block.out.apply_into(device, wide, Finish::AddGated(gate), x)?;
        }
        Ok(())
    }

    /// Modulated norm, projection, query and key norms and rotation of some rows.
    fn queries_keys_values(
        &self,
        projection: &Linear<D>,
        norms: &HeadNorms<D>,
        modulation: Modulation<D>,
        rows: Range<usize>,
        workspace: &mut Workspace<D>,
    ) -> Result<()> {
        let (device, hidden, count) = (self.device, self.hidden, rows.len());
        self.modulate(&workspace.x, rows.clone(), modulation, &mut workspace.h, rows.start)?;
        let start = 3 * hidden * rows.start;
        let qkv = ViewMut::new(&mut workspace.qkv, count, 3 * hidden).at(start);
        projection.apply_into(device, self.rows(&workspace.h, rows.clone()), Finish::Store, qkv)?;
        for (part, weight) in [&norms.query, &norms.key].into_iter().enumerate() {
            let norm = HeadNorm {
                weight: View::vector(weight, 0, self.flux.config.attention_head_dim),
                epsilon: NORM_EPSILON,
                rotary: &self.conditioning.rotary,
                first_token: rows.start,
            };
            let heads = ViewMut::new(&mut workspace.qkv, count, hidden).strided(3 * hidden).at(start + part * hidden);
            device.rotate_heads(norm, heads)?;
        }
        Ok(())
    }

    /// Attention of the queries from token `first` on to all tokens; the result goes to `workspace.h`.
    fn attend(&self, first: usize, workspace: &mut Workspace<D>) -> Result<()> {
        let (hidden, tokens) = (self.hidden, self.tokens);
        let queries = tokens - first;
        let part = |rows, offset| View::new(&workspace.qkv, rows, hidden).strided(3 * hidden).at(offset);
        let bias = self.conditioning.bias.as_ref();
        let bias = match bias.and_then(|bias| Some((bias, bias.gated(self.step)?))) {
            Some((bias, gated)) => AttentionBias::Keys {
                offset: View::vector(&bias.offset, 0, tokens),
                gated: View::vector(gated, 0, tokens),
                gate: View::vector(&bias.gate, first, queries),
            },
            None => AttentionBias::None,
        };
        let attention = Attention {
            heads: self.flux.config.num_attention_heads,
            scale: 1.0 / (self.flux.config.attention_head_dim as f32).sqrt(),
            queries: part(queries, first * 3 * hidden),
            keys: part(tokens, hidden),
            values: part(tokens, 2 * hidden),
            bias,
        };
        self.device.attention(attention, self.rows_mut(&mut workspace.h, first..tokens))
    }

    fn mlp(
        &self,
        stream: &Stream<D>,
        modulation: Modulation<D>,
        gate: View<D::Buffer>,
        rows: Range<usize>,
        workspace: &mut Workspace<D>,
    ) -> Result<()> {
        let (device, mlp) = (self.device, self.flux.config.mlp());
        for rows in blocks_of_rows(rows, device.limits().wide_rows) {
            let count = rows.len();
            self.modulate(&workspace.x, rows.clone(), modulation, &mut workspace.normal, 0)?;
            let normal = View::new(&workspace.normal, count, self.hidden);
            let wide = ViewMut::new(&mut workspace.wide, count, mlp);
            stream.mlp_in.apply_into(device, normal, Finish::GeluTanh, wide)?;
            let (wide, x) = (View::new(&workspace.wide, count, mlp), self.rows_mut(&mut workspace.x, rows));
            stream.mlp_out.apply_into(device, wide, Finish::AddGated(gate), x)?;
        }
        Ok(())
    }

    /// The modulated norm of some rows of `x`, to rows of `out` from `first` on.
    fn modulate(
        &self,
        x: &D::Buffer,
        rows: Range<usize>,
        [shift, scale]: Modulation<D>,
        out: &mut D::Buffer,
        first: usize,
    ) -> Result<()> {
        let out = self.rows_mut(out, first..first + rows.len());
        self.device.norm(self.rows(x, rows), Norm::Modulated { scale, shift }, NORM_EPSILON, out)
    }

    /// Some rows of a buffer `[tokens, hidden]`.
    fn rows<'b>(&self, buffer: &'b D::Buffer, rows: Range<usize>) -> View<'b, D::Buffer> {
        View::new(buffer, rows.len(), self.hidden).at(rows.start * self.hidden)
    }

    fn rows_mut<'b>(&self, buffer: &'b mut D::Buffer, rows: Range<usize>) -> ViewMut<'b, D::Buffer> {
        ViewMut::new(buffer, rows.len(), self.hidden).at(rows.start * self.hidden)
    }
}

/// `rows` in equal blocks of at most `most` rows.
fn blocks_of_rows(rows: Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> {
    let count = rows.len().div_ceil(most).max(1);
    let size = rows.len().div_ceil(count);
    (0..count).map(move |block| {
        let start = rows.start + block * size;
        start..(start + size).min(rows.end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 2304;

    #[test]
    fn blocks_cover_all_rows_once() {
        for rows in [0..0, 3..4, 5..MOST + 5, 0..2 * MOST + 1] {
            let covered: Vec<usize> = blocks_of_rows(rows.clone(), MOST).flatten().collect();
            assert_eq!(covered, rows.clone().collect::<Vec<_>>());
            assert!(blocks_of_rows(rows, MOST).all(|block| block.len() <= MOST));
        }
    }
}
