//! Products of weights in blocks as the integers that they are.
//!
//! A row of `x` is rounded to 8 bits in spans of 512, as the largest of a span allows. Products within a group of the weight
//! (within half of one, where the type has a factor for each half) are summed as integers, exactly; that sum times the
//! group's factor is added to the span's, and the span's sum times its own factor to the total. So a vector of 16 sums of 32
//! products costs eight dot products, a conversion and one multiply-add. GGML rounds in groups of 32
//! (`ggml-cpu/quants.c`), which costs a second multiplication a group.
//!
//! Where the instruction takes the numbers of `x` without sign they are raised by 128; what that adds to a span's sum is
//! known when the weight is packed, and each sum starts with its negative. What a type takes away from its numbers becomes
//! one multiplication a group with the sum of the group's numbers.
//!
//! A panel holds units (four bytes of integers, [`Simd::UNIT`]) side by side as panels of f32 hold numbers; behind them
//! stand the factors and what else belongs to each group or span.

use super::operands::Operands;
use super::shape::Rows;
use super::write::{Writing, prefetch, write};
use crate::pack::transpose;
use crate::simd::Simd;
use crate::tile::{self, MAX_COLUMNS, Sums, TileOutput};
use afterimage_tensors::{GROUP, Matrix};
use std::ops::Range;

/// Numbers of a row of `x` that share a factor: at their end the sums are brought to memory, which took 5 % of the time before
/// there were bands, and 10 with half as many.
const SPAN: usize = 16 * GROUP;
/// Groups of a weight that are summed as integers together where all columns of a panel have one factor for them, as those of
/// `--dtype int8` do: a conversion and a multiply-add for 32 dot products in place of eight.
const JOINED: usize = 4;
/// Numbers of a weight's row that are packed at once.
const CHUNK: usize = 2 * GROUP;
/// Distance of rows in a staging block for so many numbers, in units: a cache line more than the most units that they fill.
const fn stage(numbers: usize) -> usize {
    numbers / 2 + 16
}
/// Rows of the tile with vectors of 16 lanes, and with shorter ones: sums of integers and of floats fit the registers.
const WIDE_ROWS: usize = 6;
const NARROW_ROWS: usize = 3;

/// Panels of so many rows that are multiplied by a span of the weight before its next one: a span of 32 columns (16 KB) then comes from
/// the first-level cache.
const BANDS: usize = 4;

/// How integers with factors are multiplied.
#[derive(Clone, Copy)]
pub(super) struct GroupedIntegers(afterimage_tensors::Integers);

/// Where the parts of a panel of rows begin: units, a factor a span, a sum of integers a part of a group.
#[derive(Clone, Copy)]
struct RowPlaces {
    factors: usize,
    sums: usize,
    end: usize,
}

impl RowPlaces {
    #[inline(always)]
    fn new<S: Simd>(depth: usize, width: usize) -> Self {
        let factors = depth / S::UNIT * width;
        let sums = factors + depth.div_ceil(SPAN) * width;
        Self { factors, sums, end: sums + depth / GROUP * 2 * width }
    }
}

/// Where the parts of a panel of columns begin: units, a factor and an offset a part of a group, a start of sums a span.
#[derive(Clone, Copy)]
struct ColumnPlaces {
    factors: usize,
    offsets: usize,
    starts: usize,
    /// One number: see [`JOINED`].
    joined: usize,
    end: usize,
}

impl ColumnPlaces {
    #[inline(always)]
    fn new<S: Simd>(depth: usize, width: usize) -> Self {
        let (factors, parts) = (depth / S::UNIT * width, depth / GROUP * 2 * width);
        let starts = factors + 2 * parts;
        let joined = starts + depth.div_ceil(SPAN) * width;
        Self { factors, offsets: factors + parts, starts, joined, end: joined + width }
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

/// What numbers are multiplied by to be rounded, and what one of the integers is then worth.
#[inline(always)]
fn factors(numbers: &[f32]) -> (f32, f32) {
    // Bits of magnitudes are in the order of the magnitudes, and those of what is no number come last. Unlike `f32::max`
    // the comparison is one that the compiler makes vectors of.
    let largest = numbers.iter().fold(0, |largest, number| largest.max(number.to_bits() & 0x7fff_ffff));
    let largest = f32::from_bits(largest);
    // What is no number must not become one.
    if !largest.is_finite() {
        return (0.0, f32::NAN);
    }
    // A span too small for a factor is one of zeros.
    let inverse = if largest > f32::MIN_POSITIVE * 128.0 { 127.0 / largest } else { 0.0 };
    (inverse, largest / 127.0)
}

/// Numbers as the nearest integers; those that are none as whatever.
#[inline(always)]
fn rounded(numbers: &[f32; GROUP], inverse: f32) -> [i8; GROUP] {
    /// Added to a number below 2²², leaves its nearest integer in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    numbers.map(|number| ((number * inverse + ROUND).to_bits() as u8).cast_signed())
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
    const GRAIN: usize = SPAN;

    #[inline(always)]
    fn tile_rows<S: Simd>() -> usize {
        BANDS * band_rows::<S>()
    }

    #[inline(always)]
    fn row_panel<S: Simd>(depth: usize) -> usize {
        BANDS * RowPlaces::new::<S>(depth, band_rows::<S>()).end
    }

    #[inline(always)]
    fn column_panel<S: Simd>(depth: usize) -> usize {
        ColumnPlaces::new::<S>(depth, tile::columns::<S>()).end
    }

    #[inline(always)]
    unsafe fn pack_rows<S: Simd>(self, x: Rows, rows: Range<usize>, cols: Range<usize>, panel: &mut [f32]) {
        let width = band_rows::<S>();
        let length = RowPlaces::new::<S>(cols.len(), width).end;
        for (first, band) in rows.clone().step_by(width).zip(panel.chunks_exact_mut(length.max(1))) {
            // SAFETY: the caller's promise.
            unsafe { self.pack_band::<S>(x, first..(first + width).min(rows.end), cols.clone(), band) };
        }
    }

    #[inline(always)]
    unsafe fn pack_columns<S: Simd>(self, weight: &Matrix, rows: Range<usize>, cols: Range<usize>, panel: &mut [f32]) {
        const STAGE: usize = stage(CHUNK);
        let (width, count, parts) = (tile::columns::<S>(), rows.len(), self.parts());
        let places = ColumnPlaces::new::<S>(cols.len(), width);
        assert!(
            count <= width && panel.len() >= places.end && cols.len().is_multiple_of(GROUP),
            "panel of {count} rows"
        );
        panel[places.factors..places.end].fill(0.0);
        let mut stage = [0_u32; MAX_COLUMNS * STAGE];
        let stored: [_; MAX_COLUMNS] = std::array::from_fn(|row| (row < count).then(|| weight.row(rows.start + row)));
        for start in cols.clone().step_by(CHUNK) {
            let groups = CHUNK.min(cols.end - start) / GROUP;
            let first = (start - cols.start) / GROUP * parts;
            for (index, row) in stored.iter().flatten().enumerate() {
                for number in 0..groups {
                    let group = row.integers(start / GROUP + number);
                    let out = &mut stage[index * STAGE + number * GROUP / S::UNIT..][..GROUP / S::UNIT];
                    units::<S>(&group.bits, 0, out);
                    for part in 0..parts {
                        let at = (first + number * parts + part) * width + index;
                        panel[places.factors + at] = group.factors[part];
                        if self.0.offsets {
                            panel[places.offsets + at] = -group.offsets[part];
                        }
                    }
                }
            }
            // SAFETY: the stage has `width` rows of a chunk's units, the panel was checked above, and holds the units and
            // factors of these groups then; this instruction set is the caller's promise.
            unsafe {
                let panel = panel.as_mut_ptr();
                let to = panel.add((start - cols.start) / S::UNIT * width);
                transpose::<S>(stage.as_ptr().cast(), STAGE, count, groups * GROUP / S::UNIT, to, width);
                if S::NUMBER_SHIFT != 0 {
                    let starts = panel.add(places.starts + (start - cols.start) / SPAN * width);
                    let factors = panel.add(places.factors + first * width);
                    begin_sums::<S>(to, factors, groups * parts, GROUP / parts / S::UNIT, starts);
                }
            }
        }
        let joined = parts == 1 && !self.0.offsets && cols.len().is_multiple_of(JOINED * GROUP) && {
            let factors = &panel[places.factors..][..cols.len() / GROUP * width];
            factors.chunks_exact(JOINED * width).all(|groups| groups[width..] == groups[..(JOINED - 1) * width])
        };
        panel[places.joined] = if joined { 1.0 } else { 0.0 };
    }

    #[inline(always)]
    unsafe fn tile<S: Simd>(self, depth: usize, a: *const f32, b: *const f32, writing: Writing, out: TileOutput) {
        // SAFETY: the caller's promise.
        unsafe {
            prefetch::<S>(out);
            if S::LANES > 8 {
                self.tile_of_rows::<S, WIDE_ROWS>(depth, a, b, writing, out);
            } else {
                self.tile_of_rows::<S, NARROW_ROWS>(depth, a, b, writing, out);
            }
        }
    }
}

impl GroupedIntegers {
    /// Packs up to [`band_rows`] rows.
    ///
    /// # Safety
    /// As [`Operands::pack_rows`].
    #[inline(always)]
    unsafe fn pack_band<S: Simd>(self, x: Rows, rows: Range<usize>, cols: Range<usize>, panel: &mut [f32]) {
        const STAGE: usize = stage(SPAN);
        let (width, count, parts) = (band_rows::<S>(), rows.len(), self.parts());
        let places = RowPlaces::new::<S>(cols.len(), width);
        assert!(
            count <= width && panel.len() >= places.end && cols.len().is_multiple_of(GROUP),
            "panel of {count} rows"
        );
        panel[places.factors..if self.0.offsets { places.end } else { places.sums }].fill(0.0);
        let mut stage = [0_u32; WIDE_ROWS * STAGE];
        for (span, start) in cols.clone().step_by(SPAN).enumerate() {
            let length = SPAN.min(cols.end - start);
            for (index, row) in rows.clone().enumerate() {
                let numbers = &x.data[row * x.stride + start..][..length];
                let (inverse, factor) = factors(numbers);
                panel[places.factors + span * width + index] = factor;
                let staged = stage[index * STAGE..][..length / S::UNIT].chunks_exact_mut(GROUP / S::UNIT);
                for (number, (group, out)) in numbers.as_chunks::<GROUP>().0.iter().zip(staged).enumerate() {
                    let bits = rounded(group, inverse);
                    units::<S>(&bits, S::NUMBER_SHIFT, out);
                    if self.0.offsets {
                        let first = (span * SPAN / GROUP + number) * parts;
                        for (part, bits) in bits.chunks_exact(GROUP / parts).enumerate() {
                            let sum: i32 = bits.iter().map(|bits| i32::from(*bits)).sum();
                            panel[places.sums + (first + part) * width + index] = sum as f32;
                        }
                    }
                }
            }
            // SAFETY: the stage has `width` rows of a span's units, the panel was checked above; this instruction set is
            // the caller's promise.
            unsafe {
                let to = panel.as_mut_ptr().add(span * SPAN / S::UNIT * width);
                transpose::<S>(stage.as_ptr().cast(), STAGE, count, length / S::UNIT, to, width);
            }
        }
    }

    /// # Safety
    /// As [`Operands::tile`], with bands of `COUNT` rows.
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
            match (self.0.halves, self.0.offsets) {
                (false, false) if *b.add(ColumnPlaces::new::<S>(depth, tile::columns::<S>()).joined) > 0.0 => {
                    multiply::<S, COUNT, 1, JOINED, false>(depth, a, b, writing, out);
                }
                (false, false) => multiply::<S, COUNT, 1, 1, false>(depth, a, b, writing, out),
                (false, true) => multiply::<S, COUNT, 1, 1, true>(depth, a, b, writing, out),
                (true, false) => multiply::<S, COUNT, 2, 1, false>(depth, a, b, writing, out),
                (true, true) => multiply::<S, COUNT, 2, 1, true>(depth, a, b, writing, out),
            }
        }
    }
}

/// Rows of a band.
#[inline(always)]
const fn band_rows<S: Simd>() -> usize {
    if S::LANES > 8 { WIDE_ROWS } else { NARROW_ROWS }
}

/// Adds to `starts` what a span's sums have to begin with: the negative of what raising `x` adds, by so many `parts` of groups.
///
/// # Safety
/// `units` holds `count` vectors of two a part, `factors` two a part, and `starts` two, which can be written.
#[inline(always)]
unsafe fn begin_sums<S: Simd>(units: *const f32, factors: *const f32, parts: usize, count: usize, starts: *mut f32) {
    let width = tile::columns::<S>();
    // SAFETY: the caller's promise.
    unsafe {
        let zeros = S::splat_unit(u32::from_ne_bytes([S::NUMBER_SHIFT as u8; 4]));
        for half in [0, S::LANES] {
            let mut start = S::load(starts.add(half));
            for part in 0..parts {
                let units = units.cast::<u32>().add(part * count * width + half);
                let mut dots = S::splat_sum(0);
                for unit in 0..count {
                    dots = S::dot(S::load_units(units.add(unit * width)), zeros, dots);
                }
                let factor = S::load(factors.add(part * width + half));
                start = S::sub(start, S::mul(S::sum_to_float(dots), factor));
            }
            S::store(starts.add(half), start);
        }
    }
}

/// Multiplies and writes a tile, with `PARTS` factors a group, or one for `JOIN` groups.
///
/// # Safety
/// `a` holds [`BANDS`] panels of `COUNT` rows and `b` one of a tile's columns, of `depth` integers; else as
/// [`Operands::tile`].
#[inline(always)]
unsafe fn multiply<S: Simd, const COUNT: usize, const PARTS: usize, const JOIN: usize, const OFFSETS: bool>(
    depth: usize,
    a: *const f32,
    b: *const f32,
    writing: Writing,
    out: TileOutput,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let length = RowPlaces::new::<S>(depth, COUNT).end;
        let bands = out.rows.div_ceil(COUNT);
        let mut totals: [Sums<S, COUNT>; BANDS] = [[[S::splat(0.0); 2]; COUNT]; BANDS];
        // Kept in memory: the registers are needed for what follows.
        let totals = &mut *std::hint::black_box(&raw mut totals);
        for span in 0..depth.div_ceil(SPAN) {
            for (band, totals) in totals.iter_mut().enumerate().take(bands) {
                add_span::<S, COUNT, PARTS, JOIN, OFFSETS>(depth, span, a.add(band * length), b, totals);
            }
        }
        for (band, totals) in totals.iter().enumerate().take(bands) {
            let first = band * COUNT;
            let (start, rows) = (out.start.add(first * out.stride), (out.rows - first).min(COUNT));
            write::<S, COUNT>(totals, writing, TileOutput { start, rows, ..out });
        }
    }
}

/// Adds a span's products to the totals of a band.
///
/// # Safety
/// As [`multiply`], with the panel of one band.
#[inline(always)]
unsafe fn add_span<S: Simd, const COUNT: usize, const PARTS: usize, const JOIN: usize, const OFFSETS: bool>(
    depth: usize,
    span: usize,
    a: *const f32,
    b: *const f32,
    totals: &mut Sums<S, COUNT>,
) {
    let width = tile::columns::<S>();
    let units = JOIN * GROUP / PARTS / S::UNIT;
    // SAFETY: the caller's promise.
    unsafe {
        let (a_places, b_places) = (RowPlaces::new::<S>(depth, COUNT), ColumnPlaces::new::<S>(depth, width));
        let (mut numbers, mut weights) = (a.cast::<u32>(), b.cast::<u32>());
        numbers = numbers.add(span * SPAN / S::UNIT * COUNT);
        weights = weights.add(span * SPAN / S::UNIT * width);
        let starts = b.add(b_places.starts + span * width);
        let mut sums = [[S::load(starts), S::load(starts.add(S::LANES))]; COUNT];
        let first = span * SPAN / GROUP * PARTS;
        let parts = (depth - span * SPAN).min(SPAN) / GROUP * PARTS;
        for part in (first..first + parts).step_by(JOIN) {
            let mut dots = [[S::splat_sum(0); 2]; COUNT];
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
            for (sums, dots) in sums.iter_mut().zip(&dots) {
                sums[0] = S::fma(S::sum_to_float(dots[0]), left, sums[0]);
                sums[1] = S::fma(S::sum_to_float(dots[1]), right, sums[1]);
            }
            if OFFSETS {
                let offsets = b.add(b_places.offsets + part * width);
                let (left, right) = (S::load(offsets), S::load(offsets.add(S::LANES)));
                for (row, sums) in sums.iter_mut().enumerate() {
                    let sum = S::splat(*a.add(a_places.sums + part * COUNT + row));
                    sums[0] = S::fma(left, sum, sums[0]);
                    sums[1] = S::fma(right, sum, sums[1]);
                }
            }
        }
        for (row, (totals, sums)) in totals.iter_mut().zip(&sums).enumerate() {
            let factor = S::splat(*a.add(a_places.factors + span * COUNT + row));
            totals[0] = S::fma(sums[0], factor, totals[0]);
            totals[1] = S::fma(sums[1], factor, totals[1]);
        }
    }
}
