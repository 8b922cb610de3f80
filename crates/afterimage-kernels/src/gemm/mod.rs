//! Matrix products with weights in their stored type.
//!
//! `out = finish(x · weightᵀ + bias)` in the scheme of Goto and van de Geijn (Anatomy of High-Performance Matrix
//! Multiplication, 2008): the depth is cut into slabs; of each slab `x` is packed once into panels that all threads
//! share, and every task packs a few columns of the weight, which it then keeps in its second-level cache while it runs
//! down all rows. What follows the product in the model (bias, GELU, gated residual) happens while the tile is still in
//! registers.
//!
//! Several such products may be summed before the finish, as if their inputs and weights stood side by side: what a
//! low-rank adapter adds to a layer takes only a few more columns of depth.
//!
//! | file | what |
//! |---|---|
//! | `shape.rs` | the arguments |
//! | `few.rs` | up to three rows |
//! | `packed.rs` | slabs, panels and tasks for more |
//! | `operands.rs` | packing and multiplying: what every type of numbers has to offer; f32 and bf16 by their panels |
//! | `integers.rs` | the same for integers of 8 bits in groups |
//! | `tiles.rs` | the same for bf16 in whole tiles (AMX) |
//! | `ceiling.rs` | how fast products are on this machine now |
//! | `write.rs` | from sums to the output |

mod ceiling;
mod few;
mod integers;
mod operands;
mod packed;
mod shape;
mod tiles;
mod write;

pub use ceiling::{Ceilings, measure_ceilings};
pub use shape::{Finish, Narrow, Rows, RowsMut, Term};

use crate::simd::{Isa, Kernel, Simd, dispatch_on};
use crate::tile::{self, SharedOutput};
use afterimage_tensors::Matrix;
use shape::Product;

/// `x · weightᵀ + bias`, a new vector `[rows, weight.rows()]`; `x` is `[rows, weight.cols()]` without gaps.
///
/// # Panics
/// When `x` is not a whole number of rows, or `bias` is not `weight.rows()` long.
pub fn linear(x: &[f32], weight: &Matrix, bias: Option<&[f32]>) -> Vec<f32> {
    let cols = weight.cols().max(1);
    assert_eq!(x.len() % cols, 0, "rows of {cols}");
    let rows = x.len() / cols;
    let mut out = vec![0.0; rows * weight.rows()];
    let stride = weight.rows();
    linear_into(Rows { data: x, rows, stride: cols }, weight, bias, Finish::Store, RowsMut { data: &mut out, stride });
    out
}

/// Computes `x · weightᵀ + bias` and finishes it into `out`.
///
/// # Panics
/// When a buffer is too short, or bias or gate are not `weight.rows()` long.
pub fn linear_into(x: Rows, weight: &Matrix, bias: Option<&[f32]>, finish: Finish, out: RowsMut) {
    linear_on(Isa::detect(), x, weight, bias, finish, out);
}

/// [`linear_into`] with a chosen instruction set.
///
/// # Panics
/// As [`linear_into`].
pub fn linear_on(isa: Isa, x: Rows, weight: &Matrix, bias: Option<&[f32]>, finish: Finish, out: RowsMut) {
    sum_on(isa, Narrow::default(), &[Term { x, weight }], bias, finish, out);
}

/// Computes the sum of `terms` and `bias`, and finishes it into `out`.
///
/// # Panics
/// When there are no terms, their rows or outputs differ, a buffer is too short, or bias or gate are not as long as there are
/// outputs.
#[expect(clippy::needless_pass_by_value, reason = "an exclusive view is used up by writing to it")]
pub fn sum_on(isa: Isa, narrow: Narrow, terms: &[Term], bias: Option<&[f32]>, finish: Finish, out: RowsMut) {
    let (rows, columns) = (terms[0].x.rows, terms[0].weight.rows());
    assert!(terms.iter().all(|term| (term.x.rows, term.weight.rows()) == (rows, columns)), "terms of different shapes");
    if rows == 0 || columns == 0 {
        return;
    }
    for Term { x, weight } in terms {
        let depth = weight.cols();
        assert!(x.stride >= depth && x.data.len() >= (rows - 1) * x.stride + depth, "input shorter than {rows} rows");
    }
    assert!(
        out.stride >= columns && out.data.len() >= (rows - 1) * out.stride + columns,
        "output shorter than {rows} rows of {columns}"
    );
    assert!(bias.is_none_or(|bias| bias.len() == columns), "bias of {columns}");
    if let Finish::AddGated(gate) = finish {
        assert_eq!(gate.len(), columns, "gate");
    }
    let target = SharedOutput(out.data.as_mut_ptr());
    let product = Product { isa, narrow, terms, rows, columns, bias, finish, out: target, out_stride: out.stride };
    if rows <= few::FEW_ROWS {
        few::run(&product);
    } else {
        packed::run(&product);
    }
}

/// Rows and columns of the register tile.
pub(crate) fn tile_of(isa: Isa) -> (usize, usize) {
    struct Shape;
    impl Kernel for Shape {
        type Output = (usize, usize);
        #[inline(always)]
        unsafe fn run<S: Simd>(self) -> (usize, usize) {
            (S::TILE_ROWS, tile::columns::<S>())
        }
    }
    dispatch_on(isa, Shape)
}

#[cfg(test)]
pub(crate) mod tests;
