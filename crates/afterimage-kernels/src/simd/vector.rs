//! What a vector unit does, and what is written for any of them.

/// The upper half of a number, rounded to the nearest, halves to even; what is no number stays none.
#[inline(always)]
pub(crate) fn nearest_bf16(number: f32) -> u32 {
    let bits = number.to_bits();
    let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    if number.is_nan() { bits >> 16 | 0x40 } else { nearest }
}

/// [`Simd::store_bf16`] where there is no instruction for it.
///
/// # Safety
/// The machine has `S`'s instruction set; `to` has room for a vector of units.
#[inline(always)]
pub(super) unsafe fn store_bf16_by_lane<S: Simd>(to: *mut u32, low: S::V, high: S::V) {
    // SAFETY: the caller's promise; an instruction set has at most 16 lanes.
    unsafe {
        let mut numbers = [[0.0_f32; 16]; 2];
        S::store(numbers[0].as_mut_ptr(), low);
        S::store(numbers[1].as_mut_ptr(), high);
        let [low, high] = numbers;
        for (lane, (low, high)) in low.iter().zip(&high).enumerate().take(S::LANES) {
            *to.add(lane) = nearest_bf16(*low) | nearest_bf16(*high) << 16;
        }
    }
}

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

    /// [`Simd::LANES`] units: four bytes each that hold narrow numbers which are multiplied and summed together.
    type U: Copy;
    /// One such unit, to be multiplied with all units of a vector.
    type N: Copy;
    /// [`Simd::LANES`] sums of products of integers, 32 bits each.
    type I: Copy;
    /// Integers in a unit: 4 of 8 bits, or 2 of 16.
    const UNIT: usize;
    /// What is added to the numbers of 8 bits of a single unit: 128 where the instruction takes them without sign, else 0.
    const NUMBER_SHIFT: i32;

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
    /// Reads units; `from` is valid for [`Simd::LANES`] of them.
    unsafe fn load_units(from: *const u32) -> Self::U;
    /// The same unit for all lanes.
    unsafe fn splat_unit(unit: u32) -> Self::N;
    /// The same sum in all lanes.
    unsafe fn splat_sum(sum: i32) -> Self::I;
    /// `sum + weights · numbers`, unit by unit; numbers raised by [`Simd::NUMBER_SHIFT`]. Exact: weights are −128..=127,
    /// numbers −127..=127.
    unsafe fn dot(weights: Self::U, numbers: Self::N, sum: Self::I) -> Self::I;
    /// Sums as floating-point numbers, rounded to the nearest.
    unsafe fn sum_to_float(sum: Self::I) -> Self::V;
    /// `sum + a · b`, unit by unit, each two numbers of bf16.
    unsafe fn dot_bf16(a: Self::U, b: Self::N, sum: Self::V) -> Self::V;
    /// Writes a vector of units, of numbers that are rounded to bf16: those of `low`, and above them those of `high`.
    #[inline(always)]
    unsafe fn store_bf16(to: *mut u32, low: Self::V, high: Self::V) {
        // SAFETY: the caller's promise.
        unsafe { store_bf16_by_lane::<Self>(to, low, high) };
    }
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

    /// Whether it multiplies narrow numbers.
    const DOTS: bool = false;

    /// Does the work.
    ///
    /// # Safety
    /// Only on a machine with `S`'s instruction set. Must be `#[inline(always)]`.
    unsafe fn run<S: Simd>(self) -> Self::Output;
}
