//! How weights are kept on a card.

use afterimage_tensors::{Element, Matrix};

/// Numbers with a factor in common, as kernels take them: a factor a half of GGML's groups of 32 for integers of a byte…
const I8_GROUP: usize = 16;
/// … and one a group for halves of a byte.
const U4_GROUP: usize = 32;

/// What weights are kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// Products of f32.
    Exact,
    /// Products of bf16.
    Rounded,
    /// As [`Keeping::Rounded`], and products of integers where all numbers of a row have one factor.
    RowsOfIntegers,
}

/// Whether a matrix is of integers of 8 bits such that those of a row have one factor: what was rounded so. A row of one block
/// says nothing.
fn has_one_factor_a_row(matrix: &Matrix) -> bool {
    let is_one = |row: usize| {
        let row = matrix.row(row);
        let mut blocks = row.bytes().chunks_exact(Element::Q8_0.block_bytes());
        let factor = blocks.next().map(|block| [block[0], block[1]]);
        blocks.all(|block| factor == Some([block[0], block[1]]))
    };
    let is_of_blocks = matrix.elements().all(|element| element == Element::Q8_0);
    is_of_blocks && matrix.rows() > 0 && matrix.cols() > Element::Q8_0.block() && (0..matrix.rows()).all(is_one)
}

/// How a weight's numbers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WeightKind {
    F32,
    Bf16,
    /// Floats of 8 bits (e4m3) and a scale a row.
    F8,
    /// Integers of 8 bits, a factor for each 16, a scale a row.
    I8,
    /// Integers of 8 bits and a scale a row, multiplied by rows of such integers.
    RowsOfI8,
    /// Integers of 4 bits, a factor and an offset for each 32, a scale a row.
    U4,
}

impl WeightKind {
    /// The kind for numbers that are all stored as `element`.
    fn of_element(element: Element, exact: bool) -> Self {
        if exact {
            return Self::F32;
        }
        match element {
            Element::Q4_0 | Element::Q4_1 | Element::Q4K => Self::U4,
            Element::F8E4M3 => Self::F8,
            Element::F32 | Element::Bf16 | Element::F16 | Element::F8E5M2 => Self::Bf16,
            _ => Self::I8,
        }
    }

    /// The kind for a matrix of which `exact` products are made or not: as narrow as it is stored, without rounding it further
    /// than to bf16.
    pub fn of(matrix: &Matrix, keeping: Keeping) -> Self {
        if keeping == Keeping::RowsOfIntegers && has_one_factor_a_row(matrix) {
            return Self::RowsOfI8;
        }
        let exact = keeping == Keeping::Exact;
        let kinds = matrix.elements().map(|element| Self::of_element(element, exact));
        // Stacked of several types: the narrowest that holds all.
        let both = |one: Self, other: Self| match (one, other) {
            (one, other) if one == other => one,
            (Self::I8 | Self::U4, Self::I8 | Self::U4) => Self::I8,
            _ => Self::Bf16,
        };
        kinds.reduce(both).unwrap_or(Self::of_element(Element::F32, exact))
    }

    /// As kernels' names spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F8 => "f8",
            Self::I8 => "i8",
            Self::RowsOfI8 => "i8i8",
            Self::U4 => "u4",
        }
    }

    /// Bytes of a row's values.
    pub const fn row_bytes(self, cols: usize) -> usize {
        match self {
            Self::F32 => 4 * cols,
            Self::Bf16 => 2 * cols,
            Self::F8 | Self::I8 | Self::RowsOfI8 => cols,
            Self::U4 => cols / 2,
        }
    }

    /// Factors of a row.
    pub const fn groups(self, cols: usize) -> usize {
        match self {
            Self::F32 | Self::Bf16 | Self::F8 | Self::RowsOfI8 => 0,
            Self::I8 => cols / I8_GROUP,
            Self::U4 => cols / U4_GROUP,
        }
    }
}

/// Where the parts of a weight lie, from its start on; values come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub kind: WeightKind,
    pub factors: Option<usize>,
    pub offsets: Option<usize>,
    pub row_scales: Option<usize>,
    pub bytes: usize,
}

impl Layout {
    /// Of `rows` rows of `cols` numbers, with offsets or without.
    pub fn new(kind: WeightKind, rows: usize, cols: usize, has_offsets: bool) -> Self {
        /// What copies and vectors of 16 bytes like.
        const ALIGNMENT: usize = 256;
        let mut bytes = (rows * kind.row_bytes(cols)).next_multiple_of(ALIGNMENT);
        let mut part = |len: usize| {
            (len > 0).then(|| {
                let start = bytes;
                bytes = (start + len).next_multiple_of(ALIGNMENT);
                start
            })
        };
        let factors = part(2 * rows * kind.groups(cols));
        let offsets = if has_offsets { part(2 * rows * kind.groups(cols)) } else { None };
        let row_scales = match kind {
            WeightKind::F32 | WeightKind::Bf16 => None,
            WeightKind::F8 | WeightKind::I8 | WeightKind::RowsOfI8 | WeightKind::U4 => part(4 * rows),
        };
        Self { kind, factors, offsets, row_scales, bytes }
    }

    /// About the bytes of so many numbers that are stored as `element`, in rows of a usual length.
    pub fn estimate(element: Element, numbers: usize, exact: bool) -> u64 {
        let kind = WeightKind::of_element(element, exact);
        let has_offsets = kind == WeightKind::U4 || element.integers().is_some_and(|integers| integers.offsets);
        let parts = if has_offsets { 2 } else { 1 };
        (kind.row_bytes(numbers) + 2 * parts * kind.groups(numbers)) as u64
    }

    /// For a matrix whose numbers become floats, however they are stored.
    pub fn of_floats(matrix: &Matrix, exact: bool) -> Self {
        let kind = if exact { WeightKind::F32 } else { WeightKind::Bf16 };
        Self::new(kind, matrix.rows(), matrix.cols(), false)
    }

    /// For a matrix.
    pub fn of(matrix: &Matrix, keeping: Keeping) -> Self {
        let kind = WeightKind::of(matrix, keeping);
        let has_offsets = match kind {
            WeightKind::U4 => true,
            WeightKind::I8 => matrix.integers().is_some_and(|integers| integers.offsets),
            WeightKind::F32 | WeightKind::Bf16 | WeightKind::F8 | WeightKind::RowsOfI8 => false,
        };
        Self::new(kind, matrix.rows(), matrix.cols(), has_offsets)
    }
}
