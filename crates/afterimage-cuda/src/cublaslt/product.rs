//! Products that the library is asked for: their shapes, operands and names.

use crate::buffer::{BufferPlace, NumberType};
use crate::driver::Address;

/// What both sides of a product are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LibraryOperands {
    Bf16,
    /// e4m3, with a scale for each row of both sides.
    F8,
}

impl LibraryOperands {
    /// Bytes of a number.
    pub fn bytes(self) -> usize {
        match self {
            Self::Bf16 => 2,
            Self::F8 => 1,
        }
    }
}

/// What becomes of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LibraryFinish {
    /// `out = y`
    Store,
    /// `out = gelu(y)`, by the tanh formula.
    GeluTanh,
    /// `out += y`
    Add,
}

/// What is asked for, without addresses: one algorithm serves all of the same. Strides are in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LibraryProduct {
    pub operands: LibraryOperands,
    pub out: NumberType,
    pub finish: LibraryFinish,
    pub has_bias: bool,
    pub rows: usize,
    pub outputs: usize,
    pub inputs: usize,
    pub x_stride: usize,
    pub out_stride: usize,
}

/// Where the operands are; 0 for what there is none of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LibraryAddresses {
    pub x: Address,
    pub weight: Address,
    pub out: Address,
    /// As many bf16 as there are outputs, or f32 where `out` is f32 and the operands are bf16.
    pub bias: Address,
    /// A factor for each row of the weight, f32.
    pub weight_scales: Address,
    /// A factor for each row of `x`, f32.
    pub x_scales: Address,
}

/// Names that times, self-test and log have for products, by [`LibraryProduct::kind`].
pub(super) const NAMES: [&str; KINDS] = [
    "cublaslt.bf16.bf16.store",
    "cublaslt.bf16.bf16.gelu",
    "cublaslt.bf16.bf16.add",
    "cublaslt.bf16.f32.store",
    "cublaslt.bf16.f32.gelu",
    "cublaslt.bf16.f32.add",
    "cublaslt.f8.bf16.store",
    "cublaslt.f8.bf16.gelu",
    "cublaslt.f8.bf16.add",
    "cublaslt.f8.f32.store",
    "cublaslt.f8.f32.gelu",
    "cublaslt.f8.f32.add",
];

/// Kinds of products.
pub(super) const KINDS: usize = 12;

/// What the library wants addresses, and distances of rows in bytes, to be multiples of for its fast kernels.
pub(super) const ALIGNMENT: usize = 16;

impl LibraryProduct {
    /// Which name it has.
    pub fn kind(&self) -> usize {
        let operands = match self.operands {
            LibraryOperands::Bf16 => 0,
            LibraryOperands::F8 => 1,
        };
        let out = match self.out {
            NumberType::Bf16 => 0,
            NumberType::F32 => 1,
        };
        let finish = match self.finish {
            LibraryFinish::Store => 0,
            LibraryFinish::GeluTanh => 1,
            LibraryFinish::Add => 2,
        };
        (operands * 2 + out) * 3 + finish
    }

    /// How the bias is kept.
    pub fn bias_number(&self) -> NumberType {
        match (self.operands, self.out) {
            (LibraryOperands::Bf16, NumberType::F32) => NumberType::F32,
            _ => NumberType::Bf16,
        }
    }

    /// Whether shapes and addresses are such that the library has fast kernels for them.
    pub fn is_aligned(&self, addresses: &LibraryAddresses) -> bool {
        let distances = [
            self.inputs * self.operands.bytes(),
            self.x_stride * self.operands.bytes(),
            self.out_stride * self.out.bytes(),
            self.outputs * self.out.bytes(),
        ];
        let LibraryAddresses { x, weight, out, bias, .. } = *addresses;
        distances.into_iter().all(|bytes| bytes.is_multiple_of(ALIGNMENT))
            && [x, weight, out, bias].into_iter().all(|address| address.is_multiple_of(ALIGNMENT as u64))
    }
}

impl BufferPlace {
    /// The product of rows here with a weight of `outputs` rows, to `out`.
    pub(crate) fn library_product(
        &self,
        operands: LibraryOperands,
        out: &BufferPlace,
        finish: LibraryFinish,
        has_bias: bool,
    ) -> LibraryProduct {
        // A single row has no distance to the next.
        let stride = |place: &BufferPlace| if place.rows <= 1 { place.cols } else { place.stride };
        LibraryProduct {
            operands,
            out: out.number,
            finish,
            has_bias,
            rows: self.rows,
            outputs: out.cols,
            inputs: self.cols,
            x_stride: stride(self),
            out_stride: stride(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_name() {
        let mut names = std::collections::BTreeSet::new();
        for (operands, operands_name) in [(LibraryOperands::Bf16, "bf16"), (LibraryOperands::F8, "f8")] {
            for out in [NumberType::Bf16, NumberType::F32] {
                for (finish, finish_name) in
                    [(LibraryFinish::Store, "store"), (LibraryFinish::GeluTanh, "gelu"), (LibraryFinish::Add, "add")]
                {
                    let place = |cols| BufferPlace { address: 0, number: out, rows: 32, cols, stride: cols };
                    let product = place(64).library_product(operands, &place(48), finish, false);
                    let name = NAMES[product.kind()];
                    assert_eq!(name, format!("cublaslt.{operands_name}.{}.{finish_name}", out.name()));
                    names.insert(name);
                }
            }
        }
        assert_eq!(names.len(), KINDS);
    }

    #[test]
    fn what_is_not_aligned_is_not_asked_for() {
        let place = |cols, stride| BufferPlace { address: 0, number: NumberType::Bf16, rows: 32, cols, stride };
        let addresses = LibraryAddresses { x: 512, weight: 1024, out: 2048, bias: 4096, weight_scales: 0, x_scales: 0 };
        let product = |x: BufferPlace, out: BufferPlace| {
            x.library_product(LibraryOperands::Bf16, &out, LibraryFinish::Store, true)
        };
        assert!(product(place(64, 72), place(48, 56)).is_aligned(&addresses));
        assert!(!product(place(64, 68), place(48, 56)).is_aligned(&addresses));
        assert!(!product(place(60, 72), place(48, 56)).is_aligned(&addresses));
        assert!(!product(place(64, 72), place(47, 56)).is_aligned(&addresses));
        let odd = LibraryAddresses { bias: 4098, ..addresses };
        assert!(!product(place(64, 72), place(48, 56)).is_aligned(&odd));
    }
}
