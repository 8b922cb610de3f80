//! Large pictures in overlapping tiles, cross-faded as diffusers' tiled `AutoencoderKL` does it.
//!
//! A tile is `sample_size` pixels wide, tiles start three quarters of that apart, and the overlap fades linearly, first
//! from above, then from the left. Norms and attention see one tile at a time, so the result differs slightly from the
//! picture in one piece. Only the strips that the next tiles fade from are kept.

use super::decoder::VaeDecoder;
use super::encoder::VaeEncoder;
use super::tensor::{StopCheck, Tensor3};
use crate::config::VaeConfig;
use afterimage_core::Result;
use afterimage_device::Device;

/// Share of a tile that overlaps the next.
const OVERLAP: f64 = 0.25;

pub(super) fn decode<D: Device>(
    device: &D,
    decoder: &VaeDecoder<D>,
    config: &VaeConfig,
    latents: &Tensor3,
    check: StopCheck,
) -> Result<Tensor3> {
    let factor = config.spatial_factor();
    let pixels = config.sample_size.max(factor * 4);
    let layout = TileLayout { tile: pixels / factor, result_tile: pixels, channels: config.out_channels };
    let size = (latents.height * factor, latents.width * factor);
    layout.run(latents, size, &|tile| decoder.run(device, tile, check))
}

pub(super) fn encode<D: Device>(
    device: &D,
    encoder: &VaeEncoder<D>,
    config: &VaeConfig,
    pixels: &Tensor3,
    check: StopCheck,
) -> Result<Tensor3> {
    let factor = config.spatial_factor();
    let tile = config.sample_size.max(factor * 4);
    let layout = TileLayout { tile, result_tile: tile / factor, channels: 2 * config.latent_channels };
    let size = (pixels.height / factor, pixels.width / factor);
    layout.run(pixels, size, &|tile| encoder.run(device, tile, check))
}

struct TileLayout {
    /// Side of a tile of the input.
    tile: usize,
    /// Side of what becomes of it.
    result_tile: usize,
    /// Planes of the result.
    channels: usize,
}

impl TileLayout {
    fn run(
        &self,
        input: &Tensor3,
        (height, width): (usize, usize),
        make: &dyn Fn(Tensor3) -> Result<Tensor3>,
    ) -> Result<Tensor3> {
        let step = (self.tile as f64 * (1.0 - OVERLAP)) as usize;
        let blend = (self.result_tile as f64 * OVERLAP) as usize;
        let kept = self.result_tile - blend;
        let mut out = Tensor3::zeros(self.channels, height, width);
        // What the tiles above end with, one strip a column.
        let mut above: Vec<Tensor3> = Vec::new();
        for (row, top) in (0..input.height).step_by(step).enumerate() {
            let mut strips = Vec::new();
            let mut left: Option<Tensor3> = None;
            for (column, start) in (0..input.width).step_by(step).enumerate() {
                let part =
                    crop(input, top, start, self.tile.min(input.height - top), self.tile.min(input.width - start));
                let mut tile = make(part)?;
                if let Some(strip) = above.get(column) {
                    fade_from_above(strip, &mut tile, blend);
                }
                if let Some(strip) = &left {
                    fade_from_left(strip, &mut tile, blend);
                }
                let (y, x) = (row * kept, column * kept);
                let (rows, columns) = (kept.min(tile.height), kept.min(tile.width));
                paste(&tile, &mut out, y, x, rows.min(height.saturating_sub(y)), columns.min(width.saturating_sub(x)));
                let (rows, columns) = (blend.min(tile.height), blend.min(tile.width));
                left = Some(crop(&tile, 0, tile.width - columns, tile.height, columns));
                strips.push(crop(&tile, tile.height - rows, 0, rows, tile.width));
            }
            above = strips;
        }
        Ok(out)
    }
}

fn crop(from: &Tensor3, top: usize, left: usize, height: usize, width: usize) -> Tensor3 {
    let mut out = Tensor3::zeros(from.channels, height, width);
    for (index, line) in out.data.chunks_exact_mut(width.max(1)).enumerate() {
        let (channel, y) = (index / height, index % height);
        line.copy_from_slice(&from.data[(channel * from.height + top + y) * from.width + left..][..width]);
    }
    out
}

fn paste(from: &Tensor3, out: &mut Tensor3, top: usize, left: usize, height: usize, width: usize) {
    for channel in 0..from.channels {
        for y in 0..height {
            let target = (channel * out.height + top + y) * out.width + left;
            let source = &from.data[(channel * from.height + y) * from.width..][..width];
            out.data[target..target + width].copy_from_slice(source);
        }
    }
}

fn fade_from_above(strip: &Tensor3, tile: &mut Tensor3, blend: usize) {
    let extent = blend.min(strip.height).min(tile.height);
    let width = tile.width.min(strip.width);
    for channel in 0..tile.channels {
        for y in 0..extent {
            let share = y as f32 / extent as f32;
            let source = (channel * strip.height + strip.height - extent + y) * strip.width;
            let target = (channel * tile.height + y) * tile.width;
            for x in 0..width {
                let value = &mut tile.data[target + x];
                *value = strip.data[source + x] * (1.0 - share) + *value * share;
            }
        }
    }
}

fn fade_from_left(strip: &Tensor3, tile: &mut Tensor3, blend: usize) {
    let extent = blend.min(strip.width).min(tile.width);
    let height = tile.height.min(strip.height);
    for channel in 0..tile.channels {
        for y in 0..height {
            let source = (channel * strip.height + y) * strip.width + strip.width - extent;
            let target = (channel * tile.height + y) * tile.width;
            for x in 0..extent {
                let share = x as f32 / extent as f32;
                let value = &mut tile.data[target + x];
                *value = strip.data[source + x] * (1.0 - share) + *value * share;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enlarge(tile: &Tensor3) -> Tensor3 {
        let mut out = Tensor3::zeros(tile.channels, 2 * tile.height, 2 * tile.width);
        for (index, value) in out.data.iter_mut().enumerate() {
            let (channel, y, x) = (
                index / (4 * tile.height * tile.width),
                index / (2 * tile.width) % (2 * tile.height),
                index % (2 * tile.width),
            );
            *value = tile.data[(channel * tile.height + y / 2) * tile.width + x / 2];
        }
        out
    }

    #[test]
    fn tiles_of_a_local_operation_make_the_whole() {
        for (height, width) in [(8, 8), (20, 33), (7, 41), (19, 13)] {
            let data: Vec<f32> = (0..2 * height * width).map(|value| value as f32).collect();
            let input = Tensor3 { data, channels: 2, height, width };
            let layout = TileLayout { tile: 8, result_tile: 16, channels: 2 };
            let out = layout.run(&input, (2 * height, 2 * width), &|tile| Ok(enlarge(&tile))).unwrap();
            let expected = enlarge(&input);
            for (got, expected) in out.data.iter().zip(&expected.data) {
                assert!((got - expected).abs() < 1e-3, "{got}, expected {expected} at {height}x{width}");
            }
        }
    }

    #[test]
    fn an_overlap_fades_from_the_earlier_tile_to_the_later() {
        let input = Tensor3::zeros(1, 4, 14);
        let layout = TileLayout { tile: 8, result_tile: 8, channels: 1 };
        let calls = std::cell::Cell::new(0.0);
        let out = layout
            .run(&input, (4, 14), &|mut tile| {
                calls.set(calls.get() + 1.0);
                tile.data.fill(calls.get());
                Ok(tile)
            })
            .unwrap();
        // Steps of 6, fades of 2: the second tile begins with the first one's value, then the mean of both.
        assert_eq!(&out.data[4..10], [1.0, 1.0, 1.0, 1.5, 2.0, 2.0]);
    }
}
