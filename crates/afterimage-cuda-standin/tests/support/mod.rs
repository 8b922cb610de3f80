//! A pretended card with some kernels, and numbers on it.

#![allow(dead_code, reason = "every test file uses a part")]

use afterimage_cuda_standin::entry::*;
use afterimage_cuda_standin::{HostPointer, Out, Restarted, StandInReport, hexadecimal, restart};
use half::{bf16, f16};
use std::ffi::CString;
use std::mem::MaybeUninit;

/// A type and its parameters, as in the contract; `_` stands for a type that does not matter here.
const PARAMETERS: [(&str, &str); 17] = [
    (
        "product",
        "x* weight* factors* offsets* row_scales* x_scales* bias* gate* low* up* out* rows outputs inputs x_stride \
         out_stride rank has_offsets has_bias finish",
    ),
    (
        "attention",
        "q* k* v* out* offset* gated* gate* pairs* queries keys head_dim q_stride k_stride v_stride out_stride \
         pairs_stride scale.",
    ),
    ("norm", "x* a* b* out* rows cols x_stride out_stride epsilon."),
    ("rotate_heads", "x* weight* cosines* sines* tokens heads head_dim stride first_token epsilon."),
    (
        "convolve",
        "input* weight* bias* affine* out* channels height width out_height out_width outputs kernel step before double \
         has_affine add",
    ),
    ("group_norm.partial", "input* partial* pixels channels_a_group splits"),
    ("group_norm.finish", "partial* weight* bias* out* channels channels_a_group splits epsilon."),
    ("max_pool", "input* out* channels height width"),
    ("gather", "table* factors* offsets* row_scales* ids* out* rows cols out_stride has_offsets"),
    ("copy", "x* out* rows cols x_stride out_stride"),
    ("transpose", "x* affine* out* rows cols x_stride out_stride has_affine add"),
    ("activate", "x* rows cols stride function"),
    ("combine", "y* x* rows cols y_stride x_stride how factor."),
    ("magnitudes.partial", "x* y* partial* rows cols x_stride y_stride"),
    ("magnitudes.finish", "partial* out* rows count."),
    ("quantise", "x* out* scales* rows cols stride"),
    ("dequantise", "x* scales* out* rows cols out_stride"),
];

/// Warps of every kernel here.
pub const WARPS: u32 = 4;

/// What a block works on, of everything.
pub const TILE: usize = 8;

/// Shared memory of every kernel here but those whose name begins with `attention`.
pub const SHARED: u32 = 1024;

/// Shared memory of attention: more than a launch has without asking.
pub const MUCH_SHARED: u32 = 100 << 10;

/// An argument by its name.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    Pointer(u64),
    Integer(usize),
    Float(f32),
}

/// Names and values: `args![x: pointer address, rows: 3, epsilon: float 1e-6]`.
#[macro_export]
macro_rules! args {
    (@one [$($done:tt)*]) => { vec![$($done)*] };
    (@one [$($done:tt)*] $name:ident: at $value:expr $(, $($rest:tt)*)?) => {
        $crate::args!(@one [$($done)* (stringify!($name), $crate::support::Value::Pointer($value)),] $($($rest)*)?)
    };
    (@one [$($done:tt)*] $name:ident: float $value:expr $(, $($rest:tt)*)?) => {
        $crate::args!(@one [$($done)* (stringify!($name), $crate::support::Value::Float($value)),] $($($rest)*)?)
    };
    (@one [$($done:tt)*] $name:ident: $value:expr $(, $($rest:tt)*)?) => {
        $crate::args!(@one [$($done)* (stringify!($name), $crate::support::Value::Integer($value)),] $($($rest)*)?)
    };
    (@$($wrong:tt)*) => { compile_error!("arguments") };
    ($($all:tt)*) => { $crate::args!(@one [] $($all)*) };
}

/// The family that a kernel's name begins with, and its parameters.
fn parameters(kernel: &str) -> Vec<&'static str> {
    let found =
        PARAMETERS.iter().filter(|(family, _)| kernel.starts_with(family)).max_by_key(|(family, _)| family.len());
    found.expect("a kernel of the contract").1.split_whitespace().collect()
}

/// Something that looks like a cubin: an ELF file with one section.
pub fn cubin(kernel: &str, architecture: &str) -> Vec<u8> {
    let content = format!("{kernel} {architecture}");
    let mut image = b"\x7fELF\x02\x01".to_vec();
    image.resize(40, 0);
    image.extend(64_u64.to_le_bytes());
    image.resize(58, 0);
    image.extend([64, 0, 1, 0]);
    image.resize(64, 0);
    let mut section = [0_u8; 64];
    section[4] = 1;
    section[24..32].copy_from_slice(&128_u64.to_le_bytes());
    section[32..40].copy_from_slice(&(content.len() as u64).to_le_bytes());
    image.extend(section);
    image.extend(content.as_bytes());
    image
}

fn shared_of(kernel: &str) -> u32 {
    if kernel.starts_with("attention") { MUCH_SHARED } else { SHARED }
}

/// What integers of a variant have to be multiples of.
fn multiples(kernel: &str) -> serde_json::Value {
    match kernel.ends_with(".aligned") {
        true if kernel.starts_with("attention") => serde_json::json!({ "q_stride": 16, "k_stride": 16, "head_dim": 8 }),
        true => serde_json::json!({ "x_stride": 16, "out_stride": 16 }),
        false => serde_json::json!({}),
    }
}

/// A table with these kernels.
pub fn table(kernels: &[&str]) -> String {
    let variants = kernels.iter().map(|kernel| {
        let parameters = parameters(kernel).into_iter().map(|parameter| {
            let name = parameter.trim_end_matches(['*', '.']);
            let kind = match parameter.chars().last() {
                Some('*') => "*_",
                Some('.') => "fp32",
                _ => "i32",
            };
            serde_json::json!([name, kind])
        });
        let targets = ["sm_80", "sm_90a", "ptx"].map(|architecture| {
            let image = if architecture == "ptx" { ptx(kernel) } else { cubin(kernel, architecture) };
            let target = serde_json::json!({
                "sha256": hexadecimal(&image), "warps": WARPS, "shared": shared_of(kernel), "offset": 0, "length": 1, "size": 1,
            });
            (architecture.to_owned(), target)
        });
        let tile: serde_json::Map<String, serde_json::Value> = ["rows", "outputs", "cols", "pixels", "heads", "numbers"]
            .map(|what| (what.to_owned(), TILE.into())).into_iter().collect();
        serde_json::json!({
            "name": kernel, "entry": "kernel", "params": parameters.collect::<Vec<_>>(), "tile": tile, "multiples": multiples(kernel),
            "targets": serde_json::Map::from_iter(targets),
        })
    });
    serde_json::json!({ "variants": variants.collect::<Vec<_>>() }).to_string()
}

/// Text that looks like PTX, without the zero behind it.
pub fn ptx(kernel: &str) -> Vec<u8> {
    format!("// {kernel}\n").into_bytes()
}

/// The result of a call that hands over one.
pub fn result<T>(call: impl FnOnce(Out<'_, T>) -> i32) -> Result<T, i32> {
    let mut place = MaybeUninit::uninit();
    match call(Some(&mut place)) {
        // SAFETY: the call succeeded, so it wrote its result.
        0 => Ok(unsafe { place.assume_init() }),
        status => Err(status),
    }
}

/// A pointer to read from.
pub fn from<T>(values: &[T]) -> HostPointer {
    // SAFETY: calls in these tests read what is there, while it lives.
    unsafe { HostPointer::new(values.as_ptr().cast_mut()) }
}

/// A pointer to write to.
pub fn into<T>(values: &mut [T]) -> HostPointer {
    // SAFETY: calls in these tests write what there is room for, while it lives.
    unsafe { HostPointer::new(values.as_mut_ptr()) }
}

/// A driver with one card, its context current.
pub struct PretendedCard(pub Restarted);

#[expect(clippy::unused_self, reason = "there has to be a card")]
impl PretendedCard {
    pub fn new(settings: &str, kernels: &[&str]) -> Self {
        let card = Self(restart(settings, &table(kernels)).expect("table"));
        assert_eq!(cuInit(0), 0);
        let context = result(|out| cuDevicePrimaryCtxRetain(out, 0)).expect("context");
        assert_eq!(cuCtxSetCurrent(context), 0);
        card
    }

    pub fn report(&self) -> StandInReport {
        self.0.report()
    }

    /// The newest thing that was told to be wrong.
    pub fn complaint(&self) -> String {
        self.report().complaints.pop().unwrap_or_default()
    }

    pub fn room(&self, bytes: usize) -> u64 {
        result(|out| cuMemAlloc_v2(out, bytes)).expect("room")
    }

    pub fn upload(&self, bytes: &[u8]) -> u64 {
        let address = self.room(bytes.len());
        assert_eq!(cuMemcpyHtoD_v2(address, from(bytes), bytes.len()), 0);
        address
    }

    /// Numbers of a type on the card.
    pub fn numbers(&self, kind: &str, values: &[f32]) -> u64 {
        self.upload(&encode(kind, values))
    }

    pub fn download(&self, address: u64, bytes: usize) -> Vec<u8> {
        let mut values = vec![0; bytes];
        assert_eq!(cuMemcpyDtoH_v2(into(&mut values), address, bytes), 0);
        values
    }

    /// Numbers of a type from the card.
    pub fn read(&self, kind: &str, address: u64, count: usize) -> Vec<f32> {
        decode(kind, &self.download(address, count * width(kind)))
    }

    /// A kernel's function.
    pub fn function(&self, kernel: &str, architecture: &str) -> Result<usize, i32> {
        let module = result(|out| cuModuleLoadData(out, from(&cubin(kernel, architecture))))?;
        let name = CString::new("kernel").expect("a name");
        let function = result(|out| cuModuleGetFunction(out, module, from(name.as_bytes_with_nul())))?;
        match cuFuncSetAttribute(function, 8, shared_of(kernel) as i32) {
            0 => Ok(function),
            status => Err(status),
        }
    }

    /// Launches a kernel on a grid; parameters that are not among `values` are 0.
    pub fn launch(&self, kernel: &str, grid: [usize; 2], values: &[(&str, Value)]) -> i32 {
        let function = match self.function(kernel, "sm_90a") {
            Ok(function) => function,
            Err(status) => return status,
        };
        launch(kernel, function, grid, WARPS, shared_of(kernel), values)
    }
}

/// Launches a kernel with everything that can be wrong.
pub fn launch(
    kernel: &str,
    function: usize,
    grid: [usize; 2],
    warps: u32,
    shared: u32,
    values: &[(&str, Value)],
) -> i32 {
    let parameters = parameters(kernel);
    let mut slots: Vec<u64> = parameters
        .iter()
        .map(|parameter| {
            let name = parameter.trim_end_matches(['*', '.']);
            match values.iter().find(|(given, _)| *given == name) {
                Some((_, Value::Pointer(address))) => *address,
                Some((_, Value::Integer(value))) => *value as u64,
                Some((_, Value::Float(value))) => u64::from(value.to_bits()),
                None => 0,
            }
        })
        .collect();
    assert!(
        values
            .iter()
            .all(|(given, _)| parameters.iter().any(|parameter| parameter.trim_end_matches(['*', '.']) == *given)),
        "a parameter that {kernel} does not have"
    );
    slots.extend([0, 0]);
    let mut pointers: Vec<*mut u64> = slots.iter_mut().map(|slot| &raw mut *slot).collect();
    let [x, y] = grid.map(|blocks| blocks as u32);
    cuLaunchKernel(function, x, y, 1, 32 * warps, 1, 1, shared, 0, into(&mut pointers), HostPointer::NULL)
}

pub fn width(kind: &str) -> usize {
    match kind {
        "f32" => 4,
        "bf16" | "f16" => 2,
        _ => 1,
    }
}

pub fn encode(kind: &str, values: &[f32]) -> Vec<u8> {
    match kind {
        "f32" => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        "bf16" => values.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect(),
        "f16" => values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect(),
        "i8" => values.iter().map(|value| (*value as i8).cast_unsigned()).collect(),
        other => panic!("numbers of type {other}"),
    }
}

pub fn decode(kind: &str, bytes: &[u8]) -> Vec<f32> {
    match kind {
        "f32" => bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        "bf16" => bytes.as_chunks::<2>().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect(),
        "f16" => bytes.as_chunks::<2>().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
        "i8" => bytes.iter().map(|byte| f32::from(byte.cast_signed())).collect(),
        "f8" => bytes.iter().map(|byte| f8(*byte)).collect(),
        other => panic!("numbers of type {other}"),
    }
}

/// An e4m3 by its definition.
pub fn f8(bits: u8) -> f32 {
    let (exponent, mantissa) = (i32::from(bits >> 3 & 15), f32::from(bits & 7));
    let magnitude = match (exponent, bits & 7) {
        (15, 7) => f32::NAN,
        (0, _) => mantissa / 8.0 * 2.0_f32.powi(-6),
        _ => (1.0 + mantissa / 8.0) * 2.0_f32.powi(exponent - 7),
    };
    if bits & 0x80 == 0 { magnitude } else { -magnitude }
}

/// Numbers between −1 and 1 that are exact as `kind`.
pub fn noise(kind: &str, count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let values: Vec<f32> = (0..count).map(|_| next()).collect();
    if kind == "i8" {
        values.iter().map(|value| (value * 127.0).round()).collect()
    } else {
        decode(kind, &encode(kind, &values))
    }
}

/// Bytes of every value.
pub fn bytes(count: usize, seed: u32) -> Vec<u8> {
    noise("f32", count, seed).iter().map(|value| ((value + 1.0) * 127.9) as u8).collect()
}

pub fn round_bf16(value: f64) -> f64 {
    bf16::from_f32(value as f32).to_f64()
}

/// Compares with the numbers that were computed in f64, as exactly as the type allows.
pub fn assert_close(kind: &str, found: &[f32], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let tolerance = if kind == "bf16" { 1.0 / 200.0 } else { 2e-5 };
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let allowed = tolerance * expected.abs().max(1.0);
        assert!(
            (f64::from(*found) - expected).abs() <= allowed,
            "{what}: number {index}: {found}, expected {expected}"
        );
    }
}

/// As [`assert_close`] for rows that lie `stride` apart; what is between them is still poison.
pub fn assert_rows(kind: &str, found: &[f32], stride: usize, cols: usize, expected: &[f64], what: &str) {
    for (row, numbers) in found.chunks(stride).enumerate() {
        assert_close(kind, &numbers[..cols], &expected[row * cols..][..cols], what);
        assert!(numbers[cols..].iter().all(|value| value.is_nan()), "{what}: written between rows");
    }
}
