//! Attention.

use super::launching::blocks;
use crate::buffer::{BufferPlace, CudaBuffer, vector};
use crate::cuda::Cuda;
use crate::kernel_name::KernelName;
use crate::kernels::KernelArguments;
use afterimage_core::{Error, Result};
use afterimage_device::{Attention, AttentionBias, ViewMut};

/// Widths of heads that there are kernels for, as their names spell them; narrower ones are padded.
const WIDTHS: [(usize, &str); 3] = [(32, "32"), (64, "64"), (128, "128")];
/// The autoencoder's, without a bias.
const WIDEST: (usize, &str) = (512, "512");

impl Cuda {
    /// See [`afterimage_device::Device::attention`]; everything was checked.
    pub(super) fn attend(
        &self,
        attention: &Attention<'_, CudaBuffer>,
        head_dim: usize,
        out: &ViewMut<'_, CudaBuffer>,
    ) -> Result<()> {
        let [q, k, v] = [attention.queries, attention.keys, attention.values].map(BufferPlace::of);
        let out = BufferPlace::of_mut(out);
        if out.numbers() == 0 {
            return Ok(());
        }
        for (place, name) in [(q, "queries"), (k, "keys"), (v, "values"), (out, "output")] {
            place.check_stride(name)?;
        }
        if [k.number, v.number, out.number] != [q.number; 3] {
            return Err(Error::internal("attention over numbers of different types"));
        }
        let mut keys_bias = [0; 3];
        let (mut pairs, mut pairs_stride) = (0, 0);
        let bias = match attention.bias {
            AttentionBias::None => "none",
            AttentionBias::Keys { offset, gated, gate } => {
                keys_bias = [vector(offset, "offsets")?, vector(gated, "gated bias")?, vector(gate, "gates")?];
                "keys"
            }
            AttentionBias::Pairs(table) => {
                pairs = vector(table, "bias of pairs")?;
                pairs_stride = if table.rows == k.rows { 0 } else { k.rows * q.rows };
                "pairs"
            }
        };
        let width = WIDTHS.into_iter().find(|(width, _)| head_dim <= *width);
        let (_, width) = width.or((bias == "none" && head_dim <= WIDEST.0).then_some(WIDEST)).ok_or_else(|| {
            Error::internal(format!("attention with heads of {head_dim} and a bias of {bias} on {}", self.name))
        })?;
        let name = KernelName::of(["attention", q.number.name(), bias, width]);
        let [offset, gated, gate] = keys_bias;
        let arguments = KernelArguments::new()
            .pointer(q.address)
            .pointer(k.address)
            .pointer(v.address)
            .pointer(out.address)
            .pointer(offset)
            .pointer(gated)
            .pointer(gate)
            .pointer(pairs)
            .integer(q.rows)
            .integer(k.rows)
            .integer(head_dim)
            .integer(q.stride)
            .integer(k.stride)
            .integer(v.stride)
            .integer(out.stride)
            .integer(pairs_stride)
            .float(attention.scale);
        let kernel = self.kernel_for(name, &arguments)?;
        self.launch(kernel, [blocks(q.rows, kernel.tile().rows), attention.heads, 1], &arguments)
    }
}
