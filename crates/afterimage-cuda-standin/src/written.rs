//! What a twin wrote.

use crate::numbers::StandInNumber;

/// Numbers that a twin wrote: where, as rows.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) name: &'static str,
    pub(crate) number: StandInNumber,
    pub(crate) address: u64,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) stride: usize,
}
