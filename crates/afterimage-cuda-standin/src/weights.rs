//! Weights as they are stored, and those that were decoded: kept until the memory that they came from is written or freed.

use afterimage_tensors::Matrix;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// How a weight is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum StandInWeightKind {
    F32,
    Bf16,
    F8,
    /// Factors, and perhaps offsets, of every 16 numbers.
    I8,
    /// Factors, and perhaps offsets, of every 32 numbers, two numbers a byte.
    U4,
    /// Integers that are multiplied as integers.
    PlainI8,
}

impl StandInWeightKind {
    /// The kind that the names of products and gathers say.
    pub(crate) fn of(name: &str) -> Option<Self> {
        match name {
            "f32" => Some(Self::F32),
            "bf16" => Some(Self::Bf16),
            "f8" | "f8f8" => Some(Self::F8),
            "i8" => Some(Self::I8),
            "u4" => Some(Self::U4),
            "i8i8" => Some(Self::PlainI8),
            _ => None,
        }
    }

    /// Numbers that share a factor; none where there are no factors.
    pub(crate) fn group(self) -> Option<usize> {
        match self {
            Self::I8 => Some(16),
            Self::U4 => Some(32),
            Self::F32 | Self::Bf16 | Self::F8 | Self::PlainI8 => None,
        }
    }

    /// Whether rows have a scale of their own.
    pub(crate) fn has_row_scales(self) -> bool {
        !matches!(self, Self::F32 | Self::Bf16)
    }

    /// Bytes of some numbers of a row.
    pub(crate) fn row_bytes(self, cols: usize) -> usize {
        match self {
            Self::F32 => 4 * cols,
            Self::Bf16 => 2 * cols,
            Self::F8 | Self::I8 | Self::PlainI8 => cols,
            Self::U4 => cols / 2,
        }
    }
}

/// Where a weight lies: addresses, 0 where there is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StoredWeight {
    pub(crate) kind: StandInWeightKind,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) numbers: u64,
    pub(crate) factors: u64,
    pub(crate) offsets: u64,
    pub(crate) row_scales: u64,
}

impl StoredWeight {
    /// A weight of plain numbers.
    pub(crate) fn plain(kind: StandInWeightKind, rows: usize, cols: usize, numbers: u64) -> Self {
        Self { kind, rows, cols, numbers, factors: 0, offsets: 0, row_scales: 0 }
    }

    /// The parts of memory that it consists of.
    pub(crate) fn ranges(&self) -> [Range<u64>; 4] {
        let factors = self.kind.group().map_or(0, |group| 2 * self.rows * (self.cols / group));
        let range = |start: u64, bytes: usize| start..start + if start == 0 { 0 } else { bytes as u64 };
        [
            range(self.numbers, self.rows * self.kind.row_bytes(self.cols)),
            range(self.factors, factors),
            range(self.offsets, factors),
            range(self.row_scales, 4 * self.rows),
        ]
    }
}

/// Decoded weights.
#[derive(Debug, Default)]
pub(crate) struct WeightCache {
    matrices: HashMap<StoredWeight, (Arc<Matrix>, [Range<u64>; 4])>,
    /// How many numbers they have.
    pub(crate) numbers: usize,
}

/// Numbers that are kept at most, 2 GiB of them.
const MOST_NUMBERS: usize = 512 << 20;

impl WeightCache {
    /// These bytes are written or freed.
    pub(crate) fn touched(&mut self, bytes: &Range<u64>) {
        let numbers = &mut self.numbers;
        self.matrices.retain(|weight, (_, ranges)| {
            let hit = ranges.iter().any(|range| range.start < bytes.end && bytes.start < range.end);
            if hit {
                *numbers -= weight.rows * weight.cols;
            }
            !hit
        });
    }

    /// A weight that is kept.
    pub(crate) fn get(&self, stored: &StoredWeight) -> Option<Arc<Matrix>> {
        self.matrices.get(stored).map(|(matrix, _)| Arc::clone(matrix))
    }

    /// Keeps a weight; where too much is kept, all else goes.
    pub(crate) fn keep(&mut self, stored: StoredWeight, matrix: Arc<Matrix>) {
        if self.numbers > MOST_NUMBERS {
            *self = Self::default();
        }
        self.numbers += stored.rows * stored.cols;
        self.matrices.insert(stored, (matrix, stored.ranges()));
    }
}
