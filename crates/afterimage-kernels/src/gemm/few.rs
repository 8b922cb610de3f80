//! Products of a few rows: the weight is read in place instead of packed, since each number is used too rarely to repay
//! packing.

use super::shape::{Finish, Product, Term};
use crate::scratch;
use crate::simd::{Kernel, Simd, dispatch_on};
use crate::tile::MAX_COLUMNS;
use rayon::prelude::*;
use std::ops::Range;

/// Up to this many rows.
pub(super) const FEW_ROWS: usize = 3;

pub(super) fn run(product: &Product) {
    const COLUMNS: usize = 16;
    let blocks = product.columns.div_ceil(COLUMNS);
    (0..blocks).into_par_iter().with_min_len(8).for_each(|block| {
        let columns = block * COLUMNS..((block + 1) * COLUMNS).min(product.columns);
        dispatch_on(product.isa, Dots { product: *product, columns });
    });
}

/// A few rows times some columns, by dot products along the weight's rows.
struct Dots<'a> {
    product: Product<'a>,
    columns: Range<usize>,
}

impl Kernel for Dots<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let product = &self.product;
        let mut weights = scratch::take(product.terms.iter().map(|term| term.weight.cols()).sum());
        for column in self.columns.clone() {
            let mut rest = &mut weights[..];
            for term in product.terms {
                let depth = term.weight.cols();
                let (weights, behind) = rest.split_at_mut(depth);
                term.weight.read_row(column, 0..depth, weights);
                rest = behind;
            }
            for row in 0..product.rows {
                let (mut y, mut rest) = (0.0, &weights[..]);
                for Term { x, weight } in product.terms {
                    let (weights, behind) = rest.split_at(weight.cols());
                    // SAFETY: this instruction set is the caller's promise.
                    y += unsafe { dot::<S>(&x.data[row * x.stride..][..weight.cols()], weights) };
                    rest = behind;
                }
                y += product.bias.map_or(0.0, |bias| bias[column]);
                // SAFETY: the output element lies inside the output and belongs to this task alone.
                unsafe {
                    let target = product.out.0.add(row * product.out_stride + column);
                    match product.finish {
                        Finish::Store => *target = y,
                        Finish::Gelu => *target = gelu_tanh_one::<S>(y),
                        Finish::Add => *target += y,
                        Finish::AddGated(gate) => *target += gate[column] * y,
                    }
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn gelu_tanh_one<S: Simd>(x: f32) -> f32 {
    let mut lanes = [0.0_f32; MAX_COLUMNS];
    // SAFETY: the array holds a vector of any instruction set.
    unsafe { S::store(lanes.as_mut_ptr(), S::gelu_tanh(S::splat(x))) };
    lanes[0]
}

/// Dot product of two slices of one length, in four independent sums.
#[inline(always)]
unsafe fn dot<S: Simd>(x: &[f32], y: &[f32]) -> f32 {
    let (x, y) = (&x[..x.len().min(y.len())], y);
    let step = 4 * S::LANES;
    let whole = x.len() - x.len() % step;
    // SAFETY: every load stays below `whole`.
    let mut total = unsafe {
        let mut sums = [S::splat(0.0); 4];
        for start in (0..whole).step_by(step) {
            for (index, sum) in sums.iter_mut().enumerate() {
                let at = start + index * S::LANES;
                *sum = S::fma(S::load(x.as_ptr().add(at)), S::load(y.as_ptr().add(at)), *sum);
            }
        }
        S::sum(S::add(S::add(sums[0], sums[1]), S::add(sums[2], sums[3])))
    };
    for (x, y) in x[whole..].iter().zip(&y[whole..]) {
        total += x * y;
    }
    total
}
