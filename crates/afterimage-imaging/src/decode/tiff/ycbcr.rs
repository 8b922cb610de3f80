//! Luminance and colour difference without JPEG, as scanners and video tools store it.

use super::super::defect::Defect;
use super::super::directory::Directory;
use super::super::samples::Samples;
use super::compression::Compression;
use super::expansion::expand;
use super::layout::{PageLayout, tag};

/// Unpacks to RGB. Several pixels may share their colour, which is repeated as libtiff does it.
pub(super) fn read(layout: &PageLayout) -> Result<Samples, Defect> {
    if layout.bits != 8 {
        return Err(format!("YCbCr samples of {} bits; save it as RGB", layout.bits));
    }
    if layout.planar {
        return Err("YCbCr in separate planes, which is not supported; save it as RGB".to_owned());
    }
    let conversion = YcbcrConversion::read(&layout.directory);
    let (across, down) = subsampling(layout);
    let (width, height) = (layout.width as usize, layout.height as usize);
    let mut rgb = vec![0; width * height * 3];
    let block_bytes = across * down + 2;
    for piece in layout.pieces() {
        let blocks_across = (layout.piece_width as usize).div_ceil(across);
        let blocks_down = (piece.rows as usize).div_ceil(down);
        if layout.predictor != 1 && (across, down) != (1, 1) {
            return Err("YCbCr with shared colours and a predictor; save it as RGB".to_owned());
        }
        let mut bytes = expand(layout, &piece, blocks_across * blocks_down * block_bytes)?;
        if layout.predictor != 1 {
            super::predictor::undo(layout, bytes.to_mut())?;
        }
        for (index, block) in bytes.chunks_exact(block_bytes).enumerate() {
            let (x, y) = (index % blocks_across * across, index / blocks_across * down);
            let (luma, colors) = block.split_at(across * down);
            for (place, luma) in luma.iter().enumerate() {
                let x = piece.x as usize + x + place % across;
                let y = piece.y as usize + y + place / across;
                if x < width && y < height {
                    rgb[(y * width + x) * 3..][..3].copy_from_slice(&conversion.rgb(*luma, colors[0], colors[1]));
                }
            }
        }
    }
    Ok(Samples::Rgb(rgb))
}

/// The factors of the file. Writers that leave the tag out and mean one each way are told by the bytes that are there.
fn subsampling(layout: &PageLayout) -> (usize, usize) {
    let stored = layout.directory.integers(tag::STRIP_BYTES, usize::MAX).unwrap_or_default().iter().sum::<u64>();
    let whole = u64::from(layout.width) * u64::from(layout.height) * 3;
    if !layout.directory.has(tag::SUBSAMPLING) && layout.compression == Compression::None && stored == whole {
        return (1, 1);
    }
    layout.subsampling
}

/// From luminance and colour difference to RGB with the coefficients and ranges of the file.
struct YcbcrConversion {
    red: f32,
    green: f32,
    blue: f32,
    /// Black and white of each sample, which map to 0 and 255 (or -128 and 127 for colours).
    range: [f32; 6],
}

impl YcbcrConversion {
    fn read(directory: &Directory) -> Self {
        let coefficients = fractions::<3>(directory, tag::COEFFICIENTS).filter(|all| all.iter().all(|one| *one > 0.0));
        let [red, green, blue] = coefficients.unwrap_or([0.299, 0.587, 0.114]);
        let range = fractions::<6>(directory, tag::REFERENCE)
            .filter(|all| all[0] < all[1] && all[2] < all[3] && all[4] < all[5]);
        Self { red, green, blue, range: range.unwrap_or([0.0, 255.0, 128.0, 255.0, 128.0, 255.0]) }
    }

    fn rgb(&self, luma: u8, blue_difference: u8, red_difference: u8) -> [u8; 3] {
        let [black, white, blue_zero, blue_high, red_zero, red_high] = self.range;
        let luma = (f32::from(luma) - black) * 255.0 / (white - black);
        let blue_difference = (f32::from(blue_difference) - blue_zero) * 127.0 / (blue_high - blue_zero);
        let red_difference = (f32::from(red_difference) - red_zero) * 127.0 / (red_high - red_zero);
        let red = luma + red_difference * (2.0 - 2.0 * self.red);
        let blue = luma + blue_difference * (2.0 - 2.0 * self.blue);
        let green = (luma - self.red * red - self.blue * blue) / self.green;
        [red, green, blue].map(|value| (value + 0.5) as u8)
    }
}

/// `N` fractions of two 32-bit numbers.
fn fractions<const N: usize>(directory: &Directory, tag: u16) -> Option<[f32; N]> {
    let order = directory.order();
    let (pairs, _) = directory.bytes(tag)?.as_chunks::<8>();
    let mut fractions = [0.0; N];
    for (index, fraction) in fractions.iter_mut().enumerate() {
        let [a, b, c, d, e, f, g, h] = *pairs.get(index)?;
        *fraction = order.u32([a, b, c, d]) as f32 / order.u32([e, f, g, h]) as f32;
    }
    fractions.iter().all(|fraction| fraction.is_finite()).then_some(fractions)
}
