//! Latents on their way into and out of the transformer, and pixels.

use crate::models::flux::Grid;
use crate::models::vae::Tensor3;
use afterimage_core::{Error, Field, Picture, Result, Size};
use rayon::prelude::*;

/// Rearranges `[channels, 2 rows, 2 columns]` latents into tokens `[rows × columns, channels × 4]`: a token is a 2×2
/// square, its numbers ordered channel, then row, then column within the square.
pub(super) fn pack(latents: &[f32], channels: usize, grid: Grid) -> Vec<f32> {
    let mut tokens = vec![0.0; latents.len()];
    for_each_pair(channels, grid, |in_tokens, in_planes| tokens[in_tokens] = latents[in_planes]);
    tokens
}

/// The reverse of [`pack`].
pub(super) fn unpack(tokens: &[f32], channels: usize, grid: Grid) -> Tensor3 {
    let mut latents = Tensor3::zeros(channels, 2 * grid.rows, 2 * grid.columns);
    for_each_pair(channels, grid, |in_tokens, in_planes| latents.data[in_planes] = tokens[in_tokens]);
    latents
}

/// Calls `visit(index in tokens, index in planes)` for every number.
fn for_each_pair(channels: usize, grid: Grid, mut visit: impl FnMut(usize, usize)) {
    for token in 0..grid.tokens() {
        let (row, column) = (token / grid.columns, token % grid.columns);
        for channel in 0..channels {
            for within in 0..4 {
                let (y, x) = (2 * row + within / 2, 2 * column + within % 2);
                visit((token * channels + channel) * 4 + within, (channel * 2 * grid.rows + y) * 2 * grid.columns + x);
            }
        }
    }
}

/// One Euler step of the flow: `latents += (next − sigma) · velocity`.
pub(super) fn euler_step(latents: &mut [f32], velocity: &[f32], sigma: f32, next: f32) {
    let step = next - sigma;
    for (latent, velocity) in latents.iter_mut().zip(velocity) {
        *latent += step * velocity;
    }
}

/// `sigma · noise + (1 − sigma) · image`: where image-to-image starts.
pub(super) fn noised(image: &[f32], noise: &[f32], sigma: f32) -> Vec<f32> {
    image.iter().zip(noise).map(|(image, noise)| sigma * noise + (1.0 - sigma) * image).collect()
}

/// Bytes to planes in −1..1.
pub(super) fn pixels_of(picture: &Picture) -> Tensor3 {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let data = (0..3)
        .flat_map(|channel| {
            picture.rgb().iter().skip(channel).step_by(3).map(|byte| f32::from(*byte) / 255.0 * 2.0 - 1.0)
        })
        .collect();
    Tensor3 { data, channels: 3, height, width }
}

/// Planes around −1..1 to bytes: `round(clamp(x / 2 + 0.5, 0, 1) · 255)`, halves to even as numpy rounds.
///
/// # Errors
/// [`Error::Internal`] when there are not three planes.
pub(super) fn picture_of(pixels: &Tensor3) -> Result<Picture> {
    let plane = pixels.height * pixels.width;
    if pixels.channels != 3 || pixels.data.len() != 3 * plane {
        return Err(Error::internal(format!("{} planes are no picture", pixels.channels)));
    }
    let mut rgb = vec![0; 3 * plane];
    rgb.par_chunks_mut(3 * pixels.width.max(1)).enumerate().for_each(|(y, row)| {
        for (x, pixel) in row.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            *pixel = std::array::from_fn(|channel| {
                let value = pixels.data[channel * plane + y * pixels.width + x] / 2.0 + 0.5;
                (value.clamp(0.0, 1.0) * 255.0).round_ties_even() as u8
            });
        }
    });
    Picture::from_rgb(pixels.width as u32, pixels.height as u32, rgb)
        .ok_or_else(|| Error::internal("a picture without pixels"))
}

/// Rounds `size` down to multiples of `step`.
///
/// # Errors
/// [`Error::Field`] when nothing is left of a side.
pub(crate) fn usable_size(size: Size, step: usize) -> Result<Size> {
    let rounded = size.rounded_down_to(step as u32);
    if rounded.width == 0 || rounded.height == 0 {
        return Err(Error::field(
            Field::Size,
            format!("{size} is too small; this model needs at least {step}x{step} pixels"),
        ));
    }
    Ok(rounded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_token_is_a_square_channel_by_channel() {
        // Two channels of 2×4: tokens side by side.
        let latents: Vec<f32> = (0..16).map(|value| value as f32).collect();
        let tokens = pack(&latents, 2, Grid { rows: 1, columns: 2 });
        assert_eq!(tokens, [0., 1., 4., 5., 8., 9., 12., 13., 2., 3., 6., 7., 10., 11., 14., 15.]);
    }

    #[test]
    fn pixels_round_half_to_even_and_clamp() {
        let value = |byte: f32| (byte / 255.0 - 0.5) * 2.0;
        let data = vec![-3.0, value(0.0), value(1.0), value(254.0), 7.0, f32::NAN];
        let pixels = Tensor3 { data, channels: 3, height: 1, width: 2 };
        assert_eq!(picture_of(&pixels).unwrap().rgb(), [0, 1, 255, 0, 254, 0]);
    }

    #[test]
    fn sizes_below_one_token_are_refused() {
        assert_eq!(usable_size(Size::new(150, 116), 16).unwrap(), Size::new(144, 112));
        assert!(usable_size(Size::new(15, 64), 16).is_err());
    }

    proptest! {
        #[test]
        fn unpacking_undoes_packing(channels in 1_usize..5, rows in 1_usize..6, columns in 1_usize..6) {
            let grid = Grid { rows, columns };
            let latents: Vec<f32> = (0..channels * 4 * grid.tokens()).map(|value| value as f32).collect();
            prop_assert_eq!(unpack(&pack(&latents, channels, grid), channels, grid).data, latents);
        }

        #[test]
        fn bytes_survive_the_way_through_planes(rgb in proptest::collection::vec(any::<u8>(), 3..=60)) {
            let pixels = rgb.len() / 3;
            let picture = Picture::from_rgb(pixels as u32, 1, rgb[..3 * pixels].to_vec()).unwrap();
            prop_assert_eq!(picture_of(&pixels_of(&picture)).unwrap(), picture);
        }
    }
}
