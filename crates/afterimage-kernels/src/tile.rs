//! The register tile that matrix products, attention and convolutions are built from.

use crate::simd::Simd;

/// Columns of the widest tile of any instruction set.
pub const MAX_COLUMNS: usize = 32;

/// Rows of the tallest tile of any instruction set.
pub const MAX_ROWS: usize = 12;

/// Columns of `S`'s tile: two vectors.
pub const fn columns<S: Simd>() -> usize {
    2 * S::LANES
}

/// The sums of one tile: `ROWS` rows of two vectors.
pub type Sums<S, const ROWS: usize> = [[<S as Simd>::V; 2]; ROWS];

/// An output that tasks share; each writes its own part of it, and nobody reads meanwhile.
#[derive(Clone, Copy)]
pub struct SharedOutput(pub *mut f32);

// SAFETY: every task of a product writes its own columns and rows only, every task of a convolution the pixels of its
// own tile; `Product` and `Convolution` hand them out without overlap.
unsafe impl Send for SharedOutput {}
// SAFETY: as above.
unsafe impl Sync for SharedOutput {}

/// Where a tile's sums go: `rows` rows, `stride` apart, of `columns` numbers, from `start` on.
#[derive(Clone, Copy)]
pub struct TileOutput {
    pub start: *mut f32,
    pub stride: usize,
    pub rows: usize,
    pub columns: usize,
}

/// `sums[i][j] = Σ_k a[k * a_step + i] · b(k)[j]` for `depth` values of k.
///
/// # Safety
/// `a` is readable at every index named above, `b(k)` points at two vectors for every `k < depth`.
#[inline(always)]
pub unsafe fn multiply<S: Simd, const ROWS: usize>(
    depth: usize,
    a: *const f32,
    a_step: usize,
    b: impl Fn(usize) -> *const f32,
) -> Sums<S, ROWS> {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[S::splat(0.0); 2]; ROWS];
        let mut a = a;
        for k in 0..depth {
            let row = b(k);
            let (left, right) = (S::load(row), S::load(row.add(S::LANES)));
            for (i, sum) in sums.iter_mut().enumerate() {
                let factor = S::splat(*a.add(i));
                sum[0] = S::fma(factor, left, sum[0]);
                sum[1] = S::fma(factor, right, sum[1]);
            }
            a = a.add(a_step);
        }
        sums
    }
}

/// Calls `$function::<$kind, ROWS>($arguments)` with the smallest even `ROWS` that covers `$rows` (at most 12).
macro_rules! with_rows {
    ($rows:expr, $function:ident::<$($kind:ident),+>($($argument:expr),* $(,)?)) => {
        match $rows {
            0..=2 => $function::<$($kind),+, 2>($($argument),*),
            3..=4 => $function::<$($kind),+, 4>($($argument),*),
            5..=6 => $function::<$($kind),+, 6>($($argument),*),
            7..=8 => $function::<$($kind),+, 8>($($argument),*),
            9..=10 => $function::<$($kind),+, 10>($($argument),*),
            _ => $function::<$($kind),+, 12>($($argument),*),
        }
    };
}
pub(crate) use with_rows;
