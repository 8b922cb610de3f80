//! First-Block Cache: steps that reuse what an earlier one computed. Neighbouring steps see nearly the same latents, so
//! where the first double block adds nearly the same, the blocks behind it would, too.
//!
//! As diffusers' `FirstBlockCache` (`src/diffusers/hooks/first_block_cache.py`, after `ParaAttention`): with `r` what block 0
//! adds to the image and `r'` what it added in the last step that was computed to the end, a step with
//! mean|r − r'| / mean|r'| ≤ threshold skips the other blocks and adds what they added then. Of that only the image's part is
//! kept: nothing reads the text behind the blocks. Here the first and the last step are always computed.

use super::forward::{Evaluation, Workspace};
use super::{Conditioning, FluxTransformer};
use afterimage_core::Result;
use afterimage_device::{Combine, Device, Precision, View, ViewMut};
use std::mem;

/// What earlier steps of a pass left for later ones, of each of its pictures.
pub struct StepCaches<D: Device> {
    threshold: f32,
    /// `[image tokens, hidden]`
    shape: [usize; 2],
    pictures: Vec<Residuals<D>>,
    /// Of the step under way, as [`Residuals::head`].
    head: D::Buffer,
    /// Two numbers: the mean magnitudes of the change and of what changed.
    change: D::Buffer,
}

/// What blocks added to one picture's image tokens in the last step that was computed to the end, **negated**: a buffer
/// that held the stream before them becomes it by one subtraction.
struct Residuals<D: Device> {
    /// By block 0.
    head: D::Buffer,
    /// By all blocks behind it.
    tail: D::Buffer,
    /// Whether there was such a step.
    is_known: bool,
}

/// One picture's part of [`StepCaches`].
pub struct StepCache<'a, D: Device> {
    threshold: f32,
    shape: [usize; 2],
    kept: &'a mut Residuals<D>,
    head: &'a mut D::Buffer,
    change: &'a mut D::Buffer,
}

impl<D: Device> StepCaches<D> {
    /// That of picture `index`, if there is one.
    pub fn picture(&mut self, index: usize) -> Option<StepCache<'_, D>> {
        let Self { threshold, shape, pictures, head, change } = self;
        Some(StepCache { threshold: *threshold, shape: *shape, kept: pictures.get_mut(index)?, head, change })
    }
}

impl<D: Device> StepCache<'_, D> {
    /// Whether the step, behind whose block 0 `image` is, adds nearly what the kept one added. Leaves what it adds in `head`,
    /// which before held the stream in front of the block.
    fn is_near(&mut self, device: &D, image: View<D::Buffer>) -> Result<bool> {
        let [rows, cols] = self.shape;
        device.combine(Combine::Add { factor: -1.0 }, image, ViewMut::new(self.head, rows, cols))?;
        if !self.kept.is_known {
            return Ok(false);
        }
        let (head, before) = (View::new(self.head, rows, cols), View::new(&self.kept.head, rows, cols));
        device.magnitudes(head, before, ViewMut::new(self.change, 1, 2))?;
        let mut change = [0.0; 2];
        device.read(View::vector(self.change, 0, 2), &mut change)?;
        // Nothing compared with nothing, or what is no number, is not near.
        Ok(change[0] / change[1] <= self.threshold)
    }

    /// Takes the rest of the blocks from the kept step.
    fn reuse(&self, device: &D, image: ViewMut<D::Buffer>) -> Result<()> {
        let [rows, cols] = self.shape;
        device.combine(Combine::Add { factor: -1.0 }, View::new(&self.kept.tail, rows, cols), image)
    }

    /// Computes the rest of the blocks and keeps what all of them added.
    fn compute(&mut self, evaluation: &Evaluation<D>, workspace: &mut Workspace<D>) -> Result<()> {
        let ([rows, cols], device) = (self.shape, evaluation.device);
        // What is half changed when a device fails is no step's.
        self.kept.is_known = false;
        mem::swap(self.head, &mut self.kept.head);
        device.copy(evaluation.image(workspace), ViewMut::new(&mut self.kept.tail, rows, cols))?;
        evaluation.blocks(1..evaluation.count(), workspace)?;
        let tail = ViewMut::new(&mut self.kept.tail, rows, cols);
        device.combine(Combine::Add { factor: -1.0 }, evaluation.image(workspace), tail)?;
        self.kept.is_known = true;
        Ok(())
    }
}

impl<D: Device> FluxTransformer<D> {
    /// Nothing yet, for `pictures` pictures under `conditioning`; steps that change by no more than `threshold` will be
    /// skipped.
    ///
    /// # Errors
    /// Those of the device.
    pub fn step_caches(
        &self,
        conditioning: &Conditioning<D>,
        pictures: usize,
        threshold: f32,
    ) -> Result<StepCaches<D>> {
        let (device, shape) = (self.device.as_ref(), [conditioning.grid.tokens(), self.config.hidden()]);
        let buffer = || device.allocate(shape[0] * shape[1], Precision::Exact);
        let residuals = |_| Ok(Residuals { head: buffer()?, tail: buffer()?, is_known: false });
        Ok(StepCaches {
            threshold,
            shape,
            pictures: (0..pictures).map(residuals).collect::<Result<_>>()?,
            head: buffer()?,
            change: device.allocate(2, Precision::Exact)?,
        })
    }

    /// As [`FluxTransformer::forward`], but for what `cache` has; whether it had it. Steps are to come in their order.
    ///
    /// # Errors
    /// As [`FluxTransformer::forward`].
    pub fn forward_cached(
        &self,
        conditioning: &Conditioning<D>,
        step: usize,
        latents: &[f32],
        workspace: &mut Workspace<D>,
        cache: Option<StepCache<D>>,
        velocity: &mut [f32],
    ) -> Result<bool> {
        let can_skip = !self.double_blocks.is_empty() && step + 1 < conditioning.steps;
        let Some(mut cache) = cache.filter(|_| can_skip) else {
            self.forward(conditioning, step, latents, workspace, velocity)?;
            return Ok(false);
        };
        let evaluation = self.evaluation(conditioning, step, workspace)?;
        let (device, [rows, cols]) = (evaluation.device, cache.shape);
        evaluation.embed(latents, workspace)?;
        device.copy(evaluation.image(workspace), ViewMut::new(cache.head, rows, cols))?;
        evaluation.blocks(0..1, workspace)?;
        // What the blocks behind added under another strength of the pictures says nothing of this one's.
        let is_near = cache.is_near(device, evaluation.image(workspace))? && !conditioning.changes_bias_at(step);
        if is_near {
            cache.reuse(device, evaluation.image_mut(workspace))?;
        } else {
            cache.compute(&evaluation, workspace)?;
        }
        evaluation.velocity(workspace, velocity)?;
        Ok(is_near)
    }
}
