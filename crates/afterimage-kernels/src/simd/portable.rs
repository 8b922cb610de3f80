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
