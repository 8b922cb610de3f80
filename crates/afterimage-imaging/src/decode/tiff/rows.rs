//! Rows of packed samples to bytes, and to their place in the picture.

use super::super::directory::ByteOrder;
use super::layout::{PageLayout, Photometric, Piece};

/// Unpacks a row to one byte a sample. Samples of less than 8 bits are spread over the whole range, unless they are
/// places in a palette; longer ones keep their upper 8 bits.
pub(super) fn unpack(row: &[u8], layout: &PageLayout, samples: &mut Vec<u8>) {
    samples.clear();
    match layout.bits {
        8 => samples.extend_from_slice(row),
        16 => {
            let upper = usize::from(layout.order() == ByteOrder::Little);
            samples.extend(row.as_chunks::<2>().0.iter().map(|sample| sample[upper]));
        }
        bits @ (1 | 2 | 4) => {
            let highest = (1_u8 << bits) - 1;
            let scale = if layout.photometric == Photometric::Palette { 1 } else { 255 / highest };
            for byte in row {
                samples.extend((0..8 / bits).rev().map(|place| (byte >> (place * bits) & highest) * scale));
            }
        }
        bits => {
            // 3, 5, 6, 7, 9 to 15 bits: one after the other, the highest bit first.
            let count = layout.piece_width as usize * layout.samples_in_piece();
            samples.extend((0..count).map(|index| bits_at(row, index * bits, bits)));
        }
    }
}

/// The upper 8 of `bits` bits, or fewer spread over the whole range.
fn bits_at(row: &[u8], at: usize, bits: usize) -> u8 {
    let window = (0..3).fold(0_u32, |sum, index| sum << 8 | u32::from(row.get(at / 8 + index).copied().unwrap_or(0)));
    let value = window << 8 << (at % 8) >> (32 - bits);
    if bits >= 8 { (value >> (bits - 8)) as u8 } else { (value * 255 / ((1 << bits) - 1)) as u8 }
}

/// Copies a row of a piece to row `y` of the picture, without the samples that are not kept and the pixels beyond the
/// edges.
pub(super) fn place<T: Copy>(row: &[T], layout: &PageLayout, piece: &Piece, y: u32, picture: &mut [T]) {
    let kept = layout.kept_channels();
    let stored = layout.samples_in_piece();
    if y >= layout.height || piece.plane >= kept {
        return;
    }
    let visible = layout.piece_width.min(layout.width - piece.x) as usize;
    let start = (y as usize * layout.width as usize + piece.x as usize) * kept;
    let pixels = &mut picture[start..start + visible * kept];
    if !layout.planar && stored == kept {
        pixels.copy_from_slice(&row[..visible * kept]);
        return;
    }
    let copied = if layout.planar { 1 } else { kept };
    for (pixel, samples) in pixels.chunks_exact_mut(kept).zip(row.chunks_exact(stored)) {
        pixel[piece.plane..piece.plane + copied].copy_from_slice(&samples[..copied]);
    }
}
