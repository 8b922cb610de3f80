//! The residual stream between blocks, for tests that look inside an evaluation.

use super::{Conditioning, FluxTransformer, Workspace};
use afterimage_core::Result;
use afterimage_device::Device;

impl<D: Device> FluxTransformer<D> {
    /// The image's rows `[image tokens, hidden]` in front of the first block, and behind each.
    pub(crate) fn image_streams(
        &self,
        conditioning: &Conditioning<D>,
        step: usize,
        latents: &[f32],
        workspace: &mut Workspace<D>,
    ) -> Result<Vec<Vec<f32>>> {
        let evaluation = self.evaluation(conditioning, step, workspace)?;
        evaluation.embed(latents, workspace)?;
        let read = |workspace: &Workspace<D>| {
            let image = evaluation.image(workspace);
            let mut numbers = vec![0.0; image.rows * image.cols];
            evaluation.device.read(image, &mut numbers).map(|()| numbers)
        };
        let mut streams = vec![read(workspace)?];
        for block in 0..evaluation.count() {
            evaluation.blocks(block..block + 1, workspace)?;
            streams.push(read(workspace)?);
        }
        Ok(streams)
    }

    /// The velocity that `image`, the image's rows behind the last block, says.
    pub(crate) fn velocity_of(
        &self,
        conditioning: &Conditioning<D>,
        step: usize,
        image: &[f32],
        workspace: &mut Workspace<D>,
        velocity: &mut [f32],
    ) -> Result<()> {
        let evaluation = self.evaluation(conditioning, step, workspace)?;
        evaluation.device.write(image, evaluation.image_mut(workspace))?;
        evaluation.velocity(workspace, velocity)
    }
}
