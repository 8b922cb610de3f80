//! The oracle: the obvious implementation of every operation, sums in f64. Rooms that nobody wrote to hold NaN, so that
//! whoever reads them is found out.

mod elementwise;
mod norm;

use crate::check;
use crate::cpu::QuantisedRows;
use crate::device::{Device, DeviceLimits, Precision};
use crate::host::HostBuffer;
use crate::kernel::{kernel_bias, kernel_planes, kernel_tokens, with_kernel};
use crate::operation::{
    Activation, Attention, Combine, Convolution, Dense, Finish, GroupNorm, HeadNorm, LowRank, Norm, Transpose,
};
use crate::view::{Planes, RotaryShape, View, ViewMut};
use afterimage_core::Result;
use afterimage_kernels::attention::AttentionShape;
use afterimage_kernels::plain;
use afterimage_tensors::Matrix;

/// The device that is right and slow.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

/// The angles themselves.
#[derive(Debug)]
pub struct Angles {
    angles: Vec<f64>,
    head_dim: usize,
}

impl RotaryShape for Angles {
    fn tokens(&self) -> usize {
        2 * self.angles.len() / self.head_dim
    }

    fn head_dim(&self) -> usize {
        self.head_dim
    }
}

/// Every `(plane, row, column)`.
fn windows(planes: usize, rows: usize, columns: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..planes).flat_map(move |plane| (0..rows).flat_map(move |y| (0..columns).map(move |x| (plane, y, x))))
}

impl Device for Plain {
    type Buffer = HostBuffer;
    type Weight = Matrix;
    type Rotary = Angles;
    type Quantised = QuantisedRows;

    fn name(&self) -> &'static str {
        "plain"
    }

    fn limits(&self) -> DeviceLimits {
        // Odd and small, so that models meet a rest.
        DeviceLimits { activation_bytes: u64::MAX, wide_rows: 13, memory_bytes: None }
    }

    fn allocate(&self, numbers: usize, _precision: Precision) -> Result<HostBuffer> {
        Ok(HostBuffer(vec![f32::NAN; numbers]))
    }

    fn upload(&self, values: Vec<f32>) -> Result<HostBuffer> {
        Ok(HostBuffer(values))
    }

    fn write(&self, values: &[f32], mut out: ViewMut<'_, HostBuffer>) -> Result<()> {
        check::transfer(values.len(), out.as_view(), "output")?;
        out.fill_from(values);
        Ok(())
    }

    fn read(&self, from: View<'_, HostBuffer>, values: &mut [f32]) -> Result<()> {
        check::transfer(values.len(), from, "input")?;
        values.copy_from_slice(&from.to_vec());
        Ok(())
    }

    fn copy(&self, from: View<'_, HostBuffer>, mut out: ViewMut<'_, HostBuffer>) -> Result<()> {
        check::copy(from, &out)?;
        out.fill_from(&from.to_vec());
        Ok(())
    }

    fn weight(&self, matrix: &Matrix) -> Result<Matrix> {
        Ok(matrix.clone())
    }

    fn rotary(&self, angles: &[f64], head_dim: usize) -> Result<Angles> {
        check::rotary(angles.len(), head_dim)?;
        Ok(Angles { angles: angles.to_vec(), head_dim })
    }

    fn gather(&self, table: &Matrix, ids: &[u32], mut out: ViewMut<'_, HostBuffer>) -> Result<()> {
        check::gather(table, ids, &out)?;
        let values = table.to_f32();
        let rows = ids.iter().flat_map(|id| &values[*id as usize * table.cols()..][..table.cols()]);
        out.fill_from(&rows.copied().collect::<Vec<_>>());
        Ok(())
    }

    fn product(
        &self,
        x: View<'_, HostBuffer>,
        layer: Dense<'_, Matrix, HostBuffer>,
        finish: Finish<'_, HostBuffer>,
        mut out: ViewMut<'_, HostBuffer>,
    ) -> Result<()> {
        check::product(x, &layer, &finish, &out)?;
        let bias = layer.bias.map(View::to_vec);
        let mut products = plain::linear(&x.to_vec(), layer.weight, bias.as_deref());
        if let Some(LowRank { down, up }) = layer.low_rank {
            let added = plain::linear(&plain::linear(&x.to_vec(), down, None), up, None);
            products.iter_mut().zip(added).for_each(|(y, added)| *y += added);
        }
        let columns = out.cols.max(1);
        for (out, products) in out.each_row().zip(products.chunks_exact(columns)) {
            for (column, (out, y)) in out.iter_mut().zip(products).enumerate() {
                match &finish {
                    Finish::Store => *out = *y,
                    Finish::GeluTanh => *out = elementwise::apply(Activation::GeluTanh, *y),
                    Finish::Add => *out += y,
                    Finish::AddGated(gate) => *out += gate.numbers()[column] * y,
                }
            }
        }
        Ok(())
    }

    fn attention(&self, attention: Attention<'_, HostBuffer>, mut out: ViewMut<'_, HostBuffer>) -> Result<()> {
        let head_dim = check::attention(&attention, &out)?;
        let Attention { heads, scale, queries, keys, values, bias } = attention;
        let shape = AttentionShape { queries: queries.rows, keys: keys.rows, heads, head_dim, scale };
        let [q, k, v] = [queries, keys, values].map(|view| kernel_tokens(&view));
        out.fill_from(&plain::attention(&shape, q, k, v, &kernel_bias(&bias, keys.rows)));
        Ok(())
    }

    fn norm(
        &self,
        x: View<'_, HostBuffer>,
        norm: Norm<'_, HostBuffer>,
        epsilon: f32,
        mut out: ViewMut<'_, HostBuffer>,
    ) -> Result<()> {
        check::norm(x, &norm, &out)?;
        for (x, out) in x.each_row().zip(out.each_row()) {
            norm::row(x, &norm, epsilon, out);
        }
        Ok(())
    }

    fn rotate_heads(&self, norm: HeadNorm<'_, Angles, HostBuffer>, mut x: ViewMut<'_, HostBuffer>) -> Result<()> {
        check::rotate_heads(&norm, &x)?;
        let dim = norm.rotary.head_dim;
        for (token, row) in x.each_row().enumerate() {
            let angles = &norm.rotary.angles[(norm.first_token + token) * dim / 2..][..dim / 2];
            for head in row.chunks_exact_mut(dim) {
                norm::rotate(head, norm.weight.numbers(), norm.epsilon, angles);
            }
        }
        Ok(())
    }

    fn convolve(
        &self,
        convolution: Convolution<'_, Matrix, HostBuffer>,
        input: Planes<'_, HostBuffer>,
        mut out: ViewMut<'_, HostBuffer>,
    ) -> Result<()> {
        check::convolve(&convolution, input, &out)?;
        with_kernel(&convolution, |convolution| plain::convolve(convolution, kernel_planes(&input), out.numbers()));
        Ok(())
    }

    fn max_pool(&self, input: Planes<'_, HostBuffer>, mut out: ViewMut<'_, HostBuffer>) -> Result<()> {
        check::max_pool(input, &out)?;
        let Planes { channels, height, width, .. } = input;
        let numbers = input.view().numbers();
        let mut pooled = Vec::new();
        for (channel, y, x) in windows(channels, height / 2, width / 2) {
            let mut largest = f32::NEG_INFINITY;
            for (_, dy, dx) in windows(1, 3, 3) {
                let (row, column) = (2 * y + dy, 2 * x + dx);
                if row < height && column < width && !largest.is_nan() {
                    let value = numbers[(channel * height + row) * width + column];
                    largest = if value.is_nan() { value } else { largest.max(value) };
                }
            }
            pooled.push(largest);
        }
        out.fill_from(&pooled);
        Ok(())
    }

    fn group_norm(&self, norm: GroupNorm<'_, HostBuffer>, mut out: ViewMut<'_, HostBuffer>) -> Result<()> {
        check::group_norm(&norm, &out)?;
        out.fill_from(&norm::group_affine(&norm));
        Ok(())
    }

    fn quantise_rows(&self, x: View<'_, HostBuffer>) -> Result<QuantisedRows> {
        check::view(x, "input")?;
        let mut rows = QuantisedRows { values: Vec::new(), scales: Vec::new(), cols: x.cols };
        for row in x.each_row() {
            let largest = row.iter().map(|value| f64::from(value.abs())).fold(0.0, f64::max);
            let scale = largest / 127.0;
            let integer = |value: f32| if scale > 0.0 { (f64::from(value) / scale).round_ties_even() as i8 } else { 0 };
            rows.values.extend(row.iter().map(|value| integer(*value)));
            rows.scales.push(scale as f32);
        }
        Ok(rows)
    }

    fn dequantise_rows(&self, rows: &QuantisedRows, mut out: ViewMut<'_, HostBuffer>) -> Result<()> {
        check::dequantise(rows, &out)?;
        let scales = rows.scales.iter().flat_map(|scale| std::iter::repeat_n(*scale, rows.cols));
        let values: Vec<f32> = rows.values.iter().zip(scales).map(|(value, scale)| f32::from(*value) * scale).collect();
        out.fill_from(&values);
        Ok(())
    }

    fn activate(&self, function: Activation, mut x: ViewMut<'_, HostBuffer>) -> Result<()> {
        check::view(x.as_view(), "output")?;
        for value in x.each_row().flatten() {
            *value = elementwise::apply(function, *value);
        }
        Ok(())
    }

    fn combine(&self, how: Combine, y: View<'_, HostBuffer>, mut x: ViewMut<'_, HostBuffer>) -> Result<()> {
        check::combine(y, &x)?;
        let others = y.to_vec();
        for (value, other) in x.each_row().flatten().zip(others.iter().cycle()) {
            let (a, b) = (f64::from(*value), f64::from(*other));
            *value = match how {
                Combine::Add { factor } => a + f64::from(factor) * b,
                Combine::Multiply => a * b,
            } as f32;
        }
        Ok(())
    }

    fn magnitudes(
        &self,
        x: View<'_, HostBuffer>,
        y: View<'_, HostBuffer>,
        mut out: ViewMut<'_, HostBuffer>,
    ) -> Result<()> {
        check::magnitudes(x, y, &out)?;
        let (x, y) = (x.to_vec(), y.to_vec());
        let mean =
            |numbers: &mut dyn Iterator<Item = f64>| (numbers.map(f64::abs).sum::<f64>() / x.len() as f64) as f32;
        let change = mean(&mut x.iter().zip(&y).map(|(x, y)| f64::from(*x) - f64::from(*y)));
        let size = mean(&mut y.iter().map(|y| f64::from(*y)));
        out.fill_from(&[change, size]);
        Ok(())
    }

    fn transpose(&self, transpose: Transpose<'_, HostBuffer>, mut out: ViewMut<'_, HostBuffer>) -> Result<()> {
        check::transpose(&transpose, &out)?;
        let Transpose { input, affine, add } = transpose;
        let affine = affine.map(View::to_vec);
        for (index, row) in input.each_row().enumerate() {
            let (scale, shift) = affine.as_ref().map_or((1.0, 0.0), |both| (both[index], both[input.rows + index]));
            for (value, line) in row.iter().zip(out.each_row()) {
                let value = f64::from(*value) * f64::from(scale) + f64::from(shift);
                line[index] = (value + if add { f64::from(line[index]) } else { 0.0 }) as f32;
            }
        }
        Ok(())
    }
}
