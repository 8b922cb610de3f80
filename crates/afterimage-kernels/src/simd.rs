//! Vector units: one small trait, an implementation per instruction set, chosen once at run time.
//!
//! An operation is written once, generic over [`Simd`], as a [`Kernel`]. [`dispatch`] runs it compiled for the best
//! instruction set of the machine (the habit of the memchr crate: only the outermost function carries
//! `#[target_feature]`, everything below is `#[inline(always)]`). Closures do not inherit target features, so work that
//! is spread over threads is dispatched inside each task.

mod isa;

pub use isa::Isa;
use isa::Unit;

/// A vector of f32 lanes.
///
/// # Safety
/// Every method may only run on a machine that has the implementing instruction set; pointers must be valid for
/// [`Simd::LANES`] numbers (no alignment needed).
#[expect(clippy::missing_safety_doc, reason = "the trait's contract above covers every method")]
pub trait Simd: Copy + 'static {
    /// Numbers in one vector.
    const LANES: usize;
    /// Rows of the register tile of the matrix product; with two vectors a row it fills the register file.
    const TILE_ROWS: usize;
    /// The vector.
    type V: Copy;

    /// All lanes `value`.
    unsafe fn splat(value: f32) -> Self::V;
    /// Reads one vector.
    unsafe fn load(from: *const f32) -> Self::V;
    /// Writes one vector.
    unsafe fn store(to: *mut f32, value: Self::V);
    /// `a + b`
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The larger of each lane; `b` where either is no number.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// The smaller of each lane; `b` where either is no number.
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;
    /// Nearest integer, halves to even.
    unsafe fn round(a: Self::V) -> Self::V;
    /// `2^n` for integral `n` in −126..=127.
    unsafe fn pow2(n: Self::V) -> Self::V;
    /// Sum of all lanes.
    unsafe fn sum(a: Self::V) -> f32;
    /// Asks for the cache line at `address`, which need not be readable.
    unsafe fn prefetch(address: *const f32);

    /// `to[k * to_stride + i] = from[i * stride + k]` for `k < LANES` and `i < rows`, zeros for the other `i < group`;
    /// `rows ≤ group ≤ LANES`.
    #[inline(always)]
    unsafe fn transpose(from: *const f32, stride: usize, rows: usize, to: *mut f32, to_stride: usize, group: usize) {
        // SAFETY: the caller promises that all of these are readable and writable.
        unsafe {
            for k in 0..Self::LANES {
                for i in 0..group {
                    *to.add(k * to_stride + i) = if i < rows { *from.add(i * stride + k) } else { 0.0 };
                }
            }
        }
    }

    /// `e^x`, within 2 units in the last place; below −87.3 the smallest normal number.
    ///
    /// Range reduction by ln 2 in two parts and the degree-6 polynomial of the Cephes library's `expf`.
    #[inline(always)]
    unsafe fn exp(x: Self::V) -> Self::V {
        // SAFETY: the caller's promise covers every call below.
        unsafe {
            // `x` comes second, so that what is no number stays none: a softmax over it must not look like an answer.
            let x = Self::min(Self::splat(88.0), Self::max(Self::splat(-87.336_54), x));
            let n = Self::round(Self::mul(x, Self::splat(std::f32::consts::LOG2_E)));
            let r = Self::fma(n, Self::splat(-0.693_359_4), x);
            let r = Self::fma(n, Self::splat(2.121_944_4e-4), r);
            let mut p = Self::splat(1.987_569_1e-4);
            p = Self::fma(p, r, Self::splat(1.398_2e-3));
            p = Self::fma(p, r, Self::splat(8.333_452e-3));
            p = Self::fma(p, r, Self::splat(4.166_579_6e-2));
            p = Self::fma(p, r, Self::splat(1.666_666_5e-1));
            p = Self::fma(p, r, Self::splat(0.5));
            let p = Self::fma(p, Self::mul(r, r), Self::add(r, Self::splat(1.0)));
            Self::mul(p, Self::pow2(Self::max(n, Self::splat(-126.0))))
        }
    }

    /// `x · sigmoid(x)`
    #[inline(always)]
    unsafe fn silu(x: Self::V) -> Self::V {
        // SAFETY: the caller's promise covers every call below.
        unsafe {
            let one = Self::splat(1.0);
            Self::div(x, Self::add(one, Self::exp(Self::sub(Self::splat(0.0), x))))
        }
    }

    /// GELU with the tanh approximation, written as `x · sigmoid(2u)` with `u = √(2/π) (x + 0.044715 x³)`, which is the
    /// same function: `(1 + tanh u) / 2 = sigmoid(2u)`.
    #[inline(always)]
    unsafe fn gelu_tanh(x: Self::V) -> Self::V {
        // SAFETY: the caller's promise covers every call below.
        unsafe {
            let cube = Self::mul(Self::mul(x, x), x);
            let u = Self::fma(cube, Self::splat(0.044_715), x);
            // −2 √(2/π)
            let exponential = Self::exp(Self::mul(u, Self::splat(-1.595_769_2)));
            Self::div(x, Self::add(Self::splat(1.0), exponential))
        }
    }
}

/// An operation that is compiled once for each instruction set.
pub trait Kernel {
    /// What it returns.
    type Output;

    /// Does the work.
    ///
    /// # Safety
    /// Only on a machine with `S`'s instruction set. Must be `#[inline(always)]`.
    unsafe fn run<S: Simd>(self) -> Self::Output;
}

/// Runs `kernel` with the best instruction set of this machine.
#[inline]
pub fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    dispatch_on(Isa::detect(), kernel)
}

/// Runs `kernel` with `isa`.
#[inline]
pub fn dispatch_on<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    match isa.unit() {
        // SAFETY: plain Rust runs everywhere.
        Unit::Portable => unsafe { kernel.run::<Portable>() },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an `Isa` exists only for an instruction set that the processor reports.
        Unit::Avx2 => unsafe { x86::avx2(kernel) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Unit::Avx512 => unsafe { x86::avx512(kernel) },
    }
}

/// Eight lanes that the compiler maps to whatever the target has.
#[derive(Clone, Copy)]
pub struct Portable;

macro_rules! lanewise {
    ($($name:ident($($argument:ident),*) = $value:expr;)*) => {
        $(
            #[inline(always)]
            unsafe fn $name($($argument: Self::V),*) -> Self::V {
                std::array::from_fn(|lane| { $(let $argument = $argument[lane];)* $value })
            }
        )*
    };
}

impl Simd for Portable {
    const LANES: usize = 8;
    const TILE_ROWS: usize = 4;
    type V = [f32; 8];

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self::V {
        [value; 8]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::V {
        // SAFETY: the caller promises LANES numbers.
        unsafe { from.cast::<[f32; 8]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, value: Self::V) {
        // SAFETY: the caller promises LANES numbers.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(value) }
    }

    lanewise! {
        add(a, b) = a + b;
        sub(a, b) = a - b;
        mul(a, b) = a * b;
        div(a, b) = a / b;
        fma(a, b, c) = a * b + c;
        max(a, b) = if a > b { a } else { b };
        min(a, b) = if a < b { a } else { b };
        round(a) = a.round_ties_even();
        pow2(n) = f32::from_bits(((n as i32 + 127) as u32) << 23);
    }

    #[inline(always)]
    unsafe fn sum(a: Self::V) -> f32 {
        a.iter().sum()
    }

    #[inline(always)]
    unsafe fn prefetch(_address: *const f32) {}
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Kernel, Simd};
    use std::arch::x86_64::{
        __m256, __m512, _MM_FROUND_NO_EXC, _MM_FROUND_TO_NEAREST_INT, _MM_HINT_T0, _mm_prefetch, _mm256_add_epi32,
        _mm256_add_ps, _mm256_castsi256_ps, _mm256_cvtps_epi32, _mm256_div_ps, _mm256_fmadd_ps, _mm256_loadu_ps,
        _mm256_max_ps, _mm256_min_ps, _mm256_mul_ps, _mm256_round_ps, _mm256_set1_epi32, _mm256_set1_ps,
        _mm256_slli_epi32, _mm256_storeu_ps, _mm256_sub_ps, _mm512_add_ps, _mm512_castpd_ps, _mm512_castps_pd,
        _mm512_div_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_storeu_ps, _mm512_max_ps, _mm512_min_ps,
        _mm512_mul_ps, _mm512_reduce_add_ps, _mm512_roundscale_ps, _mm512_scalef_ps, _mm512_set1_ps,
        _mm512_shuffle_f32x4, _mm512_storeu_ps, _mm512_sub_ps, _mm512_unpackhi_pd, _mm512_unpackhi_ps,
        _mm512_unpacklo_pd, _mm512_unpacklo_ps,
    };

    /// # Safety
    /// The processor has AVX2, FMA and F16C.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub unsafe fn avx2<K: Kernel>(kernel: K) -> K::Output {
        // SAFETY: the caller's promise.
        unsafe { kernel.run::<Avx2>() }
    }

    /// # Safety
    /// The processor has AVX-512 F, BW, DQ, VL and what `avx2` needs.
    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
    pub unsafe fn avx512<K: Kernel>(kernel: K) -> K::Output {
        // SAFETY: the caller's promise.
        unsafe { kernel.run::<Avx512>() }
    }

    #[derive(Clone, Copy)]
    pub struct Avx2;

    #[derive(Clone, Copy)]
    pub struct Avx512;

    macro_rules! intrinsics {
        ($vector:ty; $($name:ident($($argument:ident),*) = $value:expr;)*) => {
            $(
                #[inline(always)]
                unsafe fn $name($($argument: $vector),*) -> $vector {
                    // SAFETY: the trait's contract: only called where the instruction set exists.
                    unsafe { $value }
                }
            )*
        };
    }

    impl Simd for Avx2 {
        const LANES: usize = 8;
        const TILE_ROWS: usize = 6;
        type V = __m256;

        #[inline(always)]
        unsafe fn splat(value: f32) -> __m256 {
            // SAFETY: the trait's contract.
            unsafe { _mm256_set1_ps(value) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> __m256 {
            // SAFETY: the trait's contract.
            unsafe { _mm256_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn store(to: *mut f32, value: __m256) {
            // SAFETY: the trait's contract.
            unsafe { _mm256_storeu_ps(to, value) }
        }

        intrinsics! { __m256;
            add(a, b) = _mm256_add_ps(a, b);
            sub(a, b) = _mm256_sub_ps(a, b);
            mul(a, b) = _mm256_mul_ps(a, b);
            div(a, b) = _mm256_div_ps(a, b);
            fma(a, b, c) = _mm256_fmadd_ps(a, b, c);
            max(a, b) = _mm256_max_ps(a, b);
            min(a, b) = _mm256_min_ps(a, b);
            round(a) = _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a);
            pow2(n) = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(
                _mm256_cvtps_epi32(n),
                _mm256_set1_epi32(127),
            )));
        }

        #[inline(always)]
        unsafe fn sum(a: __m256) -> f32 {
            let mut lanes = [0.0_f32; 8];
            // SAFETY: the array has eight numbers.
            unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), a) };
            lanes.iter().sum()
        }

        #[inline(always)]
        unsafe fn prefetch(address: *const f32) {
            // SAFETY: a prefetch never faults.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
        }
    }

    impl Simd for Avx512 {
        const LANES: usize = 16;
        const TILE_ROWS: usize = 12;
        type V = __m512;

        #[inline(always)]
        unsafe fn splat(value: f32) -> __m512 {
            // SAFETY: the trait's contract.
            unsafe { _mm512_set1_ps(value) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> __m512 {
            // SAFETY: the trait's contract.
            unsafe { _mm512_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn store(to: *mut f32, value: __m512) {
            // SAFETY: the trait's contract.
            unsafe { _mm512_storeu_ps(to, value) }
        }

        intrinsics! { __m512;
            add(a, b) = _mm512_add_ps(a, b);
            sub(a, b) = _mm512_sub_ps(a, b);
            mul(a, b) = _mm512_mul_ps(a, b);
            div(a, b) = _mm512_div_ps(a, b);
            fma(a, b, c) = _mm512_fmadd_ps(a, b, c);
            max(a, b) = _mm512_max_ps(a, b);
            min(a, b) = _mm512_min_ps(a, b);
            round(a) = _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a);
            pow2(n) = _mm512_scalef_ps(_mm512_set1_ps(1.0), n);
        }

        #[inline(always)]
        unsafe fn sum(a: __m512) -> f32 {
            // SAFETY: the trait's contract.
            unsafe { _mm512_reduce_add_ps(a) }
        }

        // The 16×16 transposition in four rounds of shuffles: pairs, quadruples, then 128-bit lanes.
        #[inline(always)]
        unsafe fn transpose(
            from: *const f32,
            stride: usize,
            rows: usize,
            to: *mut f32,
            to_stride: usize,
            group: usize,
        ) {
            // SAFETY: the trait's contract; rows that are not there are not read.
            unsafe {
                let mut a = [_mm512_set1_ps(0.0); 16];
                if rows == 16 {
                    for (i, row) in a.iter_mut().enumerate() {
                        *row = _mm512_loadu_ps(from.add(i * stride));
                    }
                } else {
                    for (i, row) in a.iter_mut().enumerate().take(rows) {
                        *row = _mm512_loadu_ps(from.add(i * stride));
                    }
                }
                let mut b = a;
                for i in 0..8 {
                    b[2 * i] = _mm512_unpacklo_ps(a[2 * i], a[2 * i + 1]);
                    b[2 * i + 1] = _mm512_unpackhi_ps(a[2 * i], a[2 * i + 1]);
                }
                for i in 0..4 {
                    let double = |index: usize| _mm512_castps_pd(b[4 * i + index]);
                    a[4 * i] = _mm512_castpd_ps(_mm512_unpacklo_pd(double(0), double(2)));
                    a[4 * i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(double(0), double(2)));
                    a[4 * i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(double(1), double(3)));
                    a[4 * i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(double(1), double(3)));
                }
                // a[4 q + j] now holds columns j, j+4, j+8, j+12 of rows 4q..4q+4, one column a lane of 128 bits.
                for j in 0..4 {
                    b[j] = _mm512_shuffle_f32x4::<0x88>(a[j], a[4 + j]);
                    b[4 + j] = _mm512_shuffle_f32x4::<0xdd>(a[j], a[4 + j]);
                    b[8 + j] = _mm512_shuffle_f32x4::<0x88>(a[8 + j], a[12 + j]);
                    b[12 + j] = _mm512_shuffle_f32x4::<0xdd>(a[8 + j], a[12 + j]);
                }
                for j in 0..4 {
                    a[j] = _mm512_shuffle_f32x4::<0x88>(b[j], b[8 + j]);
                    a[8 + j] = _mm512_shuffle_f32x4::<0xdd>(b[j], b[8 + j]);
                    a[4 + j] = _mm512_shuffle_f32x4::<0x88>(b[4 + j], b[12 + j]);
                    a[12 + j] = _mm512_shuffle_f32x4::<0xdd>(b[4 + j], b[12 + j]);
                }
                if group == 16 {
                    for (k, column) in a.iter().enumerate() {
                        _mm512_storeu_ps(to.add(k * to_stride), *column);
                    }
                } else {
                    let mask = (1_u16 << group) - 1;
                    for (k, column) in a.iter().enumerate() {
                        _mm512_mask_storeu_ps(to.add(k * to_stride), mask, *column);
                    }
                }
            }
        }

        #[inline(always)]
        unsafe fn prefetch(address: *const f32) {
            // SAFETY: a prefetch never faults.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Evaluate<'a>(&'a [f32], fn_kind::Kind);

    mod fn_kind {
        #[derive(Clone, Copy)]
        pub enum Kind {
            Exp,
            Silu,
            Gelu,
        }
    }

    impl Kernel for Evaluate<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        unsafe fn run<S: Simd>(self) -> Vec<f32> {
            let mut out = vec![0.0; self.0.len()];
            for start in (0..self.0.len()).step_by(S::LANES) {
                // SAFETY: the tests pass multiples of 16 numbers.
                unsafe {
                    let x = S::load(self.0.as_ptr().add(start));
                    let y = match self.1 {
                        fn_kind::Kind::Exp => S::exp(x),
                        fn_kind::Kind::Silu => S::silu(x),
                        fn_kind::Kind::Gelu => S::gelu_tanh(x),
                    };
                    S::store(out.as_mut_ptr().add(start), y);
                }
            }
            out
        }
    }

    type Function = fn(f64) -> f64;

    #[test]
    fn functions_agree_with_f64() {
        let inputs: Vec<f32> = (0..4096).map(|i| (i as f32 - 2048.0) / 40.0).collect();
        let references: [(fn_kind::Kind, Function); 3] = [
            (fn_kind::Kind::Exp, f64::exp),
            (fn_kind::Kind::Silu, |x| x / (1.0 + (-x).exp())),
            (fn_kind::Kind::Gelu, |x| {
                0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
            }),
        ];
        for isa in Isa::available() {
            for (kind, reference) in references {
                for (x, y) in inputs.iter().zip(dispatch_on(isa, Evaluate(&inputs, kind))) {
                    let expected = reference(f64::from(*x));
                    let error = (f64::from(y) - expected).abs();
                    assert!(error <= 4e-7 * expected.abs() + 1e-6, "{isa:?} f({x}) = {y}, expected {expected}");
                }
            }
        }
    }

    #[test]
    fn exp_of_masked_scores_is_nearly_zero() {
        let inputs = [f32::NEG_INFINITY; 16];
        for isa in Isa::available() {
            assert!(dispatch_on(isa, Evaluate(&inputs, fn_kind::Kind::Exp)).iter().all(|y| (0.0..1e-37).contains(y)));
        }
    }

    #[test]
    fn what_is_no_number_stays_none() {
        for isa in Isa::available() {
            for kind in [fn_kind::Kind::Exp, fn_kind::Kind::Silu, fn_kind::Kind::Gelu] {
                assert!(dispatch_on(isa, Evaluate(&[f32::NAN; 16], kind)).iter().all(|y| y.is_nan()), "{isa:?}");
            }
        }
    }
}
