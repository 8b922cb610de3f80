//! Vector units: one small trait, an implementation per instruction set, chosen once at run time.
//!
//! An operation is written once, generic over [`Simd`], as a [`Kernel`]. [`dispatch`] runs it compiled for the best
//! instruction set of the machine (the habit of the memchr crate: only the outermost function carries
//! `#[target_feature]`, everything below is `#[inline(always)]`). Closures do not inherit target features, so work that
//! is spread over threads is dispatched inside each task.

mod isa;
#[cfg(target_arch = "x86_64")]
mod x86;

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

    /// Four vectors from `4 × LANES` numbers: vector `phase` holds the numbers `phase`, `4 + phase`, `8 + phase`…
    #[inline(always)]
    unsafe fn deinterleave(from: *const f32) -> [Self::V; 4] {
        // SAFETY: the caller promises that all of them are readable; an instruction set has at most 16 lanes.
        unsafe {
            let mut phases = [[0.0_f32; 16]; 4];
            for lane in 0..Self::LANES {
                for (phase, numbers) in phases.iter_mut().enumerate() {
                    numbers[lane] = *from.add(4 * lane + phase);
                }
            }
            phases.map(|numbers| Self::load(numbers.as_ptr()))
        }
    }

    /// Four vectors of numbers from four phases: what [`Simd::deinterleave`] took apart.
    #[inline(always)]
    unsafe fn interleave(phases: [Self::V; 4]) -> [Self::V; 4] {
        // SAFETY: all within the two buffers; an instruction set has at most 16 lanes.
        unsafe {
            let (mut apart, mut together) = ([[0.0_f32; 16]; 4], [0.0_f32; 64]);
            for (numbers, phase) in apart.iter_mut().zip(phases) {
                Self::store(numbers.as_mut_ptr(), phase);
            }
            for lane in 0..Self::LANES {
                for (phase, numbers) in apart.iter().enumerate() {
                    together[4 * lane + phase] = numbers[lane];
                }
            }
            std::array::from_fn(|vector| Self::load(together.as_ptr().add(vector * Self::LANES)))
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

    /// Numbers from phases and back.
    struct Phases<'a>(&'a [f32]);

    impl Kernel for Phases<'_> {
        type Output = (Vec<f32>, Vec<f32>);

        #[inline(always)]
        unsafe fn run<S: Simd>(self) -> (Vec<f32>, Vec<f32>) {
            let (mut apart, mut together) = (vec![0.0; 4 * S::LANES], vec![0.0; 4 * S::LANES]);
            // SAFETY: the test hands over 64 numbers, `4 × LANES` at least.
            unsafe {
                let phases = S::deinterleave(self.0.as_ptr());
                for (index, vector) in S::interleave(phases).into_iter().enumerate() {
                    S::store(apart.as_mut_ptr().add(index * S::LANES), phases[index]);
                    S::store(together.as_mut_ptr().add(index * S::LANES), vector);
                }
            }
            (apart, together)
        }
    }

    #[test]
    fn phases_come_apart_and_together() {
        let numbers: Vec<f32> = (0..64_u8).map(f32::from).collect();
        for isa in Isa::available() {
            let (apart, together) = dispatch_on(isa, Phases(&numbers));
            let lanes = apart.len() / 4;
            for (at, number) in apart.iter().enumerate() {
                assert_eq!(*number, numbers[4 * (at % lanes) + at / lanes], "{isa:?}, number {at}");
            }
            assert_eq!(together, numbers[..4 * lanes], "{isa:?}");
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
