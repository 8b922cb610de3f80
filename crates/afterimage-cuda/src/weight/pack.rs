//! From a file's numbers to a card's.

use super::kind::{Layout, WeightKind};
use afterimage_tensors::{Element, GROUP, Matrix, Row};
use half::{bf16, f16};
use rayon::prelude::*;

/// Writes `matrix` into `out`, of the layout's bytes.
///
/// # Panics
/// When `out` has another length.
pub(crate) fn pack(matrix: &Matrix, layout: &Layout, out: &mut [u8]) {
    assert_eq!(out.len(), layout.bytes, "bytes of a weight");
    let (rows, cols, kind) = (matrix.rows(), matrix.cols(), layout.kind);
    let groups = kind.groups(cols);
    let (values, rest) = out.split_at_mut(layout.factors.or(layout.row_scales).unwrap_or(layout.bytes));
    let base = values.len();
    let factors_end = layout.offsets.or(layout.row_scales).unwrap_or(layout.bytes) - base;
    let (factors, rest) = rest.split_at_mut(if layout.factors.is_some() { factors_end } else { 0 });
    let base = base + factors.len();
    let offsets_end = layout.row_scales.unwrap_or(layout.bytes) - base;
    let (offsets, scales) = rest.split_at_mut(if layout.offsets.is_some() { offsets_end } else { 0 });
    // Rows of nothing still count.
    let mut lines: Vec<WeightRow> = Vec::with_capacity(rows);
    let [mut values, mut factors, mut offsets, mut scales] = [values, factors, offsets, scales].map(Rest);
    for row in 0..rows {
        lines.push(WeightRow {
            row,
            values: values.cut(kind.row_bytes(cols)),
            factors: factors.cut(2 * groups),
            offsets: offsets.cut(if layout.offsets.is_some() { 2 * groups } else { 0 }),
            scale: scales.cut(if layout.row_scales.is_some() { 4 } else { 0 }),
        });
    }
    lines.into_par_iter().with_min_len(16).for_each(|line| {
        let row = matrix.row(line.row);
        line.fill(row, kind, cols);
    });
}

/// Bytes that are taken from the front, a few at a time.
struct Rest<'a>(&'a mut [u8]);

impl<'a> Rest<'a> {
    fn cut(&mut self, len: usize) -> &'a mut [u8] {
        let (head, tail) = std::mem::take(&mut self.0).split_at_mut(len);
        self.0 = tail;
        head
    }
}

/// Where a row of a matrix goes.
struct WeightRow<'a> {
    row: usize,
    values: &'a mut [u8],
    factors: &'a mut [u8],
    offsets: &'a mut [u8],
    scale: &'a mut [u8],
}

impl WeightRow<'_> {
    fn fill(self, row: Row<'_>, kind: WeightKind, cols: usize) {
        match kind {
            WeightKind::F32 => {
                floats(row, cols, |index, number| {
                    self.values[4 * index..4 * index + 4].copy_from_slice(&number.to_le_bytes());
                });
            }
            WeightKind::Bf16 if row.element() == Element::Bf16 && row.scale().is_none() => {
                self.values.copy_from_slice(row.bytes());
            }
            WeightKind::Bf16 => {
                floats(row, cols, |index, number| {
                    self.values[2 * index..2 * index + 2].copy_from_slice(&bf16::from_f32(number).to_le_bytes());
                });
            }
            WeightKind::F8 => {
                self.values.copy_from_slice(row.bytes());
                self.scale.copy_from_slice(&row.scale().unwrap_or(1.0).to_le_bytes());
            }
            WeightKind::RowsOfI8 => {
                let blocks = row.bytes().chunks_exact(Element::Q8_0.block_bytes());
                for (values, block) in self.values.chunks_exact_mut(GROUP).zip(blocks) {
                    values.copy_from_slice(&block[2..]);
                    let factor = f16::from_le_bytes([block[0], block[1]]).to_f32();
                    self.scale.copy_from_slice(&(factor * row.scale().unwrap_or(1.0)).to_le_bytes());
                }
            }
            WeightKind::I8 | WeightKind::U4 => self.integers(row, kind, cols),
        }
    }

    /// Integers with factors in f16. They are divided by a power of two for the row, above the largest of them: exact, and far
    /// from the ends of f16's range.
    fn integers(self, row: Row<'_>, kind: WeightKind, cols: usize) {
        let groups = cols / GROUP;
        let mut largest = 0.0_f32;
        for number in 0..groups {
            let group = row.integers(number);
            for value in group.factors.iter().chain(&group.offsets) {
                largest = largest.max(value.abs());
            }
        }
        let scale = above(largest);
        self.scale.copy_from_slice(&scale.to_le_bytes());
        let half = |value: f32| f16::from_f32(value / scale).to_le_bytes();
        for number in 0..groups {
            let group = row.integers(number);
            if kind == WeightKind::I8 {
                for (value, bits) in self.values[number * GROUP..].iter_mut().zip(group.bits) {
                    *value = bits.cast_unsigned();
                }
                for part in 0..2 {
                    let at = 2 * (2 * number + part);
                    self.factors[at..at + 2].copy_from_slice(&half(group.factors[part]));
                    if !self.offsets.is_empty() {
                        self.offsets[at..at + 2].copy_from_slice(&half(group.offsets[part]));
                    }
                }
            } else {
                // Integers below 0 are raised by 8, and the offset takes it back.
                let raised = if row.element() == Element::Q4_0 { 8_i8 } else { 0 };
                let nibble = |index: usize| (group.bits[index] + raised).cast_unsigned() & 15;
                let values = &mut self.values[number * GROUP / 2..(number + 1) * GROUP / 2];
                for (index, value) in values.iter_mut().enumerate() {
                    *value = nibble(index) | nibble(index + GROUP / 2) << 4;
                }
                let (factor, offset) = (group.factors[0], group.offsets[0]);
                let at = 2 * number;
                self.factors[at..at + 2].copy_from_slice(&half(factor));
                self.offsets[at..at + 2].copy_from_slice(&half(offset + f32::from(raised) * factor));
            }
        }
    }
}

/// The numbers of a row, a few at a time.
fn floats(row: Row<'_>, cols: usize, mut write: impl FnMut(usize, f32)) {
    /// A multiple of every block.
    const CHUNK: usize = 256;
    let mut numbers = [0.0; CHUNK];
    for start in (0..cols).step_by(CHUNK) {
        let end = cols.min(start + CHUNK);
        let numbers = &mut numbers[..end - start];
        row.read(start..end, numbers);
        for (index, number) in numbers.iter().enumerate() {
            write(start + index, *number);
        }
    }
}

/// A power of two at least as large as a number, 1 for none.
fn above(largest: f32) -> f32 {
    if largest > 0.0 && largest.is_finite() {
        // The exponent, plus one unless it is a power itself; within what a normal f32 has.
        let bits = largest.to_bits();
        let exponent = (bits >> 23) + u32::from(bits & 0x7f_ffff != 0);
        f32::from_bits(exponent.clamp(1, 254) << 23)
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::kind::Keeping;
    use super::*;
    use afterimage_tensors::SharedBytes;

    /// Some blocks of an element, with random integers and moderate factors.
    fn stored(element: Element, rows: usize, cols: usize) -> Matrix {
        let len = rows * element.row_bytes(cols).unwrap();
        let mut state = 12_345_u32;
        let mut bytes: Vec<u8> = (0..len)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        let scales: &[usize] = match element {
            Element::Q4_1 | Element::Q5_1 | Element::Q4K | Element::Q5K => &[0, 2],
            Element::Q2K => &[80, 82],
            Element::Q3K => &[108],
            Element::Q6K => &[208],
            _ => &[0],
        };
        for block in bytes.chunks_exact_mut(element.block_bytes()) {
            for at in scales {
                if let Some(byte) = block.get_mut(at + 1) {
                    *byte = 0x18;
                }
            }
        }
        Matrix::new(SharedBytes::new(bytes), element, rows, cols).unwrap()
    }

    /// What kernels make of a packed weight.
    fn unpacked(layout: &Layout, bytes: &[u8], rows: usize, cols: usize) -> Vec<f32> {
        let half = |at: usize| f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32();
        let groups = layout.kind.groups(cols);
        let (size, mut numbers) = (cols / groups, Vec::new());
        for row in 0..rows {
            let at = layout.row_scales.unwrap() + 4 * row;
            let scale = f32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
            for col in 0..cols {
                let group = 2 * (row * groups + col / size);
                let value = if layout.kind == WeightKind::I8 {
                    f32::from(bytes[row * cols + col].cast_signed())
                } else {
                    let byte = bytes[row * cols / 2 + col / 32 * 16 + col % 16];
                    f32::from(if col % 32 < 16 { byte & 15 } else { byte >> 4 })
                };
                let offset = layout.offsets.map_or(0.0, |offsets| half(offsets + group));
                numbers.push((half(layout.factors.unwrap() + group) * value - offset) * scale);
            }
        }
        numbers
    }

    #[test]
    fn blocks_of_every_type_keep_their_numbers() {
        for element in Element::ALL.into_iter().filter(|element| element.integers().is_some()) {
            let matrix = stored(element, 3, 512).scaled(3.0e-5);
            let layout = Layout::of(&matrix, Keeping::Rounded);
            let mut bytes = vec![0xaa; layout.bytes];
            pack(&matrix, &layout, &mut bytes);
            let expected = matrix.to_f32();
            let largest = expected.iter().fold(0.0_f32, |largest, number| largest.max(number.abs()));
            for (found, expected) in unpacked(&layout, &bytes, 3, 512).iter().zip(&expected) {
                // Factors are rounded to 11 bits, less where they are small beside the row's largest.
                assert!((found - expected).abs() <= 2e-3 * largest, "{element:?}: {found}, expected {expected}");
            }
            if element == Element::Q8_0 {
                let plain = stored(element, 3, 512);
                pack(&plain, &Layout::of(&plain, Keeping::Rounded), &mut bytes);
                assert_eq!(unpacked(&layout, &bytes, 3, 512), plain.to_f32(), "f16 factors stay as they are");
            }
        }
    }

    #[test]
    fn matrices_are_kept_as_narrow_as_they_are_stored() {
        let kind = |element| WeightKind::of(&stored(element, 2, 256), Keeping::Rounded);
        assert_eq!((kind(Element::Q4K), kind(Element::Q4_0)), (WeightKind::U4, WeightKind::U4));
        assert_eq!((kind(Element::Q6K), kind(Element::Iq4Nl)), (WeightKind::I8, WeightKind::I8));
        assert_eq!((kind(Element::F8E4M3), kind(Element::F8E5M2)), (WeightKind::F8, WeightKind::Bf16));
        assert_eq!((kind(Element::F32), kind(Element::F16)), (WeightKind::Bf16, WeightKind::Bf16));
        let both = Matrix::stack(&[stored(Element::Q4K, 2, 256), stored(Element::Q6K, 2, 256)]).unwrap();
        assert_eq!(WeightKind::of(&both, Keeping::Rounded), WeightKind::I8);
        let mixed = Matrix::stack(&[both.clone(), stored(Element::F16, 2, 256)]).unwrap();
        let kinds = (WeightKind::of(&mixed, Keeping::Rounded), WeightKind::of(&both, Keeping::Exact));
        assert_eq!(kinds, (WeightKind::Bf16, WeightKind::F32));
    }

    #[test]
    fn rows_with_one_factor_become_rows_of_integers() {
        let rows = |second: u8| {
            let factors = [[0, 0x3c], [second, 0x3c], [0, 0x40], [0, 0x40]];
            let blocks = factors.iter().enumerate();
            let bytes: Vec<u8> =
                blocks.flat_map(|(block, factor)| factor.iter().copied().chain([block as u8; 32])).collect();
            Matrix::new(SharedBytes::new(bytes), Element::Q8_0, 2, 64).unwrap().scaled(0.5)
        };
        let layout = Layout::of(&rows(0), Keeping::RowsOfIntegers);
        assert_eq!((layout.kind, layout.factors), (WeightKind::RowsOfI8, None));
        let mut bytes = vec![0; layout.bytes];
        pack(&rows(0), &layout, &mut bytes);
        assert_eq!((&bytes[..32], &bytes[96..128]), (&[0; 32][..], &[3; 32][..]));
        let scales = &bytes[layout.row_scales.unwrap()..][..8];
        assert_eq!(scales, [0.5_f32.to_le_bytes(), 1.0_f32.to_le_bytes()].concat());
        assert_eq!(WeightKind::of(&rows(1), Keeping::RowsOfIntegers), WeightKind::I8, "two factors");
        assert_eq!(WeightKind::of(&rows(0), Keeping::Rounded), WeightKind::I8);
        assert_eq!(WeightKind::of(&rows(0), Keeping::Exact), WeightKind::F32);
    }

    #[test]
    fn floats_and_rows_of_floats() {
        let matrix = Matrix::from_f32(&[1.0, -2.0, 0.1, f32::NAN], 2, 2);
        let layout = Layout::of(&matrix, Keeping::Rounded);
        let mut bytes = vec![0; layout.bytes];
        pack(&matrix, &layout, &mut bytes);
        assert_eq!(bytes[..6], [0x80, 0x3f, 0x00, 0xc0, 0xcd, 0x3d]);
        let eight =
            Matrix::new(SharedBytes::new(vec![0x38, 0xb8, 0x40, 0]), Element::F8E4M3, 2, 2).unwrap().scaled(0.5);
        let layout = Layout::of(&eight, Keeping::Rounded);
        let mut bytes = vec![0; layout.bytes];
        pack(&eight, &layout, &mut bytes);
        assert_eq!(bytes[..4], [0x38, 0xb8, 0x40, 0]);
        assert_eq!(bytes[layout.row_scales.unwrap()..][..8], [0, 0, 0, 0x3f, 0, 0, 0, 0x3f]);
        assert_eq!((above(1.0), above(1.5), above(0.0), above(3e-39)), (1.0, 2.0, 1.0, f32::MIN_POSITIVE));
    }
}
