//! Numbers to work on.

use afterimage_core::{Error, Result};
use afterimage_device::{Device, Precision, View, ViewMut};
use afterimage_tensors::{Element, Matrix, SharedBytes};

/// A matrix somewhere in a buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct OperandShape {
    pub rows: usize,
    pub cols: usize,
    /// Numbers before the first row and between rows; a multiple of 16 keeps operands aligned.
    pub gap: usize,
}

impl OperandShape {
    pub fn len(self) -> usize {
        self.gap + self.rows * (self.cols + self.gap)
    }

    pub fn view<B>(self, buffer: &B) -> View<'_, B> {
        View::new(buffer, self.rows, self.cols).at(self.gap).strided(self.cols + self.gap)
    }

    pub fn view_mut<B>(self, buffer: &mut B) -> ViewMut<'_, B> {
        ViewMut::new(buffer, self.rows, self.cols).at(self.gap).strided(self.cols + self.gap)
    }

    /// A buffer that holds it, all noise, gaps included.
    pub fn buffer<D: Device>(self, device: &D, precision: Precision, seed: u32) -> Result<D::Buffer> {
        let len = self.len();
        let mut buffer = device.allocate(len, precision)?;
        device.write(&noise(len, seed), ViewMut::new(&mut buffer, 1, len))?;
        Ok(buffer)
    }
}

/// Numbers in −1..1 that bf16 holds exactly, so that all devices work on the same, and that are the same every time.
pub(super) fn noise(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from(((state >> 24) as u8).cast_signed()) / 128.0
    };
    (0..len).map(|_| next()).collect()
}

/// An exact vector.
pub(super) fn vector<D: Device>(device: &D, len: usize, seed: u32) -> Result<D::Buffer> {
    device.upload(noise(len, seed))
}

/// A weight stored as `element`, whose blocks have random bits and moderate factors.
pub(super) fn weight<D: Device>(
    device: &D,
    element: Element,
    rows: usize,
    cols: usize,
    seed: u32,
) -> Result<D::Weight> {
    let values = noise(rows * cols, seed);
    if element == Element::F32 {
        return device.weight(&Matrix::from_f32(&values, rows, cols));
    }
    let len = element.row_bytes(cols).map(|bytes| rows * bytes).ok_or_else(|| Error::internal("a cut block"))?;
    let mut bytes: Vec<u8> = values.iter().map(|value| (value * 128.0) as i8 as u8).cycle().take(len).collect();
    if element == Element::F8E4M3 {
        // Exponents below the largest, and no NaN.
        for byte in &mut bytes {
            *byte &= 0xb7;
        }
    } else {
        for block in bytes.chunks_exact_mut(element.block_bytes()) {
            // Factors (f16) of 2⁻⁷ to 2⁻⁸; where there is a minimum it stands behind.
            block[1] = 0x1c;
            if matches!(element, Element::Q4_1 | Element::Q5_1) {
                block[3] = 0x1c;
            }
        }
    }
    let matrix = Matrix::new(SharedBytes::new(bytes), element, rows, cols);
    device.weight(&matrix.ok_or_else(|| Error::internal("a cut matrix"))?)
}

/// Numbers that 8-bit floats hold exactly, in −448..448, with the largest of them among every 16.
fn eight_bit_noise(len: usize, seed: u32) -> Vec<f32> {
    // Four significant bits, of which the first is there for all but the smallest.
    let round = |value: f32| {
        let step = (value.abs().max(1.0 / 64.0).log2().floor() - 3.0).exp2();
        (value / step).round_ties_even() * step
    };
    let value = |(index, value): (usize, f32)| if index.is_multiple_of(16) { 448.0 } else { round(value * 447.0) };
    noise(len, seed).into_iter().enumerate().map(value).collect()
}

/// Rows that are 8-bit floats times a factor each, which is a power of two: rounding them to such rows changes nothing.
pub(super) fn eight_bit_rows<D: Device>(
    device: &D,
    shape: OperandShape,
    precision: Precision,
    seed: u32,
) -> Result<D::Buffer> {
    let mut values = vec![0.0; shape.len()];
    let numbers = eight_bit_noise(shape.rows * shape.cols, seed);
    for (row, numbers) in numbers.chunks_exact(shape.cols).enumerate() {
        // 2⁻¹⁰, 2⁻⁹ or 2⁻⁸.
        let factor = (row as f32 % 3.0 - 10.0).exp2();
        let start = shape.gap + row * (shape.cols + shape.gap);
        for (place, number) in values[start..].iter_mut().zip(numbers) {
            *place = number * factor;
        }
    }
    let mut buffer = device.allocate(values.len(), precision)?;
    device.write(&values, ViewMut::new(&mut buffer, 1, values.len()))?;
    Ok(buffer)
}

/// A weight of 8-bit floats of which the rows have different factors.
pub(super) fn eight_bit_weight<D: Device>(device: &D, rows: usize, cols: usize, seed: u32) -> Result<D::Weight> {
    let bytes: Vec<u8> = eight_bit_noise(rows * cols, seed).into_iter().map(afterimage_tensors::to_e4m3).collect();
    let whole = Matrix::new(SharedBytes::new(bytes), Element::F8E4M3, rows, cols);
    let whole = whole.ok_or_else(|| Error::internal("a cut matrix"))?;
    let part = |first: usize, rows: usize, factor: f32| whole.row_range(first..first + rows).scaled(factor);
    let third = rows / 3;
    let parts = [(0, third, 0.5), (third, third, 2.0), (2 * third, rows - 2 * third, 1.0)];
    // Such that a sum of products is about as large as what is added to it.
    let parts = parts.map(|(first, rows, factor)| part(first, rows, factor / 2048.0));
    let weight = Matrix::stack(&parts).ok_or_else(|| Error::internal("a stack of nothing"))?;
    device.weight(&weight)
}

/// A weight of 8-bit integers with one factor a row.
pub(super) fn rows_of_integers<D: Device>(device: &D, rows: usize, cols: usize, seed: u32) -> Result<D::Weight> {
    let mut bytes = Vec::new();
    for (row, values) in noise(rows * cols, seed).chunks_exact(cols).enumerate() {
        for block in values.chunks_exact(Element::Q8_0.block()) {
            // Factors (f16) of 2⁻⁷ and a little.
            bytes.extend([row as u8, 0x20]);
            bytes.extend(block.iter().map(|value| (value * 127.0) as i8 as u8));
        }
    }
    let matrix = Matrix::new(SharedBytes::new(bytes), Element::Q8_0, rows, cols);
    device.weight(&matrix.ok_or_else(|| Error::internal("a cut matrix"))?)
}

/// Every number of a buffer, gaps included.
pub(super) fn read<D: Device>(device: &D, buffer: &D::Buffer, len: usize) -> Result<Vec<f32>> {
    let mut values = vec![0.0; len];
    device.read(View::vector(buffer, 0, len), &mut values)?;
    Ok(values)
}
