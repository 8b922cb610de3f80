//! Matrix products.

use super::launching::blocks;
use super::numbers::CudaQuantised;
use crate::buffer::{BufferPlace, CudaBuffer, NumberType, vector};
use crate::cuda::{Arithmetic, Cuda};
use crate::driver::Address;
use crate::kernel_name::KernelName;
use crate::kernels::KernelArguments;
use crate::weight::{CudaWeight, WeightKind, WeightParts};
use afterimage_core::{Error, Result};
use afterimage_device::{Dense, Finish, LowRank, MatrixShape, View, ViewMut};

/// Rows that kernels with low tiles are for.
pub(super) const FEW: usize = 16;

/// Where the weights of a product are, and what its low rank made of the input; 0 for what there is none of.
struct ProductAddresses {
    weight: WeightParts,
    low: Address,
    up: Address,
}

impl Cuda {
    /// See [`afterimage_device::Device::product`]; everything was checked.
    pub(super) fn matrix_product(
        &self,
        x: View<'_, CudaBuffer>,
        layer: &Dense<'_, CudaWeight, CudaBuffer>,
        finish: &Finish<'_, CudaBuffer>,
        out: &ViewMut<'_, CudaBuffer>,
    ) -> Result<()> {
        let low = layer.low_rank.as_ref().map(|low_rank| self.low_product(x, low_rank)).transpose()?;
        let up = layer.low_rank.as_ref().map(|low_rank| low_rank.up.in_use()).transpose()?;
        let (x, out) = (BufferPlace::of(x), BufferPlace::of_mut(out));
        if out.numbers() == 0 {
            return Ok(());
        }
        x.check_stride("input")?;
        out.check_stride("output")?;
        let weight = layer.weight.in_use()?;
        let addresses = ProductAddresses {
            weight: weight.parts(),
            low: low.as_ref().map_or(0, |low| low.memory.address()),
            up: up.as_ref().map_or(0, |up| up.parts().values),
        };
        let at_once = self.rows_at_once(layer, finish, out.cols);
        for first in (0..out.rows).step_by(at_once) {
            let rows = at_once.min(out.rows - first);
            self.rows_product(x.rows(first, rows), layer, finish, out.rows(first, rows), &addresses)?;
        }
        if let Some(up) = up {
            up.done()?;
        }
        weight.done()
    }

    /// The same for rows that are made at once.
    fn rows_product(
        &self,
        x: BufferPlace,
        layer: &Dense<'_, CudaWeight, CudaBuffer>,
        finish: &Finish<'_, CudaBuffer>,
        out: BufferPlace,
        addresses: &ProductAddresses,
    ) -> Result<()> {
        let (bias, gate, kind) = finish_arguments(layer, finish)?;
        let parts = addresses.weight;
        let rank = layer.low_rank.as_ref().map_or(0, |low_rank| low_rank.down.rows());
        let few = if x.rows <= FEW { "few" } else { "" };
        let eight = self.rows_of_eight_bits(&x, layer.weight, out.number)?;
        if self.product_by_library(x, layer, finish, out, &parts, eight.as_ref())? {
            return Ok(());
        }
        let name = match (layer.weight.layout.kind, &eight) {
            (WeightKind::RowsOfI8, _) => KernelName::of(["product", "i8", "i8i8", out.number.name(), few]),
            (_, Some(_)) => KernelName::of(["product", "f8", "f8f8", out.number.name()]),
            (kind, None) => KernelName::of(["product", x.number.name(), kind.name(), out.number.name(), few]),
        };
        let x = eight.as_ref().map_or(x, |rows| BufferPlace { address: rows.values.address(), stride: x.cols, ..x });
        let arguments = KernelArguments::new()
            .pointer(x.address)
            .pointer(parts.values)
            .pointer(parts.factors)
            .pointer(parts.offsets)
            .pointer(parts.row_scales)
            .pointer(eight.as_ref().map_or(0, |rows| rows.scales.address()))
            .pointer(bias)
            .pointer(gate)
            .pointer(addresses.low)
            .pointer(addresses.up)
            .pointer(out.address)
            .integer(x.rows)
            .integer(out.cols)
            .integer(x.cols)
            .integer(x.stride)
            .integer(out.stride)
            .integer(rank)
            .flag(parts.offsets != 0)
            .flag(bias != 0)
            .integer(kind);
        let kernel = self.kernel_for(name, &arguments)?;
        let tile = kernel.tile();
        self.launch(kernel, [blocks(out.rows, tile.rows) * blocks(out.cols, tile.outputs), 1, 1], &arguments)
    }

    /// The rows as 8-bit integers where the weight is of these, as 8-bit floats where products of them were asked for and the
    /// card has them.
    fn rows_of_eight_bits(
        &self,
        x: &BufferPlace,
        weight: &CudaWeight,
        out: NumberType,
    ) -> Result<Option<CudaQuantised>> {
        if weight.layout.kind == WeightKind::RowsOfI8 {
            let kernel = self.kernel(KernelName::of(["quantise", x.number.name(), "i8"]))?;
            return self.quantise_with(kernel, x).map(Some);
        }
        // Asked first: names cost something, and most products are not of 8-bit floats.
        if self.arithmetic != Arithmetic::Fp8 || weight.layout.kind != WeightKind::F8 || x.rows <= FEW {
            return Ok(None);
        }
        let quantise = self.kernels.find(KernelName::of(["quantise", x.number.name(), "f8"]));
        let product = self.kernels.find(KernelName::of(["product", "f8", "f8f8", out.name()]));
        match (quantise, product) {
            (Some(kernel), Some(_)) => self.quantise_with(kernel, x).map(Some),
            _ => Ok(None),
        }
    }

    /// Whether every product of rows of integers has a kernel, and so have the rows.
    pub(crate) fn has_integer_products(&self) -> bool {
        let is_there = |name| self.kernels.find(name).is_some();
        ["f32", "bf16"].into_iter().all(|number| {
            is_there(KernelName::of(["quantise", number, "i8"]))
                && ["", "few"].iter().all(|few| is_there(KernelName::of(["product", "i8", "i8i8", number, few])))
        })
    }

    /// `x · downᵀ`, rounded as the device's other products are.
    fn low_product(&self, x: View<'_, CudaBuffer>, low_rank: &LowRank<'_, CudaWeight>) -> Result<CudaBuffer> {
        let rank = low_rank.down.rows();
        if !matches!(low_rank.up.layout.kind, WeightKind::F32 | WeightKind::Bf16) {
            return Err(Error::internal("low rank: expected floats"));
        }
        let number = if low_rank.up.layout.kind == WeightKind::F32 { NumberType::F32 } else { NumberType::Bf16 };
        let mut low = self.buffer(x.rows * rank, number)?;
        let layer = Dense { weight: low_rank.down, bias: None, low_rank: None };
        self.matrix_product(x, &layer, &Finish::Store, &ViewMut::new(&mut low, x.rows, rank))?;
        Ok(low)
    }
}

/// Bias, gate and the number of a finish.
fn finish_arguments(
    layer: &Dense<'_, CudaWeight, CudaBuffer>,
    finish: &Finish<'_, CudaBuffer>,
) -> Result<(u64, u64, usize)> {
    let bias = layer.bias.map(|bias| vector(bias, "bias")).transpose()?.unwrap_or(0);
    Ok(match finish {
        Finish::Store => (bias, 0, 0),
        Finish::GeluTanh => (bias, 0, 1),
        Finish::Add => (bias, 0, 2),
        Finish::AddGated(gate) => (bias, vector(*gate, "gate")?, 3),
    })
}
