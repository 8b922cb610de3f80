//! The processor: operations of `afterimage-kernels`, and small ones on the pool of threads.
//!
//! | file | what |
//! |---|---|
//! | `norm.rs`, `elementwise.rs`, `magnitude.rs`, `pool.rs`, `transpose.rs`, `quantise.rs` | operations that cost little beside matrix products |
//! | `rows.rs` | rows in parallel |

mod elementwise;
mod magnitude;
mod norm;
mod pool;
mod quantise;
mod rows;
mod transpose;

pub use quantise::QuantisedRows;

use crate::check;
use crate::device::{Device, DeviceLimits, Precision};
use crate::host::HostBuffer;
use crate::kernel::{kernel_bias, kernel_planes, kernel_tokens, with_kernel};
use crate::operation::{
    Activation, Attention, Combine, Convolution, Dense, Finish, GroupNorm, HeadNorm, LowRank, Norm, Transpose,
};
use crate::view::{Planes, RotaryShape, View, ViewMut};
use afterimage_core::Result;
pub use afterimage_kernels::gemm::Narrow;
use afterimage_kernels::norm::{RotaryTable, group_norm_affine, rms_norm_rotate};
use afterimage_kernels::simd::Isa;
use afterimage_kernels::{attention, conv, gemm};
use afterimage_tensors::Matrix;

/// Activations beyond this make the autoencoder work in tiles: FLUX's decoder handles 1536×1536 in one piece.
const ACTIVATION_BYTES: u64 = 5 << 30;
/// Keeps an MLP's wide activations small: less memory, and more of it in the caches.
const WIDE_ROWS: usize = 2304;

/// The processor, with one of its instruction sets. Operations are finished when they return; weights are read where
/// they are stored.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    isa: Isa,
    narrow: Narrow,
}

impl Cpu {
    /// With the best instruction set of this machine.
    pub fn detect() -> Self {
        Self::with(Isa::detect())
    }

    /// With a chosen instruction set.
    pub fn with(isa: Isa) -> Self {
        Self { isa, narrow: Narrow::default() }
    }

    /// The same with products, of matrices and in attention, of numbers that are rounded.
    #[must_use]
    pub fn with_narrow(self, narrow: Narrow) -> Self {
        Self { narrow, ..self }
    }

    /// Whether products of 8-bit integers have instructions of their own.
    pub fn has_integer_dots(&self) -> bool {
        self.isa.has_integer_dots()
    }

    /// Whether products of bf16 numbers are faster than those of f32.
    pub fn has_fast_bf16(&self) -> bool {
        self.isa.has_fast_bf16()
    }
}

impl RotaryShape for RotaryTable {
    fn tokens(&self) -> usize {
        self.tokens()
    }

    fn head_dim(&self) -> usize {
        self.head_dim()
    }
}

impl Device for Cpu {
    type Buffer = HostBuffer;
    type Weight = Matrix;
    type Rotary = RotaryTable;
    type Quantised = QuantisedRows;

    fn name(&self) -> &'static str {
        "cpu"
    }

    fn hardware(&self) -> &str {
        self.isa.name()
    }

    fn arithmetic(&self) -> &'static str {
        if self.narrow.bf16 { "bf16" } else { "f32" }
    }

    fn limits(&self) -> DeviceLimits {
        DeviceLimits { activation_bytes: ACTIVATION_BYTES, wide_rows: WIDE_ROWS, memory_bytes: None }
    }

    fn convolution_scratch(&self, channels: usize) -> u64 {
        conv::scratch_bytes(channels)
    }

    fn allocate(&self, numbers: usize, _precision: Precision) -> Result<HostBuffer> {
        // Zeros cost nothing here: fresh pages are zero when they are first touched.
        Ok(HostBuffer(vec![0.0; numbers]))
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
        for (values, row) in values.chunks_exact_mut(from.cols.max(1)).zip(from.each_row()) {
            values.copy_from_slice(row);
        }
        Ok(())
    }

    fn copy(&self, from: View<'_, HostBuffer>, out: ViewMut<'_, HostBuffer>) -> Result<()> {
        check::copy(from, &out)?;
        rows::map(from, out, |from, out| out.copy_from_slice(from));
        Ok(())
    }

    fn weight(&self, matrix: &Matrix) -> Result<Matrix> {
        Ok(matrix.clone())
    }

    fn rotary(&self, angles: &[f64], head_dim: usize) -> Result<RotaryTable> {
        check::rotary(angles.len(), head_dim)?;
        Ok(RotaryTable::new(angles, head_dim))
    }

    fn gather(&self, table: &Matrix, ids: &[u32], mut out: ViewMut<'_, HostBuffer>) -> Result<()> {
        check::gather(table, ids, &out)?;
        for (id, row) in ids.iter().zip(out.each_row()) {
            table.read_row(*id as usize, 0..table.cols(), row);
        }
        table.used();
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
        let finish = match finish {
            Finish::Store => gemm::Finish::Store,
            Finish::GeluTanh => gemm::Finish::Gelu,
            Finish::Add => gemm::Finish::Add,
            Finish::AddGated(gate) => gemm::Finish::AddGated(gate.numbers()),
        };
        let rows = gemm::Rows { data: x.numbers(), rows: x.rows, stride: x.stride };
        let bias = layer.bias.map(|bias| bias.numbers());
        let stride = out.stride;
        let out = gemm::RowsMut { data: out.numbers(), stride };
        let own = gemm::Term { x: rows, weight: layer.weight };
        if let Some(LowRank { down, up }) = layer.low_rank {
            let (rank, count) = (down.rows(), x.rows);
            let mut low = vec![0.0; count * rank];
            let target = gemm::RowsMut { data: &mut low, stride: rank };
            gemm::linear_on(self.isa, rows, down, None, gemm::Finish::Store, target);
            let low = gemm::Rows { data: &low, rows: count, stride: rank };
            gemm::sum_on(self.isa, self.narrow, &[own, gemm::Term { x: low, weight: up }], bias, finish, out);
        } else {
            gemm::sum_on(self.isa, self.narrow, &[own], bias, finish, out);
        }
        layer.weight.used();
        Ok(())
    }

    fn attention(&self, attention: Attention<'_, HostBuffer>, mut out: ViewMut<'_, HostBuffer>) -> Result<()> {
        let head_dim = check::attention(&attention, &out)?;
        let Attention { heads, scale, queries, keys, values, bias } = attention;
        let shape = attention::AttentionShape { queries: queries.rows, keys: keys.rows, heads, head_dim, scale };
        let bias = kernel_bias(&bias, keys.rows);
        let [queries, keys, values] = [queries, keys, values].map(|view| kernel_tokens(&view));
        let inputs = attention::AttentionInputs { queries, keys, values };
        let stride = out.stride;
        let out = gemm::RowsMut { data: out.numbers(), stride };
        // Where bf16 is fast in tiles alone, vectors of it are slower than those of f32.
        let bf16 = self.narrow.bf16 && (self.isa.has_fast_bf16_vectors() || !self.isa.has_tiles());
        let narrow = Narrow { bf16, ..self.narrow };
        attention::attention_on(self.isa, narrow, &shape, inputs, &bias, out);
        Ok(())
    }

    fn norm(
        &self,
        x: View<'_, HostBuffer>,
        norm: Norm<'_, HostBuffer>,
        epsilon: f32,
        out: ViewMut<'_, HostBuffer>,
    ) -> Result<()> {
        check::norm(x, &norm, &out)?;
        norm::norm(self.isa, x, &norm, epsilon, out);
        Ok(())
    }

    fn rotate_heads(&self, norm: HeadNorm<'_, RotaryTable, HostBuffer>, mut x: ViewMut<'_, HostBuffer>) -> Result<()> {
        let heads = check::rotate_heads(&norm, &x)?;
        let HeadNorm { weight, epsilon, rotary, first_token } = norm;
        let stride = x.stride;
        rms_norm_rotate(self.isa, x.numbers(), stride, heads, weight.numbers(), epsilon, rotary, first_token);
        Ok(())
    }

    fn convolve(
        &self,
        convolution: Convolution<'_, Matrix, HostBuffer>,
        input: Planes<'_, HostBuffer>,
        mut out: ViewMut<'_, HostBuffer>,
    ) -> Result<()> {
        check::convolve(&convolution, input, &out)?;
        with_kernel(&convolution, |convolution| convolution.run_on(self.isa, kernel_planes(&input), out.numbers()));
        Ok(())
    }

    fn max_pool(&self, input: Planes<'_, HostBuffer>, out: ViewMut<'_, HostBuffer>) -> Result<()> {
        check::max_pool(input, &out)?;
        pool::max_pool(&input, out);
        Ok(())
    }

    fn group_norm(&self, norm: GroupNorm<'_, HostBuffer>, mut out: ViewMut<'_, HostBuffer>) -> Result<()> {
        check::group_norm(&norm, &out)?;
        let GroupNorm { groups, weight, bias, epsilon, input } = norm;
        let (weight, bias) = (weight.numbers(), bias.numbers());
        let (scale, shift) = group_norm_affine(self.isa, kernel_planes(&input), groups, weight, bias, epsilon);
        for (row, values) in out.each_row().zip([scale, shift]) {
            row.copy_from_slice(&values);
        }
        Ok(())
    }

    fn quantise_rows(&self, x: View<'_, HostBuffer>) -> Result<QuantisedRows> {
        check::view(x, "input")?;
        Ok(quantise::quantise(x))
    }

    fn dequantise_rows(&self, rows: &QuantisedRows, out: ViewMut<'_, HostBuffer>) -> Result<()> {
        check::dequantise(rows, &out)?;
        quantise::dequantise(rows, out);
        Ok(())
    }

    fn activate(&self, function: Activation, x: ViewMut<'_, HostBuffer>) -> Result<()> {
        check::view(x.as_view(), "output")?;
        elementwise::activate(function, x);
        Ok(())
    }

    fn combine(&self, how: Combine, y: View<'_, HostBuffer>, x: ViewMut<'_, HostBuffer>) -> Result<()> {
        check::combine(y, &x)?;
        elementwise::combine(how, y, x);
        Ok(())
    }

    fn magnitudes(
        &self,
        x: View<'_, HostBuffer>,
        y: View<'_, HostBuffer>,
        mut out: ViewMut<'_, HostBuffer>,
    ) -> Result<()> {
        check::magnitudes(x, y, &out)?;
        out.fill_from(&magnitude::magnitudes(x, y));
        Ok(())
    }

    fn transpose(&self, transpose: Transpose<'_, HostBuffer>, out: ViewMut<'_, HostBuffer>) -> Result<()> {
        check::transpose(&transpose, &out)?;
        transpose::transpose(&transpose, out);
        Ok(())
    }
}
