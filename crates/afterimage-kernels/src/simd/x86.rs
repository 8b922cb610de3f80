//! AVX2 and AVX-512.

use super::vector::{Kernel, Simd, store_bf16_by_lane};
use std::arch::x86_64::{
    __m256, __m256bh, __m256i, __m512, __m512bh, __m512i, _MM_FROUND_NO_EXC, _MM_FROUND_TO_NEAREST_INT, _MM_HINT_T0,
    _mm_prefetch, _mm256_add_epi32, _mm256_add_ps, _mm256_and_si256, _mm256_castsi256_ps, _mm256_cvtepi32_ps,
    _mm256_cvtps_epi32, _mm256_div_ps, _mm256_dpbusd_avx_epi32, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_max_ps, _mm256_min_ps, _mm256_mul_ps, _mm256_permutevar8x32_ps, _mm256_round_ps,
    _mm256_set1_epi32, _mm256_set1_ps, _mm256_setr_epi32, _mm256_shuffle_ps, _mm256_slli_epi32, _mm256_storeu_ps,
    _mm256_sub_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps, _mm512_add_epi32, _mm512_add_ps, _mm512_and_si512,
    _mm512_castpd_ps, _mm512_castps_pd, _mm512_castsi512_ps, _mm512_cvtepi32_ps, _mm512_cvtepu16_epi32,
    _mm512_cvtneps_pbh, _mm512_div_ps, _mm512_dpbf16_ps, _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_loadu_ps,
    _mm512_loadu_si512, _mm512_madd_epi16, _mm512_mask_storeu_ps, _mm512_max_ps, _mm512_min_ps, _mm512_mul_ps,
    _mm512_or_si512, _mm512_permutexvar_ps, _mm512_reduce_add_ps, _mm512_roundscale_ps, _mm512_scalef_ps,
    _mm512_set1_epi32, _mm512_set1_ps, _mm512_setr_epi32, _mm512_shuffle_f32x4, _mm512_shuffle_ps, _mm512_slli_epi32,
    _mm512_storeu_ps, _mm512_storeu_si512, _mm512_sub_ps, _mm512_unpackhi_pd, _mm512_unpackhi_ps, _mm512_unpacklo_pd,
    _mm512_unpacklo_ps,
};
use std::mem::transmute;

/// # Safety
/// The processor has AVX2, FMA and F16C.
#[target_feature(enable = "avx2,fma,f16c")]
pub unsafe fn avx2<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller's promise.
    unsafe { kernel.run::<Avx2<0>>() }
}

/// # Safety
/// The processor has AVX-512 F, BW, DQ, VL and what `avx2` needs.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
pub unsafe fn avx512<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller's promise.
    unsafe { kernel.run::<Avx512<0>>() }
}

/// # Safety
/// The processor has what `avx512` needs, and AVX-512 VNNI.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub unsafe fn avx512_vnni<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller's promise.
    unsafe { kernel.run::<Avx512<VNNI>>() }
}

/// # Safety
/// The processor has what `avx512_vnni` needs, and AVX-512 BF16.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16")]
pub unsafe fn avx512_bf16<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller's promise.
    unsafe { kernel.run::<Avx512<BF16>>() }
}

/// # Safety
/// The processor has what `avx2` needs, and AVX-VNNI.
#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
pub unsafe fn avx2_vnni<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller's promise.
    unsafe { kernel.run::<Avx2<VNNI>>() }
}

/// AVX2 with the dot products of narrow numbers that `DOTS` names: none, or [`VNNI`] (AVX-VNNI, of processors without
/// AVX-512).
#[derive(Clone, Copy)]
pub struct Avx2<const DOTS: u8>;

/// AVX-512 with the dot products of narrow numbers that `DOTS` names: none, [`VNNI`], or [`BF16`] as well.
#[derive(Clone, Copy)]
pub struct Avx512<const DOTS: u8>;

/// Integers of 8 bits.
const VNNI: u8 = 1;
/// Those and bf16.
const BF16: u8 = 2;

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

impl<const DOTS: u8> Simd for Avx2<DOTS> {
    const LANES: usize = 8;
    const TILE_ROWS: usize = 6;
    type V = __m256;
    type U = __m256i;
    type N = __m256i;
    type I = __m256i;
    const UNIT: usize = if DOTS >= VNNI { 4 } else { 2 };
    const NUMBER_SHIFT: i32 = if DOTS >= VNNI { 128 } else { 0 };

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

    // A 4×4 transposition in each 128-bit lane, then tiles into their order.
    #[inline(always)]
    unsafe fn deinterleave(from: *const f32) -> [Self::V; 4] {
        // SAFETY: the trait's contract.
        unsafe {
            let (a, b) = (Self::load(from), Self::load(from.add(8)));
            let (c, d) = (Self::load(from.add(16)), Self::load(from.add(24)));
            let (left_even, right_even) = (_mm256_shuffle_ps::<0x88>(a, b), _mm256_shuffle_ps::<0x88>(c, d));
            let (left_odd, right_odd) = (_mm256_shuffle_ps::<0xdd>(a, b), _mm256_shuffle_ps::<0xdd>(c, d));
            let index = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
            [
                _mm256_permutevar8x32_ps(_mm256_shuffle_ps::<0x88>(left_even, right_even), index),
                _mm256_permutevar8x32_ps(_mm256_shuffle_ps::<0x88>(left_odd, right_odd), index),
                _mm256_permutevar8x32_ps(_mm256_shuffle_ps::<0xdd>(left_even, right_even), index),
                _mm256_permutevar8x32_ps(_mm256_shuffle_ps::<0xdd>(left_odd, right_odd), index),
            ]
        }
    }

    #[inline(always)]
    unsafe fn interleave(phases: [Self::V; 4]) -> [Self::V; 4] {
        // SAFETY: the trait's contract.
        unsafe {
            let index = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
            let [a, b, c, d] = phases;
            let (a, b) = (_mm256_permutevar8x32_ps(a, index), _mm256_permutevar8x32_ps(b, index));
            let (c, d) = (_mm256_permutevar8x32_ps(c, index), _mm256_permutevar8x32_ps(d, index));
            let (front_low, back_low) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
            let (front_high, back_high) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
            [
                _mm256_shuffle_ps::<0x44>(front_low, back_low),
                _mm256_shuffle_ps::<0xee>(front_low, back_low),
                _mm256_shuffle_ps::<0x44>(front_high, back_high),
                _mm256_shuffle_ps::<0xee>(front_high, back_high),
            ]
        }
    }

    #[inline(always)]
    unsafe fn load_units(from: *const u32) -> __m256i {
        // SAFETY: the trait's contract.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn splat_unit(unit: u32) -> __m256i {
        // SAFETY: the trait's contract.
        unsafe { _mm256_set1_epi32(unit.cast_signed()) }
    }

    #[inline(always)]
    unsafe fn splat_sum(sum: i32) -> __m256i {
        // SAFETY: the trait's contract.
        unsafe { _mm256_set1_epi32(sum) }
    }

    #[inline(always)]
    unsafe fn sum_to_float(sum: __m256i) -> Self::V {
        // SAFETY: the trait's contract.
        unsafe { _mm256_cvtepi32_ps(sum) }
    }

    #[inline(always)]
    unsafe fn dot(weights: __m256i, numbers: __m256i, sum: __m256i) -> __m256i {
        // SAFETY: the trait's contract; with `DOTS` there is the instruction for it.
        unsafe {
            if DOTS >= VNNI {
                _mm256_dpbusd_avx_epi32(sum, numbers, weights)
            } else {
                _mm256_add_epi32(sum, _mm256_madd_epi16(weights, numbers))
            }
        }
    }

    #[inline(always)]
    unsafe fn dot_bf16(a: __m256i, b: __m256i, sum: __m256) -> __m256 {
        // SAFETY: the trait's contract.
        unsafe {
            let upper = _mm256_set1_epi32(-65_536);
            let (a_low, b_low) = (_mm256_slli_epi32::<16>(a), _mm256_slli_epi32::<16>(b));
            let (a_high, b_high) = (_mm256_and_si256(a, upper), _mm256_and_si256(b, upper));
            let low = _mm256_fmadd_ps(_mm256_castsi256_ps(a_low), _mm256_castsi256_ps(b_low), sum);
            _mm256_fmadd_ps(_mm256_castsi256_ps(a_high), _mm256_castsi256_ps(b_high), low)
        }
    }
}

impl<const DOTS: u8> Simd for Avx512<DOTS> {
    const LANES: usize = 16;
    const TILE_ROWS: usize = 12;
    type V = __m512;
    type U = __m512i;
    type N = __m512i;
    type I = __m512i;
    const UNIT: usize = if DOTS >= VNNI { 4 } else { 2 };
    const NUMBER_SHIFT: i32 = if DOTS >= VNNI { 128 } else { 0 };

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
    unsafe fn transpose(from: *const f32, stride: usize, rows: usize, to: *mut f32, to_stride: usize, group: usize) {
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

    // A 4×4 transposition in each 128-bit lane, then tiles into their order.
    #[inline(always)]
    unsafe fn deinterleave(from: *const f32) -> [Self::V; 4] {
        // SAFETY: the trait's contract.
        unsafe {
            let (a, b) = (Self::load(from), Self::load(from.add(16)));
            let (c, d) = (Self::load(from.add(32)), Self::load(from.add(48)));
            let (left_even, right_even) = (_mm512_shuffle_ps::<0x88>(a, b), _mm512_shuffle_ps::<0x88>(c, d));
            let (left_odd, right_odd) = (_mm512_shuffle_ps::<0xdd>(a, b), _mm512_shuffle_ps::<0xdd>(c, d));
            let index = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            [
                _mm512_permutexvar_ps(index, _mm512_shuffle_ps::<0x88>(left_even, right_even)),
                _mm512_permutexvar_ps(index, _mm512_shuffle_ps::<0x88>(left_odd, right_odd)),
                _mm512_permutexvar_ps(index, _mm512_shuffle_ps::<0xdd>(left_even, right_even)),
                _mm512_permutexvar_ps(index, _mm512_shuffle_ps::<0xdd>(left_odd, right_odd)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn interleave(phases: [Self::V; 4]) -> [Self::V; 4] {
        // SAFETY: the trait's contract.
        unsafe {
            let index = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            let [a, b, c, d] = phases;
            let (a, b) = (_mm512_permutexvar_ps(index, a), _mm512_permutexvar_ps(index, b));
            let (c, d) = (_mm512_permutexvar_ps(index, c), _mm512_permutexvar_ps(index, d));
            let (front_low, back_low) = (_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d));
            let (front_high, back_high) = (_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d));
            [
                _mm512_shuffle_ps::<0x44>(front_low, back_low),
                _mm512_shuffle_ps::<0xee>(front_low, back_low),
                _mm512_shuffle_ps::<0x44>(front_high, back_high),
                _mm512_shuffle_ps::<0xee>(front_high, back_high),
            ]
        }
    }

    #[inline(always)]
    unsafe fn load_units(from: *const u32) -> __m512i {
        // SAFETY: the trait's contract.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn splat_unit(unit: u32) -> __m512i {
        // SAFETY: the trait's contract.
        unsafe { _mm512_set1_epi32(unit.cast_signed()) }
    }

    #[inline(always)]
    unsafe fn splat_sum(sum: i32) -> __m512i {
        // SAFETY: the trait's contract.
        unsafe { _mm512_set1_epi32(sum) }
    }

    #[inline(always)]
    unsafe fn sum_to_float(sum: __m512i) -> Self::V {
        // SAFETY: the trait's contract.
        unsafe { _mm512_cvtepi32_ps(sum) }
    }

    #[inline(always)]
    unsafe fn dot(weights: __m512i, numbers: __m512i, sum: __m512i) -> __m512i {
        // SAFETY: the trait's contract; with `DOTS` there are the instructions for it.
        unsafe {
            if DOTS >= VNNI {
                _mm512_dpbusd_epi32(sum, numbers, weights)
            } else {
                _mm512_add_epi32(sum, _mm512_madd_epi16(weights, numbers))
            }
        }
    }

    #[inline(always)]
    unsafe fn store_bf16(to: *mut u32, low: __m512, high: __m512) {
        // SAFETY: the trait's contract; with `DOTS` there is the instruction for it.
        unsafe {
            if DOTS >= BF16 {
                let low = _mm512_cvtepu16_epi32(transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(low)));
                let high = _mm512_cvtepu16_epi32(transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(high)));
                _mm512_storeu_si512(to.cast(), _mm512_or_si512(low, _mm512_slli_epi32::<16>(high)));
            } else {
                store_bf16_by_lane::<Self>(to, low, high);
            }
        }
    }

    #[inline(always)]
    unsafe fn dot_bf16(a: __m512i, b: __m512i, sum: __m512) -> __m512 {
        // SAFETY: the trait's contract; with `DOTS` there are the instructions for it.
        unsafe {
            if DOTS >= BF16 {
                let (a, b) = (transmute::<__m512i, __m512bh>(a), transmute::<__m512i, __m512bh>(b));
                return _mm512_dpbf16_ps(sum, a, b);
            }
            let upper = _mm512_set1_epi32(-65_536);
            let (a_low, b_low) = (_mm512_slli_epi32::<16>(a), _mm512_slli_epi32::<16>(b));
            let (a_high, b_high) = (_mm512_and_si512(a, upper), _mm512_and_si512(b, upper));
            let low = _mm512_fmadd_ps(_mm512_castsi512_ps(a_low), _mm512_castsi512_ps(b_low), sum);
            _mm512_fmadd_ps(_mm512_castsi512_ps(a_high), _mm512_castsi512_ps(b_high), low)
        }
    }
}
