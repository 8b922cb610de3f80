//! NEON, the vectors of 64-bit ARM processors.
//!
//! A vector is two registers of 128 bits. The tile of 6 × 2 vectors then has the shape of AVX2's and takes 24 of the 32
//! registers, 4 hold a step's columns and 2 the rows' numbers, each multiplied from its place in the register. One
//! register a vector would need 12 rows for as many sums, and so twice as many of the rows' numbers a multiplication.

use super::vector::{Kernel, Simd};
use std::arch::aarch64::{
    float32x4_t, int32x4_t, uint32x4_t, vaddq_f32, vaddq_s32, vaddvq_f32, vandq_u32, vbslq_f32, vcgtq_f32, vcltq_f32,
    vcvtnq_s32_f32, vcvtq_f32_s32, vdivq_f32, vdupq_n_f32, vdupq_n_s32, vdupq_n_u32, vfmaq_f32, vfmaq_n_f32,
    vget_low_f32, vget_low_s8, vld1q_f32, vld1q_u32, vld4q_f32, vmull_high_s8, vmull_s8, vmulq_f32, vpadalq_s16,
    vpaddq_s16, vreinterpretq_f32_f64, vreinterpretq_f32_s32, vreinterpretq_f32_u32, vreinterpretq_f64_f32,
    vreinterpretq_s8_u32, vrndnq_f32, vshlq_n_s32, vshlq_n_u32, vst1_f32, vst1q_f32, vst1q_lane_f32, vsubq_f32,
    vtrn1q_f32, vtrn1q_f64, vtrn2q_f32, vtrn2q_f64, vzip1q_f32, vzip2q_f32,
};
use std::arch::asm;

/// # Safety
/// The processor has NEON.
#[target_feature(enable = "neon")]
pub unsafe fn neon<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller's promise.
    unsafe { kernel.run::<Neon<0>>() }
}

/// # Safety
/// The processor has NEON and its dot products of 8-bit integers (`FEAT_DotProd`).
#[target_feature(enable = "neon,dotprod")]
pub unsafe fn neon_dot<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller's promise.
    unsafe { kernel.run::<Neon<DOT>>() }
}

/// # Safety
/// The processor has what `neon_dot` needs, and dot products of bf16 (`FEAT_BF16`).
#[target_feature(enable = "neon,dotprod,bf16")]
pub unsafe fn neon_bf16<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller's promise.
    unsafe { kernel.run::<Neon<BF16>>() }
}

/// NEON with the dot products of narrow numbers that `DOTS` names: none, [`DOT`], or [`BF16`] as well.
#[derive(Clone, Copy)]
pub struct Neon<const DOTS: u8>;

/// Integers of 8 bits.
const DOT: u8 = 1;
/// Those and bf16.
const BF16: u8 = 2;

type Registers = [float32x4_t; 2];

macro_rules! intrinsics {
    ($($name:ident($($argument:ident),*) = $value:expr;)*) => {
        $(
            #[inline(always)]
            unsafe fn $name($($argument: Registers),*) -> Registers {
                // SAFETY: the trait's contract: only called where the instruction set exists.
                unsafe {
                    [
                        { $(let $argument = $argument[0];)* $value },
                        { $(let $argument = $argument[1];)* $value },
                    ]
                }
            }
        )*
    };
}

impl<const DOTS: u8> Simd for Neon<DOTS> {
    const LANES: usize = 8;
    const TILE_ROWS: usize = 6;
    type V = Registers;
    type U = [uint32x4_t; 2];
    // A register holds it in its first place, from where instructions multiply it as they do numbers of f32.
    type N = f32;
    type I = [int32x4_t; 2];
    const UNIT: usize = 4;
    const NUMBER_SHIFT: i32 = 0;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Registers {
        // SAFETY: the trait's contract.
        unsafe { [vdupq_n_f32(value); 2] }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Registers {
        // SAFETY: the trait's contract.
        unsafe { [vld1q_f32(from), vld1q_f32(from.add(4))] }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, value: Registers) {
        // SAFETY: the trait's contract.
        unsafe {
            vst1q_f32(to, value[0]);
            vst1q_f32(to.add(4), value[1]);
        }
    }

    intrinsics! {
        add(a, b) = vaddq_f32(a, b);
        sub(a, b) = vsubq_f32(a, b);
        mul(a, b) = vmulq_f32(a, b);
        div(a, b) = vdivq_f32(a, b);
        fma(a, b, c) = vfmaq_f32(c, a, b);
        // Not `fmax`, which gives no number where either is none, nor `fmaxnm`, which gives the other.
        max(a, b) = vbslq_f32(vcgtq_f32(a, b), a, b);
        min(a, b) = vbslq_f32(vcltq_f32(a, b), a, b);
        round(a) = vrndnq_f32(a);
        pow2(n) = vreinterpretq_f32_s32(vshlq_n_s32::<23>(vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127))));
    }

    #[inline(always)]
    unsafe fn sum(a: Registers) -> f32 {
        // SAFETY: the trait's contract.
        unsafe { vaddvq_f32(vaddq_f32(a[0], a[1])) }
    }

    #[inline(always)]
    unsafe fn prefetch(address: *const f32) {
        // SAFETY: a prefetch never faults. The intrinsic is not stable (rust-lang/rust#117217).
        unsafe { asm!("prfm pldl1keep, [{}]", in(reg) address.addr(), options(nomem, nostack, preserves_flags)) }
    }

    // 4×4 numbers at a time: pairs, then pairs of pairs.
    #[inline(always)]
    unsafe fn transpose(from: *const f32, stride: usize, rows: usize, to: *mut f32, to_stride: usize, group: usize) {
        // SAFETY: the trait's contract; rows that are not there are not read, and places beyond the group not written.
        unsafe {
            for first in (0..group).step_by(4) {
                for k in [0, 4] {
                    let mut a = [vdupq_n_f32(0.0); 4];
                    for (i, row) in a.iter_mut().enumerate() {
                        if first + i < rows {
                            *row = vld1q_f32(from.add((first + i) * stride + k));
                        }
                    }
                    let double = |vector: float32x4_t| vreinterpretq_f64_f32(vector);
                    let (upper_even, upper_odd) = (double(vtrn1q_f32(a[0], a[1])), double(vtrn2q_f32(a[0], a[1])));
                    let (lower_even, lower_odd) = (double(vtrn1q_f32(a[2], a[3])), double(vtrn2q_f32(a[2], a[3])));
                    let columns = [
                        vreinterpretq_f32_f64(vtrn1q_f64(upper_even, lower_even)),
                        vreinterpretq_f32_f64(vtrn1q_f64(upper_odd, lower_odd)),
                        vreinterpretq_f32_f64(vtrn2q_f64(upper_even, lower_even)),
                        vreinterpretq_f32_f64(vtrn2q_f64(upper_odd, lower_odd)),
                    ];
                    for (i, column) in columns.into_iter().enumerate() {
                        store_first(to.add((k + i) * to_stride + first), column, group - first);
                    }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn deinterleave(from: *const f32) -> [Registers; 4] {
        // SAFETY: the trait's contract.
        unsafe {
            let (a, b) = (vld4q_f32(from), vld4q_f32(from.add(16)));
            [[a.0, b.0], [a.1, b.1], [a.2, b.2], [a.3, b.3]]
        }
    }

    #[inline(always)]
    unsafe fn interleave(phases: [Registers; 4]) -> [Registers; 4] {
        // SAFETY: the trait's contract.
        unsafe {
            let [a, b, c, d] = phases;
            let mut numbers = [[vdupq_n_f32(0.0); 2]; 4];
            for half in 0..2 {
                let (front_even, back_even) = (vzip1q_f32(a[half], c[half]), vzip2q_f32(a[half], c[half]));
                let (front_odd, back_odd) = (vzip1q_f32(b[half], d[half]), vzip2q_f32(b[half], d[half]));
                numbers[2 * half] = [vzip1q_f32(front_even, front_odd), vzip2q_f32(front_even, front_odd)];
                numbers[2 * half + 1] = [vzip1q_f32(back_even, back_odd), vzip2q_f32(back_even, back_odd)];
            }
            numbers
        }
    }

    #[inline(always)]
    unsafe fn load_units(from: *const u32) -> Self::U {
        // SAFETY: the trait's contract.
        unsafe { [vld1q_u32(from), vld1q_u32(from.add(4))] }
    }

    #[inline(always)]
    unsafe fn splat_unit(unit: u32) -> f32 {
        f32::from_bits(unit)
    }

    #[inline(always)]
    unsafe fn splat_sum(sum: i32) -> Self::I {
        // SAFETY: the trait's contract.
        unsafe { [vdupq_n_s32(sum); 2] }
    }

    #[inline(always)]
    unsafe fn sum_to_float(sum: Self::I) -> Registers {
        // SAFETY: the trait's contract.
        unsafe { [vcvtq_f32_s32(sum[0]), vcvtq_f32_s32(sum[1])] }
    }

    #[inline(always)]
    unsafe fn dot(weights: Self::U, numbers: f32, sum: Self::I) -> Self::I {
        // SAFETY: the trait's contract; with `DOTS` there are the instructions for it.
        unsafe {
            if DOTS >= DOT {
                return [sdot(weights[0], numbers, sum[0]), sdot(weights[1], numbers, sum[1])];
            }
            let numbers = vdupq_n_u32(numbers.to_bits());
            [multiply_pairs(weights[0], numbers, sum[0]), multiply_pairs(weights[1], numbers, sum[1])]
        }
    }

    #[inline(always)]
    unsafe fn dot_bf16(a: Self::U, b: f32, sum: Registers) -> Registers {
        // SAFETY: the trait's contract; with `DOTS` there are the instructions for it.
        unsafe {
            if DOTS >= BF16 {
                return [bfdot(a[0], b, sum[0]), bfdot(a[1], b, sum[1])];
            }
            let (b, upper) = (b.to_bits(), vdupq_n_u32(0xffff_0000));
            let (b_low, b_high) = (f32::from_bits(b << 16), f32::from_bits(b & 0xffff_0000));
            let mut sums = sum;
            for (sum, a) in sums.iter_mut().zip(a) {
                let (a_low, a_high) = (vshlq_n_u32::<16>(a), vandq_u32(a, upper));
                *sum = vfmaq_n_f32(*sum, vreinterpretq_f32_u32(a_low), b_low);
                *sum = vfmaq_n_f32(*sum, vreinterpretq_f32_u32(a_high), b_high);
            }
            sums
        }
    }
}

/// Writes the first `count` numbers of a vector, all four if there are more.
///
/// # Safety
/// `to` is valid for them, and the processor has NEON.
#[inline(always)]
unsafe fn store_first(to: *mut f32, numbers: float32x4_t, count: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        match count {
            0 => {}
            1 => vst1q_lane_f32::<0>(to, numbers),
            2 => vst1_f32(to, vget_low_f32(numbers)),
            3 => {
                vst1_f32(to, vget_low_f32(numbers));
                vst1q_lane_f32::<2>(to.add(2), numbers);
            }
            _ => vst1q_f32(to, numbers),
        }
    }
}

/// `sum + weights · numbers`, four integers of 8 bits a unit.
///
/// # Safety
/// The processor has `FEAT_DotProd`.
#[inline(always)]
unsafe fn sdot(weights: uint32x4_t, numbers: f32, sum: int32x4_t) -> int32x4_t {
    let mut sum = sum;
    // SAFETY: the caller's promise; nothing but the register of the sum changes. The intrinsic is not stable
    // (rust-lang/rust#117224).
    unsafe {
        asm!(
            "sdot {sum:v}.4s, {weights:v}.16b, {numbers:v}.4b[0]",
            sum = inout(vreg) sum,
            weights = in(vreg) weights,
            numbers = in(vreg) numbers,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}

/// As [`sdot`], without the instruction: products of 16 bits, sums of two of them, which 16 bits hold as long as the numbers
/// are above −128, and these in pairs of 32 bits.
///
/// # Safety
/// The processor has NEON.
#[inline(always)]
unsafe fn multiply_pairs(weights: uint32x4_t, numbers: uint32x4_t, sum: int32x4_t) -> int32x4_t {
    // SAFETY: the caller's promise.
    unsafe {
        let (weights, numbers) = (vreinterpretq_s8_u32(weights), vreinterpretq_s8_u32(numbers));
        let front = vmull_s8(vget_low_s8(weights), vget_low_s8(numbers));
        let back = vmull_high_s8(weights, numbers);
        vpadalq_s16(sum, vpaddq_s16(front, back))
    }
}

/// `sum + a · b`, two numbers of bf16 a unit. Without `FEAT_EBF16` the instruction rounds the two products' sum, and then
/// the whole, to odd: each is off by less than a unit in the last place, to either side. Numbers below the normal ones
/// count as zeros (Arm Architecture Reference Manual, BFDOT).
///
/// # Safety
/// The processor has `FEAT_BF16`.
#[inline(always)]
unsafe fn bfdot(a: uint32x4_t, b: f32, sum: float32x4_t) -> float32x4_t {
    let mut sum = sum;
    // SAFETY: the caller's promise; nothing but the register of the sum changes. There is no intrinsic.
    unsafe {
        asm!(
            "bfdot {sum:v}.4s, {a:v}.8h, {b:v}.2h[0]",
            sum = inout(vreg) sum,
            a = in(vreg) a,
            b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}
