//! The beginning of a vision transformer: patches of a picture become tokens.

use crate::layers::{Linear, StoredLinear, vector};
use crate::weights::Scope;
use afterimage_core::{Error, Result};
use afterimage_device::{Combine, Device, Finish, Precision, View, ViewMut};
use rayon::prelude::*;

/// Sizes of a picture and its patches.
#[derive(Clone, Copy, Debug)]
pub(super) struct PatchShape {
    /// Width of the tokens.
    pub hidden: usize,
    /// Colour channels.
    pub channels: usize,
    /// Pixels of the square picture's side.
    pub image: usize,
    /// Pixels of a patch's side; what is left over at the right and bottom is ignored.
    pub patch: usize,
}

impl PatchShape {
    /// Patches of the whole picture.
    pub fn patches(&self) -> usize {
        (self.image / self.patch).pow(2)
    }
}

/// A convolution that moves by its own size, and positions.
pub(super) struct PatchEmbedding<D: Device> {
    shape: PatchShape,
    /// Over unfolded patches `[channels · patch · patch]`.
    patch: Linear<D>,
    /// `[hidden]`: a token in front that stands for the whole picture.
    class_token: Option<D::Buffer>,
    /// `[tokens, hidden]`
    positions: D::Buffer,
}

impl<D: Device> PatchEmbedding<D> {
    /// Takes `patch_embedding.*`, `position_embedding.weight` and, with a class token, `class_embedding`.
    pub fn load(device: &D, scope: &Scope, shape: PatchShape, bias: bool, class_token: bool) -> Result<Self> {
        let PatchShape { hidden, channels, patch, .. } = shape;
        let (kernel, kernel_shape) = (scope.at("patch_embedding"), [hidden, channels, patch, patch]);
        let kernel = StoredLinear::read_patches(&kernel, &kernel_shape, bias)?;
        let tokens = shape.patches() + usize::from(class_token);
        Ok(Self {
            shape,
            patch: kernel.upload(device)?,
            class_token: class_token.then(|| vector(device, scope, "class_embedding", hidden)).transpose()?,
            positions: device.upload(scope.values("position_embedding.weight", &[tokens, hidden])?)?,
        })
    }

    /// Tokens of a picture.
    pub fn tokens(&self) -> usize {
        self.shape.patches() + usize::from(self.class_token.is_some())
    }

    /// `[tokens, hidden]`: the class token, if there is one, then rows of patches from top to bottom. `pixels` are
    /// normalised planes `[channels, image, image]`.
    ///
    /// # Errors
    /// [`Error::Internal`] when `pixels` has another length, and those of the device.
    pub fn embed(&self, device: &D, pixels: &[f32]) -> Result<D::Buffer> {
        let PatchShape { hidden, channels, image, patch } = self.shape;
        if pixels.len() != channels * image * image {
            return Err(Error::internal(format!("{} numbers for {channels} planes of {image}x{image}", pixels.len())));
        }
        let (patches, tokens) = (self.shape.patches(), self.tokens());
        let unfolded = device.upload(unfold(pixels, channels, image, patch))?;
        let unfolded = View::new(&unfolded, patches, channels * patch * patch);
        let mut x = device.allocate(tokens * hidden, Precision::Exact)?;
        let behind = ViewMut::new(&mut x, patches, hidden).at((tokens - patches) * hidden);
        self.patch.apply_into(device, unfolded, Finish::Store, behind)?;
        if let Some(class_token) = &self.class_token {
            device.copy(View::vector(class_token, 0, hidden), ViewMut::new(&mut x, 1, hidden))?;
        }
        let positions = View::new(&self.positions, tokens, hidden);
        device.combine(Combine::Add { factor: 1.0 }, positions, ViewMut::new(&mut x, tokens, hidden))?;
        Ok(x)
    }
}

/// `[patches, channels · patch · patch]` of planes `[channels, size, size]`; leftover pixels are dropped.
fn unfold(pixels: &[f32], channels: usize, size: usize, patch: usize) -> Vec<f32> {
    let grid = size / patch;
    let area = patch * patch;
    let mut unfolded = vec![0.0; grid * grid * channels * area];
    unfolded.par_chunks_mut(channels * area).enumerate().for_each(|(index, out)| {
        let (top, left) = (index / grid * patch, index % grid * patch);
        for (line, out) in out.chunks_exact_mut(patch).enumerate() {
            let (channel, y) = (line / patch, top + line % patch);
            out.copy_from_slice(&pixels[(channel * size + y) * size + left..][..patch]);
        }
    });
    unfolded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_channel_then_row_then_column() {
        // 5×5 with patches of 2: the last row and column are left over.
        let pixels: Vec<f32> = (0..75).map(|value| value as f32).collect();
        let unfolded = unfold(&pixels, 3, 5, 2);
        assert_eq!(unfolded.len(), 4 * 12);
        assert_eq!(unfolded[..12], [0.0, 1.0, 5.0, 6.0, 25.0, 26.0, 30.0, 31.0, 50.0, 51.0, 55.0, 56.0]);
        assert_eq!(unfolded[36..40], [12.0, 13.0, 17.0, 18.0]);
    }
}
