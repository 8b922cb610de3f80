//! Each operation of [`Device`] as launches of kernels.
//!
//! | file | what |
//! |---|---|
//! | `launching.rs` | the kernel of a name, and its launch |
//! | `product.rs` | matrix products |
//! | `library_product.rs` | those that NVIDIA's library does |
//! | `attention.rs` | attention |
//! | `norms.rs` | norms, rotation of heads, group norms |
//! | `planes.rs` | convolutions, pooling, transpositions |
//! | `moves.rs` | to and from the card, copies, rows of a table |
//! | `numbers.rs` | functions of numbers, quantisation, magnitudes |

mod attention;
mod launching;
mod library_product;
mod moves;
mod norms;
mod numbers;
mod planes;
mod product;

pub use norms::CudaRotary;
pub use numbers::CudaQuantised;

use crate::buffer::{CudaBuffer, NumberType};
use crate::cuda::{Arithmetic, Cuda};
use crate::failure::CardFailure;
use crate::weight::{CudaWeight, Layout};
use afterimage_core::Result;
use afterimage_device::{
    Activation, Attention, Combine, Convolution, Dense, Device, DeviceLimits, Finish, GroupNorm, HeadNorm, Norm,
    Planes, Precision, Transpose, View, ViewMut, WorkTime, check,
};
use afterimage_tensors::{Element, Matrix};

/// Activations of the autoencoder beyond this are made in tiles: less than the 2³¹ numbers that a buffer can have, and a
/// share of the memory that any card that can run FLUX has.
const ACTIVATION_BYTES: u64 = 4 << 30;
/// Rows of an MLP at once: all that FLUX has up to 2048 × 2048.
const WIDE_ROWS: usize = 1 << 15;

impl Device for Cuda {
    type Buffer = CudaBuffer;
    type Weight = CudaWeight;
    type Rotary = CudaRotary;
    type Quantised = CudaQuantised;

    fn name(&self) -> &str {
        &self.name
    }

    fn hardware(&self) -> &str {
        &self.card.name
    }

    fn arithmetic(&self) -> &'static str {
        match self.arithmetic {
            Arithmetic::F32 => "f32",
            Arithmetic::Bf16 => "bf16",
            Arithmetic::Fp8 => "fp8",
            Arithmetic::Int8 => "int8",
        }
    }

    fn note_times(&self) -> bool {
        self.kernels.times.start();
        true
    }

    fn noted_times(&self) -> Result<Vec<WorkTime>> {
        self.kernels.times.finish(&self.stream).map_err(CardFailure::of)
    }

    fn wants_rows_of_integers(&self) -> bool {
        self.arithmetic == Arithmetic::Int8 && self.has_integer_products()
    }

    fn limits(&self) -> DeviceLimits {
        DeviceLimits { activation_bytes: ACTIVATION_BYTES, wide_rows: WIDE_ROWS, memory_bytes: Some(self.usable_bytes) }
    }

    fn allocate(&self, numbers: usize, precision: Precision) -> Result<CudaBuffer> {
        let number = match precision {
            Precision::Exact => NumberType::F32,
            Precision::Working => self.working(),
        };
        self.buffer(numbers, number)
    }

    fn upload(&self, values: Vec<f32>) -> Result<CudaBuffer> {
        self.upload_numbers(&values)
    }

    fn write(&self, values: &[f32], out: ViewMut<'_, CudaBuffer>) -> Result<()> {
        check::transfer(values.len(), out.as_view(), "output")?;
        self.write_numbers(values, &out)
    }

    fn read(&self, from: View<'_, CudaBuffer>, values: &mut [f32]) -> Result<()> {
        check::transfer(values.len(), from, "input")?;
        self.read_numbers(from, values)
    }

    fn copy(&self, from: View<'_, CudaBuffer>, out: ViewMut<'_, CudaBuffer>) -> Result<()> {
        check::copy(from, &out)?;
        self.copy_rows(from, &out)
    }

    fn weight(&self, matrix: &Matrix) -> Result<CudaWeight> {
        self.take_over(matrix)
    }

    fn convolution_weight(&self, matrix: &Matrix) -> Result<CudaWeight> {
        self.take_kernel_over(matrix)
    }

    fn kept_bytes(&self, element: Element, numbers: usize) -> Option<u64> {
        Some(Layout::estimate(element, numbers, self.is_exact()))
    }

    fn rotary(&self, angles: &[f64], head_dim: usize) -> Result<CudaRotary> {
        check::rotary(angles.len(), head_dim)?;
        self.rotary_table(angles, head_dim)
    }

    fn gather(&self, table: &CudaWeight, ids: &[u32], out: ViewMut<'_, CudaBuffer>) -> Result<()> {
        check::gather(table, ids, &out)?;
        self.gather_rows(table, ids, &out)
    }

    fn product(
        &self,
        x: View<'_, CudaBuffer>,
        layer: Dense<'_, CudaWeight, CudaBuffer>,
        finish: Finish<'_, CudaBuffer>,
        out: ViewMut<'_, CudaBuffer>,
    ) -> Result<()> {
        check::product(x, &layer, &finish, &out)?;
        self.matrix_product(x, &layer, &finish, &out)
    }

    fn attention(&self, attention: Attention<'_, CudaBuffer>, out: ViewMut<'_, CudaBuffer>) -> Result<()> {
        let head_dim = check::attention(&attention, &out)?;
        self.attend(&attention, head_dim, &out)
    }

    fn norm(
        &self,
        x: View<'_, CudaBuffer>,
        norm: Norm<'_, CudaBuffer>,
        epsilon: f32,
        out: ViewMut<'_, CudaBuffer>,
    ) -> Result<()> {
        check::norm(x, &norm, &out)?;
        self.norm_rows(x, &norm, epsilon, &out)
    }

    fn rotate_heads(&self, norm: HeadNorm<'_, CudaRotary, CudaBuffer>, x: ViewMut<'_, CudaBuffer>) -> Result<()> {
        let heads = check::rotate_heads(&norm, &x)?;
        self.rotate(&norm, heads, &x)
    }

    fn convolve(
        &self,
        convolution: Convolution<'_, CudaWeight, CudaBuffer>,
        input: Planes<'_, CudaBuffer>,
        out: ViewMut<'_, CudaBuffer>,
    ) -> Result<()> {
        check::convolve(&convolution, input, &out)?;
        self.convolve_planes(&convolution, input, &out)
    }

    fn max_pool(&self, input: Planes<'_, CudaBuffer>, out: ViewMut<'_, CudaBuffer>) -> Result<()> {
        check::max_pool(input, &out)?;
        self.pool_planes(input, &out)
    }

    fn group_norm(&self, norm: GroupNorm<'_, CudaBuffer>, out: ViewMut<'_, CudaBuffer>) -> Result<()> {
        check::group_norm(&norm, &out)?;
        self.group_affine(&norm, &out)
    }

    fn quantise_rows(&self, x: View<'_, CudaBuffer>) -> Result<CudaQuantised> {
        check::view(x, "input")?;
        self.quantise(x)
    }

    fn dequantise_rows(&self, rows: &CudaQuantised, out: ViewMut<'_, CudaBuffer>) -> Result<()> {
        check::dequantise(rows, &out)?;
        self.dequantise(rows, &out)
    }

    fn activate(&self, function: Activation, x: ViewMut<'_, CudaBuffer>) -> Result<()> {
        check::view(x.as_view(), "output")?;
        self.apply(function, &x)
    }

    fn combine(&self, how: Combine, y: View<'_, CudaBuffer>, x: ViewMut<'_, CudaBuffer>) -> Result<()> {
        check::combine(y, &x)?;
        self.combine_rows(how, y, &x)
    }

    fn magnitudes(&self, x: View<'_, CudaBuffer>, y: View<'_, CudaBuffer>, out: ViewMut<'_, CudaBuffer>) -> Result<()> {
        check::magnitudes(x, y, &out)?;
        self.mean_magnitudes(x, y, &out)
    }

    fn transpose(&self, transpose: Transpose<'_, CudaBuffer>, out: ViewMut<'_, CudaBuffer>) -> Result<()> {
        check::transpose(&transpose, &out)?;
        self.transpose_rows(&transpose, &out)
    }
}
