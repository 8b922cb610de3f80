//! Products of cuBLASLt as launches of a twin.
//!
//! Numbers are those of NVIDIA's cuBLAS reference. What is pretended is what the host asks for: `weight · xᵀ` in columns with the
//! weight transposed, which is `x · weightᵀ` in rows.

use crate::descriptors::{INVALID, LibraryLayout, LibraryObject, invalid};
use crate::driver::StandInDriver;
use crate::frame::{Argument, Launch};
use crate::status::{CallOutcome, Fault, StandInStatus};
use crate::table::StandInVariant;
use std::sync::Arc;

/// `CUBLAS_STATUS_NOT_SUPPORTED`
const NOT_SUPPORTED: StandInStatus = StandInStatus(15);

/// `CUDA_R_32F`, `CUDA_R_16BF`, `CUDA_R_8F_E4M3`
const F32: i32 = 0;
const BF16: i32 = 14;
const E4M3: i32 = 28;
/// `CUBLAS_COMPUTE_32F`
const SUMS_OF_F32: i32 = 68;
/// `CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F`
const SCALE_A_ROW: i64 = 3;
/// `CUBLASLT_EPILOGUE_…`
const NOTHING: i64 = 1;
const BIAS: i64 = 4;
const GELU: i64 = 32;

/// Bytes that algorithms of the stand-in work in.
const WORKSPACE: u64 = 1 << 20;
/// How its algorithms begin.
const MARK: u64 = 0x6174_7365_696c_6d61;

/// Descriptors of a product: the product's own, then A, B, C and D.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LibraryCall {
    pub(crate) library: usize,
    pub(crate) product: usize,
    pub(crate) layouts: [usize; 4],
}

/// Addresses of A, B, C, D.
pub(crate) type OperandAddresses = [u64; 4];

fn not_supported(message: impl Into<String>) -> Fault {
    Fault::new(NOT_SUPPORTED, message)
}

/// A product that the library does.
struct SupportedProduct {
    weight: LibraryLayout,
    x: LibraryLayout,
    out: LibraryLayout,
    bias: Option<(i32, i64)>,
    /// Of the weight and of `x`.
    scales: Option<[i64; 2]>,
    gelu: bool,
}

impl SupportedProduct {
    /// What an algorithm for it begins with.
    fn mark(&self) -> u64 {
        let types = [self.weight.number, self.x.number, self.out.number].map(|number| number as u64);
        let kinds = [u64::from(self.bias.is_some()), types[0], types[1], types[2]];
        let sizes = [self.weight.rows, self.weight.cols, self.x.cols, self.x.stride as u64, self.out.stride as u64];
        let sizes = sizes.into_iter().chain(kinds);
        sizes.fold(MARK ^ u64::from(self.gelu), |mark, size| mark.rotate_left(7) ^ size)
    }

    /// As a launch of the twin of our own products.
    fn launch(&self, card: usize, [a, b, _, d]: OperandAddresses, adds: bool) -> Launch {
        let name = |number| match number {
            BF16 => "bf16",
            E4M3 => "f8",
            _ => "f32",
        };
        let x = name(self.x.number);
        let weight = if self.weight.number == E4M3 { "f8f8" } else { "bf16" };
        let bias_type = self.bias.map_or("*f32".to_owned(), |(number, _)| format!("*{}", name(number)));
        let pointer = |address: i64| Argument::Pointer(address as u64);
        let integer = |value: u64| Argument::Integer(value as i32);
        let flag = |value: bool| Argument::Integer(i32::from(value));
        let scales = self.scales.unwrap_or_default();
        let finish = if adds { 2 } else { i32::from(self.gelu) };
        let parameters = [
            ("x", format!("*{x}"), Argument::Pointer(b)),
            ("weight", format!("*{weight}"), Argument::Pointer(a)),
            ("row_scales", "*f32".to_owned(), pointer(scales[0])),
            ("x_scales", "*f32".to_owned(), pointer(scales[1])),
            ("bias", bias_type, pointer(self.bias.map_or(0, |(_, address)| address))),
            ("out", format!("*{}", name(self.out.number)), Argument::Pointer(d)),
            ("rows", "i32".to_owned(), integer(self.x.cols)),
            ("outputs", "i32".to_owned(), integer(self.weight.cols)),
            ("inputs", "i32".to_owned(), integer(self.weight.rows)),
            ("x_stride", "i32".to_owned(), integer(self.x.stride as u64)),
            ("out_stride", "i32".to_owned(), integer(self.out.stride as u64)),
            ("rank", "i32".to_owned(), integer(0)),
            ("has_offsets", "i32".to_owned(), flag(false)),
            ("has_bias", "i32".to_owned(), flag(self.bias.is_some())),
            ("finish", "i32".to_owned(), Argument::Integer(finish)),
        ];
        let arguments = parameters.iter().map(|(_, _, argument)| *argument).collect();
        let params = parameters.into_iter().map(|(name, kind, _)| (name.to_owned(), kind)).collect();
        let name = format!("cublaslt.{x}.{weight}.{}", name(self.out.number));
        Launch {
            variant: Arc::new(StandInVariant::of_library(name, params)),
            architecture: String::new(),
            card,
            arguments,
            grid: [1, 1, 1],
        }
    }
}

impl StandInDriver {
    fn layout(&self, handle: usize) -> Result<LibraryLayout, Fault> {
        match self.library.get(&handle) {
            Some(LibraryObject::Layout(layout)) => Ok(*layout),
            _ => Err(invalid(format!("no layout {handle:#x}"))),
        }
    }

    /// What a call asks for, if the library does it.
    fn supported(&self, card: usize, call: LibraryCall) -> Result<SupportedProduct, Fault> {
        match self.library.get(&call.library) {
            Some(LibraryObject::Library { card: owner }) if *owner == card => {}
            _ => return Err(invalid(format!("no library {:#x} of this card", call.library))),
        }
        let Some(LibraryObject::Product(values)) = self.library.get(&call.product) else {
            return Err(invalid(format!("no product {:#x}", call.product)));
        };
        let [weight, x, c, out] = call.layouts.map(|handle| self.layout(handle));
        let (weight, x, c, out) = (weight?, x?, c?, out?);
        let value = |number: i32| values.get(&number).copied();
        if value(3) != Some(1) || value(4).unwrap_or(0) != 0 {
            return Err(not_supported("expected the first side transposed, and it alone"));
        }
        let fits = weight.rows == x.rows && out.rows == weight.cols && out.cols == x.cols && c == out;
        if !fits || x.stride < x.rows as i64 || out.stride < out.rows as i64 || weight.stride < weight.rows as i64 {
            return Err(invalid(format!("matrices that do not fit: {weight:?} {x:?} {out:?}")));
        }
        let bytes = |layout: &LibraryLayout| match layout.number {
            F32 => 4,
            BF16 => 2,
            _ => 1,
        };
        if [&weight, &x, &out].iter().any(|layout| layout.stride * bytes(layout) % 16 != 0) {
            return Err(not_supported("distances that are no multiples of 16 bytes"));
        }
        let epilogue = value(7).unwrap_or(NOTHING);
        let rest = epilogue & !(BIAS | GELU);
        if rest != 0 && epilogue != NOTHING {
            return Err(not_supported(format!("epilogue {epilogue}")));
        }
        let of_eight = weight.number == E4M3;
        let bias_type = if of_eight || out.number == BF16 { BF16 } else { F32 };
        let bias = (epilogue & BIAS != 0).then(|| (value(26).unwrap_or(i64::from(out.number)), value(8).unwrap_or(0)));
        if let Some((number, address)) = bias
            && (number != i64::from(bias_type) || address == 0)
        {
            return Err(not_supported(format!("bias of type {number} at {address:#x}, expected type {bias_type}")));
        }
        let types = (weight.number, x.number, out.number);
        if !matches!(types, (BF16, BF16, BF16 | F32) | (E4M3, E4M3, BF16 | F32)) {
            return Err(not_supported(format!("types {types:?}")));
        }
        let mut scales = None;
        if of_eight {
            // Scales of rows: Hopper alone has them.
            let modes = [value(31), value(32)] == [Some(SCALE_A_ROW); 2];
            let (Some(a), Some(b)) = (value(17), value(18)) else {
                return Err(not_supported("8-bit floats without scales"));
            };
            if !modes || self.settings.capability(card) != (9, 0) || weight.rows % 16 != 0 {
                return Err(not_supported("8-bit floats on this card, or with these scales"));
            }
            scales = Some([a, b]);
        }
        let bias = bias.map(|(_, address)| (bias_type, address)).filter(|_| !self.settings.wrong_library);
        Ok(SupportedProduct { weight, x, out, bias, scales, gelu: epilogue & GELU != 0 })
    }

    /// The bytes of `cublasLtMatmulHeuristicResult_t` for a call.
    pub(crate) fn choose(&self, card: usize, call: LibraryCall, preference: usize) -> Result<[u8; 96], Fault> {
        let Some(LibraryObject::Preference(wishes)) = self.library.get(&preference) else {
            return Err(invalid(format!("no preference {preference:#x}")));
        };
        let wished = |number: i32, default: i64| wishes.get(&number).copied().unwrap_or(default);
        let supported = self.supported(card, call)?;
        if wished(3, 7) != 2 {
            return Err(not_supported("parts of sums that are added in fewer bits than f32"));
        }
        let workspace = if wished(1, 0) as u64 >= WORKSPACE { WORKSPACE } else { 0 };
        // Whoever does not say that addresses are multiples of 16 alone gets what wants 256.
        let alignment = [5, 6, 7, 8].map(|number| wished(number, 256)).into_iter().max().unwrap_or(256);
        let mut result = [0; 96];
        for (place, value) in [(0, supported.mark()), (8, alignment as u64), (64, workspace)] {
            result[place..place + 8].copy_from_slice(&value.to_le_bytes());
        }
        Ok(result)
    }

    /// The launch for a call.
    pub(crate) fn library_launch(
        &self,
        card: usize,
        call: LibraryCall,
        operands: OperandAddresses,
        (alpha, beta): (f32, f32),
        algorithm: [u64; 2],
        workspace: (u64, usize),
    ) -> Result<Launch, Fault> {
        let supported = self.supported(card, call)?;
        let [mark, alignment] = algorithm;
        if mark != supported.mark() {
            return Err(invalid("an algorithm for something else"));
        }
        let bias = supported.bias.map_or(0, |(_, address)| address as u64);
        if operands.iter().chain([&bias]).any(|address| address % alignment.max(1) != 0) {
            return Err(invalid(format!("addresses that are no multiples of {alignment}")));
        }
        let [.., c, d] = operands;
        if alpha.to_bits() != 1.0_f32.to_bits() || !matches!(beta, 0.0 | 1.0) || c != d {
            return Err(not_supported(format!("factors {alpha} and {beta}, C at {c:#x} and D at {d:#x}")));
        }
        let adds = beta > 0.0;
        if adds && supported.gelu {
            return Err(not_supported("a sum after GELU"));
        }
        let (address, bytes) = workspace;
        self.memory.bytes(card, address, bytes, "workspace")?;
        Ok(supported.launch(card, operands, adds))
    }
}

/// What the library answers where the driver would answer `status`.
pub(crate) fn library_status(status: i32) -> i32 {
    match status {
        1 => INVALID.0,
        0..=15 => status,
        // `CUBLAS_STATUS_EXECUTION_FAILED`: something of the driver's.
        _ => 13,
    }
}

/// The type of sums that products are described with.
pub(crate) fn check_sums(compute: i32, scale: i32) -> CallOutcome {
    if (compute, scale) == (SUMS_OF_F32, F32) { Ok(()) } else { Err(invalid(format!("sums of type {compute}"))) }
}
