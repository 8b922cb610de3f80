//! Plain Rust.

use super::vector::Simd;

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
    type U = [u32; 8];
    type N = u32;
    type I = [i32; 8];
    // As AVX-512's VNNI has it, so that this way is tried on every machine.
    const UNIT: usize = 4;
    const NUMBER_SHIFT: i32 = 128;

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

    #[inline(always)]
    unsafe fn load_units(from: *const u32) -> Self::U {
        // SAFETY: the caller promises LANES units.
        unsafe { from.cast::<[u32; 8]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn splat_unit(unit: u32) -> u32 {
        unit
    }

    #[inline(always)]
    unsafe fn splat_sum(sum: i32) -> Self::I {
        [sum; 8]
    }

    #[inline(always)]
    unsafe fn dot(weights: Self::U, numbers: u32, sum: Self::I) -> Self::I {
        std::array::from_fn(|lane| {
            let pairs = weights[lane].to_le_bytes().into_iter().zip(numbers.to_le_bytes());
            sum[lane] + pairs.map(|(weight, number)| i32::from(weight.cast_signed()) * i32::from(number)).sum::<i32>()
        })
    }

    #[inline(always)]
    unsafe fn sum_to_float(sum: Self::I) -> Self::V {
        sum.map(|sum| sum as f32)
    }

    #[inline(always)]
    unsafe fn dot_bf16(a: Self::U, b: u32, sum: Self::V) -> Self::V {
        let upper = |unit: u32| f32::from_bits(unit & 0xffff_0000);
        let lower = |unit: u32| f32::from_bits(unit << 16);
        std::array::from_fn(|lane| {
            let a = a[lane];
            sum[lane] + lower(a) * lower(b) + upper(a) * upper(b)
        })
    }
}
