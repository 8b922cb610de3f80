//! What can be wrong with entropy-coded data.

use std::fmt::{Display, Formatter, Result};

/// Why a scan cannot be decoded. Small, since it is the error of the innermost loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    /// A marker or the end of the file comes before the last block.
    Ended,
    /// Bits that are no code of the table.
    NoCode,
    /// A coefficient outside the scan's band.
    OutsideBand,
    /// Another marker than the restart marker that has to come.
    NoRestart,
}

impl Display for Damage {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        formatter.write_str(match self {
            Self::Ended => "truncated",
            Self::NoCode => "damaged (no valid code)",
            Self::OutsideBand => "damaged (more coefficients than a block has)",
            Self::NoRestart => "damaged or truncated (restart marker missing)",
        })
    }
}
