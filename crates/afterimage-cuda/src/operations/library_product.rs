//! Matrix products by NVIDIA's library.

use super::numbers::CudaQuantised;
use super::product::FEW;
use crate::buffer::{BufferPlace, CudaBuffer, NumberType, vector};
use crate::cublaslt::{CublasLt, LibraryAddresses, LibraryFinish, LibraryOperands, LibraryProduct};
use crate::cuda::Cuda;
use crate::failure::{CardFailure, is_out_of_memory};
use crate::weight::{CudaWeight, WeightKind, WeightParts};
use afterimage_core::Result;
use afterimage_device::{Combine, Dense, Finish, View};

impl Cuda {
    /// See [`Cuda::matrix_product`], by the library; `false` where our own kernel has to do it, and nothing was asked for. Rows
    /// that were rounded to 8 bits are in `eight`.
    pub(super) fn product_by_library(
        &self,
        x: BufferPlace,
        layer: &Dense<'_, CudaWeight, CudaBuffer>,
        finish: &Finish<'_, CudaBuffer>,
        to: BufferPlace,
        parts: &WeightParts,
        eight: Option<&CudaQuantised>,
    ) -> Result<bool> {
        // Few rows are a question of memory, and adapters of our own kernel's second product.
        if self.library.is_none() || x.rows <= FEW || layer.low_rank.is_some() {
            return Ok(false);
        }
        let (operands, x) = match (layer.weight.layout.kind, eight) {
            (WeightKind::Bf16, None) if x.number == NumberType::Bf16 => (LibraryOperands::Bf16, x),
            (WeightKind::F8, Some(rows)) if self.library.as_ref().is_some_and(CublasLt::has_row_scales) => {
                (LibraryOperands::F8, BufferPlace { address: rows.values.address(), stride: x.cols, ..x })
            }
            _ => return Ok(false),
        };
        let addresses = LibraryAddresses {
            x: x.address,
            weight: parts.values,
            out: 0,
            bias: 0,
            weight_scales: parts.row_scales,
            x_scales: eight.map_or(0, |rows| rows.scales.address()),
        };
        let finish = match finish {
            Finish::Store => LibraryFinish::Store,
            Finish::GeluTanh => LibraryFinish::GeluTanh,
            Finish::Add => LibraryFinish::Add,
            Finish::AddGated(gate) => return self.add_gated_by_library((operands, x), layer, *gate, to, addresses),
        };
        let product = x.library_product(operands, &to, finish, layer.bias.is_some());
        self.ask_library(&product, layer.bias, LibraryAddresses { out: to.address, ..addresses })
    }

    /// `out += gate · y`: the library knows no gate for each column, so that `y` is made first, in bf16.
    fn add_gated_by_library(
        &self,
        (operands, x): (LibraryOperands, BufferPlace),
        layer: &Dense<'_, CudaWeight, CudaBuffer>,
        gate: View<'_, CudaBuffer>,
        out: BufferPlace,
        addresses: LibraryAddresses,
    ) -> Result<bool> {
        let Some(library) = &self.library else { return Ok(false) };
        let (scratch, at_once) = library.scratch(out.cols);
        if out.rows > at_once {
            return Ok(false);
        }
        // Until all that uses the room is asked for, in order.
        let _alone = library.alone();
        let product = BufferPlace { address: scratch, number: NumberType::Bf16, stride: out.cols, ..out };
        let wanted = x.library_product(operands, &product, LibraryFinish::Store, layer.bias.is_some());
        if !self.ask_library(&wanted, layer.bias, LibraryAddresses { out: scratch, ..addresses })? {
            return Ok(false);
        }
        self.combine_places(Combine::Multiply, BufferPlace::of(gate), product)?;
        self.combine_places(Combine::Add { factor: 1.0 }, product, out)?;
        Ok(true)
    }

    /// How many rows of a product of `cols` columns are asked for at once: a gated sum by the library has room for so many.
    pub(super) fn rows_at_once(
        &self,
        layer: &Dense<'_, CudaWeight, CudaBuffer>,
        finish: &Finish<'_, CudaBuffer>,
        cols: usize,
    ) -> usize {
        match (&self.library, finish, layer.weight.layout.kind) {
            (Some(library), Finish::AddGated(_), WeightKind::Bf16 | WeightKind::F8) if layer.low_rank.is_none() => {
                library.scratch(cols).1.max(1)
            }
            _ => usize::MAX,
        }
    }

    fn ask_library(
        &self,
        product: &LibraryProduct,
        bias: Option<View<'_, CudaBuffer>>,
        addresses: LibraryAddresses,
    ) -> Result<bool> {
        let Some(library) = self.library.as_ref().filter(|library| library.serves(product)) else { return Ok(false) };
        let bias = match bias {
            None => 0,
            Some(bias) => match self.vector_of(bias, product.bias_number())? {
                Some(address) => address,
                None => return Ok(false),
            },
        };
        // SAFETY: the operands were checked by `afterimage_device::check`, temporary ones are made for them, and weights are as large
        // as their shape says.
        let served = unsafe { library.multiply(&self.kernels.times, product, &LibraryAddresses { bias, ..addresses }) };
        served.map_err(CardFailure::of)
    }

    /// The address of an exact vector, or of what it is in bf16; `None` where that is not known to be the same still.
    fn vector_of(&self, view: View<'_, CudaBuffer>, number: NumberType) -> Result<Option<u64>> {
        let exact = vector(view, "bias")?;
        if number == NumberType::F32 {
            return Ok(Some(exact));
        }
        let all = BufferPlace::of(View::vector(view.buffer, 0, view.buffer.numbers));
        let rounded = view.buffer.rounded(|| {
            let memory = self.pool.allocate(view.buffer.numbers * NumberType::Bf16.bytes())?;
            let to = BufferPlace { address: memory.address(), number: NumberType::Bf16, ..all };
            self.copy_places(all, to)?;
            Ok(memory)
        });
        let rounded = match rounded {
            // Our own kernel needs no copy.
            Err(error) if is_out_of_memory(&error) => None,
            other => other?,
        };
        Ok(rounded.map(|address| address + (view.offset * NumberType::Bf16.bytes()) as u64))
    }
}
