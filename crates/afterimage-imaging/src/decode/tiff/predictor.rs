//! Differences of neighbouring samples back to the samples.

use super::super::defect::Defect;
use super::super::directory::ByteOrder;
use super::layout::PageLayout;

/// Undoes the predictor of every row of a piece, in place.
pub(super) fn undo(layout: &PageLayout, bytes: &mut [u8]) -> Result<(), Defect> {
    let samples = layout.samples_in_piece();
    let order = layout.order();
    for row in bytes.chunks_exact_mut(layout.row_bytes()) {
        match (layout.predictor, layout.bits) {
            (2, 8) => add_bytes(row, samples),
            (2, 16) => add(row, samples, |left, right| {
                ordered(order, order.u16(left).wrapping_add(order.u16(right)).to_be_bytes())
            }),
            (2, 32) => add(row, samples, |left, right| {
                ordered(order, order.u32(left).wrapping_add(order.u32(right)).to_be_bytes())
            }),
            (2, 64) => add(row, samples, |left, right| {
                ordered(order, order.u64(left).wrapping_add(order.u64(right)).to_be_bytes())
            }),
            (3, 16 | 32 | 64) => undo_floating(row, samples, layout.bits / 8, order),
            (predictor, bits) => {
                return Err(format!(
                    "packed in an unknown way (predictor {predictor} with {bits} bits); save it without predictor"
                ));
            }
        }
    }
    Ok(())
}

fn ordered<const N: usize>(order: ByteOrder, mut big_endian: [u8; N]) -> [u8; N] {
    if order == ByteOrder::Little {
        big_endian.reverse();
    }
    big_endian
}

/// Adds to each byte the one `samples` before it.
fn add_bytes(row: &mut [u8], samples: usize) {
    for index in samples..row.len() {
        row[index] = row[index].wrapping_add(row[index - samples]);
    }
}

/// Adds to each number of `N` bytes the one `samples` before it.
fn add<const N: usize>(row: &mut [u8], samples: usize, sum: impl Fn([u8; N], [u8; N]) -> [u8; N]) {
    let (numbers, _) = row.as_chunks_mut::<N>();
    for index in samples..numbers.len() {
        numbers[index] = sum(numbers[index], numbers[index - samples]);
    }
}

/// The bytes of a row lie apart by significance, the highest of all numbers first, as differences of single bytes.
fn undo_floating(row: &mut [u8], samples: usize, size: usize, order: ByteOrder) {
    add_bytes(row, samples);
    let apart = row.to_vec();
    let count = row.len() / size;
    for (index, number) in row.chunks_exact_mut(size).enumerate() {
        for (significance, byte) in number.iter_mut().enumerate() {
            let from = if order == ByteOrder::Big { significance } else { size - 1 - significance };
            *byte = apart[from * count + index];
        }
    }
}
