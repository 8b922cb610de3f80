//! Products of weights in blocks as the integers that they are.
//!
//! A row of `x` is rounded to 8 bits in groups of 32, as the largest of a group allows. Products within a group (within
//! half of one, where the type has a factor for each half) are summed as integers, exactly; the sum is then worth the
//! product of both factors. What a type takes away from its numbers becomes one multiplication a group with the sum of
//! the group's numbers. This is how GGML multiplies its types (`ggml-cpu/quants.c`), with panels and register tiles.
//!
//! A panel holds units (four bytes of integers, [`Simd::UNIT`]) side by side as panels of f32 hold numbers; behind them
//! stand the factors and what else belongs to each group.

use super::operands::Operands;
use super::shape::Rows;
use super::write::{Writing, prefetch, write};
use crate::pack::transpose;
use crate::simd::Simd;
use crate::tile::{self, MAX_COLUMNS, MAX_ROWS, Sums, TileOutput};
use afterimage_tensors::{GROUP, Matrix};
use std::ops::Range;

/// Numbers of a row that are packed at once.
const CHUNK: usize = 2 * GROUP;
/// Distance of rows in the staging block, in units: a cache line more than the units of a chunk.
const STAGE: usize = CHUNK / 2 + 16;
/// Rows of the tile with vectors of 16 lanes, and with shorter ones: sums of integers and of floats fit the registers.
const WIDE_ROWS: usize = 6;
const NARROW_ROWS: usize = 3;

/// How integers with factors are multiplied.
#[derive(Clone, Copy)]
pub(super) struct GroupedIntegers(afterimage_tensors::Integers);

/// Where the parts of a panel of `width` rows or columns begin.
#[derive(Clone, Copy)]
struct Panel {
    factors: usize,
    offsets: usize,
    corrections: usize,
    end: usize,
}

impl Panel {
    /// A factor a part of a group, an offset a part, an integer a part.
    #[inline(always)]
    fn new<S: Simd>(depth: usize, width: usize) -> Self {
        let (units, parts) = (depth / S::UNIT * width, depth / GROUP * 2 * width);
        Self { factors: units, offsets: units + parts, corrections: units + 2 * parts, end: units + 3 * parts }
    }
}

/// Signed integers as units; each is raised by `shift` first.
#[inline(always)]
fn units<S: Simd>(bits: &[i8; GROUP], shift: i32, out: &mut [u32]) {
    if S::UNIT == 4 {
        for (unit, bits) in out.iter_mut().zip(bits.as_chunks::<4>().0) {
            // Raising by 128 turns the upper bit.
            *unit = u32::from_le_bytes(bits.map(|bits| bits.cast_unsigned() ^ shift as u8));
        }
    } else {
        for (unit, [low, high]) in out.iter_mut().zip(bits.as_chunks::<2>().0) {
            *unit = u32::from(i16::from(*low).cast_unsigned()) | u32::from(i16::from(*high).cast_unsigned()) << 16;
        }
    }
}

/// A group of numbers rounded to integers, and what one of these is worth.
#[inline(always)]
fn rounded(numbers: &[f32; GROUP]) -> ([i8; GROUP], f32) {
    /// Added to a number below 2²², leaves its nearest integer in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let mut largest = 0.0_f32;
    let mut finite = true;
    for number in numbers {
        largest = largest.max(number.abs());
        finite &= number.is_finite();
    }
    let mut bits = [0; GROUP];
    // What is no number must not become one.
    if !finite {
        return (bits, f32::NAN);
    }
    // A group too small for a factor is one of zeros.
    let inverse = if largest > f32::MIN_POSITIVE * 128.0 { 127.0 / largest } else { 0.0 };
    for (bits, number) in bits.iter_mut().zip(numbers) {
        *bits = ((number * inverse + ROUND).to_bits() as u8).cast_signed();
    }
    (bits, largest / 127.0)
}

impl GroupedIntegers {
    /// For a matrix whose integers come like that.
    pub fn of(integers: afterimage_tensors::Integers) -> Self {
        Self(integers)
    }

    /// Parts of a group with a factor of their own.
    #[inline(always)]
    fn parts(self) -> usize {
        if self.0.halves { 2 } else { 1 }
    }
}

impl Operands for GroupedIntegers {
    const DOTS: bool = true;
    const GRAIN: usize = GROUP;
    const COLUMNS_FIRST: bool = true;

    #[inline(always)]
    fn tile_rows<S: Simd>() -> usize {
        if S::LANES > 8 { WIDE_ROWS } else { NARROW_ROWS }
    }

    #[inline(always)]
    fn row_panel<S: Simd>(depth: usize) -> usize {
        Panel::new::<S>(depth, Self::tile_rows::<S>()).end
    }

    #[inline(always)]
    fn column_panel<S: Simd>(depth: usize) -> usize {
        Panel::new::<S>(depth, tile::columns::<S>()).end
    }

    #[inline(always)]
    unsafe fn pack_rows<S: Simd>(self, x: Rows, rows: Range<usize>, cols: Range<usize>, panel: &mut [f32]) {
        let (width, count, parts) = (Self::tile_rows::<S>(), rows.len(), self.parts());
        let places = Panel::new::<S>(cols.len(), width);
        assert!(
            count <= width && panel.len() >= places.end && cols.len().is_multiple_of(GROUP),
            "panel of {count} rows"
        );
        panel[places.factors..places.end].fill(0.0);
        let mut stage = [0_u32; MAX_ROWS * STAGE];
        for start in cols.clone().step_by(CHUNK) {
            let chunk = CHUNK.min(cols.end - start);
            for (index, row) in rows.clone().enumerate() {
                let numbers = &x.data[row * x.stride + start..][..chunk];
                for (number, group) in numbers.as_chunks::<GROUP>().0.iter().enumerate() {
                    let (bits, factor) = rounded(group);
                    units::<S>(&bits, 0, &mut stage[index * STAGE + number * GROUP / S::UNIT..][..GROUP / S::UNIT]);
                    let group = (start - cols.start) / GROUP + number;
                    panel[places.factors + group * width + index] = factor;
                    for (part, bits) in bits.chunks_exact(GROUP / parts).enumerate() {
                        let sum: i32 = bits.iter().map(|bits| i32::from(*bits)).sum();
                        let at = (group * parts + part) * width + index;
                        panel[places.offsets + at] = factor * sum as f32;
                        panel[places.corrections + at] = f32::from_bits((-S::WEIGHT_SHIFT * sum).cast_unsigned());
                    }
                }
            }
            // SAFETY: the stage has `width` rows of a chunk's units, the panel was checked above; this instruction set is
            // the caller's promise.
            unsafe {
                let to = panel.as_mut_ptr().add((start - cols.start) / S::UNIT * width);
                transpose::<S>(stage.as_ptr().cast(), STAGE, count, chunk / S::UNIT, to, width);
            }
        }
    }

    #[inline(always)]
    unsafe fn pack_columns<S: Simd>(self, weight: &Matrix, rows: Range<usize>, cols: Range<usize>, panel: &mut [f32]) {
        let (width, count, parts) = (tile::columns::<S>(), rows.len(), self.parts());
        let places = Panel::new::<S>(cols.len(), width);
        assert!(
            count <= width && panel.len() >= places.end && cols.len().is_multiple_of(GROUP),
            "panel of {count} rows"
        );
        panel[places.factors..places.corrections].fill(0.0);
        let mut stage = [0_u32; MAX_COLUMNS * STAGE];
        let stored: [_; MAX_COLUMNS] = std::array::from_fn(|row| (row < count).then(|| weight.row(rows.start + row)));
        for start in cols.clone().step_by(CHUNK) {
            let chunk = CHUNK.min(cols.end - start);
            for (index, row) in stored.iter().flatten().enumerate() {
                for number in 0..chunk / GROUP {
                    let group = row.integers(start / GROUP + number);
                    let units_of_group = &mut stage[index * STAGE + number * GROUP / S::UNIT..][..GROUP / S::UNIT];
                    units::<S>(&group.bits, S::WEIGHT_SHIFT, units_of_group);
                    for part in 0..parts {
                        let at = (((start - cols.start) / GROUP + number) * parts + part) * width + index;
                        panel[places.factors + at] = group.factors[part];
                        panel[places.offsets + at] = -group.offsets[part];
                    }
                }
            }
            // SAFETY: as in `pack_rows`.
            unsafe {
                let to = panel.as_mut_ptr().add((start - cols.start) / S::UNIT * width);
                transpose::<S>(stage.as_ptr().cast(), STAGE, count, chunk / S::UNIT, to, width);
            }
        }
    }

    #[inline(always)]
    unsafe fn tile<S: Simd>(self, depth: usize, a: *const f32, b: *const f32, writing: Writing, out: TileOutput) {
        // SAFETY: the caller's promise.
        unsafe {
            if S::LANES > 8 {
                self.tile_of_rows::<S, WIDE_ROWS>(depth, a, b, writing, out);
            } else {
                self.tile_of_rows::<S, NARROW_ROWS>(depth, a, b, writing, out);
            }
        }
    }
}

impl GroupedIntegers {
    /// # Safety
    /// As [`Operands::tile`], with panels of `COUNT` rows.
    #[inline(always)]
    unsafe fn tile_of_rows<S: Simd, const COUNT: usize>(
        self,
        depth: usize,
        a: *const f32,
        b: *const f32,
        writing: Writing,
        out: TileOutput,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            prefetch::<S>(out);
            let sums = match (self.0.halves, self.0.offsets) {
                (false, false) => multiply::<S, COUNT, 1, false>(depth, a, b),
                (false, true) => multiply::<S, COUNT, 1, true>(depth, a, b),
                (true, false) => multiply::<S, COUNT, 2, false>(depth, a, b),
                (true, true) => multiply::<S, COUNT, 2, true>(depth, a, b),
            };
            write::<S, COUNT>(&sums, writing, out);
        }
    }
}

/// The sums of a tile, with `PARTS` factors a group.
///
/// # Safety
/// `a` and `b` are panels of `depth` integers with `COUNT` rows and a tile's columns.
#[inline(always)]
unsafe fn multiply<S: Simd, const COUNT: usize, const PARTS: usize, const OFFSETS: bool>(
    depth: usize,
    a: *const f32,
    b: *const f32,
) -> Sums<S, COUNT> {
    let width = tile::columns::<S>();
    let units = GROUP / PARTS / S::UNIT;
    // SAFETY: the caller's promise.
    unsafe {
        let (a_places, b_places) = (Panel::new::<S>(depth, COUNT), Panel::new::<S>(depth, width));
        let (mut numbers, mut weights) = (a.cast::<u32>(), b.cast::<u32>());
        let mut sums = [[S::splat(0.0); 2]; COUNT];
        for part in 0..depth / GROUP * PARTS {
            let mut dots = [[S::splat_sum(0); 2]; COUNT];
            if S::WEIGHT_SHIFT != 0 {
                for (row, dots) in dots.iter_mut().enumerate() {
                    let correction = *a.add(a_places.corrections + part * COUNT + row);
                    *dots = [S::splat_sum(correction.to_bits().cast_signed()); 2];
                }
            }
            for _ in 0..units {
                let (left, right) = (S::load_units(weights), S::load_units(weights.add(S::LANES)));
                for (row, dots) in dots.iter_mut().enumerate() {
                    let number = S::splat_unit(*numbers.add(row));
                    dots[0] = S::dot(left, number, dots[0]);
                    dots[1] = S::dot(right, number, dots[1]);
                }
                numbers = numbers.add(COUNT);
                weights = weights.add(width);
            }
            let factors = b.add(b_places.factors + part * width);
            let (left, right) = (S::load(factors), S::load(factors.add(S::LANES)));
            for (row, (sums, dots)) in sums.iter_mut().zip(&dots).enumerate() {
                let factor = S::splat(*a.add(a_places.factors + part / PARTS * COUNT + row));
                sums[0] = S::fma(S::mul(S::sum_to_float(dots[0]), left), factor, sums[0]);
                sums[1] = S::fma(S::mul(S::sum_to_float(dots[1]), right), factor, sums[1]);
            }
            if OFFSETS {
                let offsets = b.add(b_places.offsets + part * width);
                let (left, right) = (S::load(offsets), S::load(offsets.add(S::LANES)));
                for (row, sums) in sums.iter_mut().enumerate() {
                    let sum = S::splat(*a.add(a_places.offsets + part * COUNT + row));
                    sums[0] = S::fma(left, sum, sums[0]);
                    sums[1] = S::fma(right, sum, sums[1]);
                }
            }
        }
        sums
    }
}
