//! What cuBLASLt keeps under handles: itself, descriptors of products, layouts, wishes.

use crate::status::{CallOutcome, Fault, StandInStatus};
use std::collections::BTreeMap;

/// `CUBLAS_STATUS_INVALID_VALUE`
pub(crate) const INVALID: StandInStatus = StandInStatus(7);

/// `CUBLASLT_MATMUL_DESC_…` that are understood, and how many bytes each has.
const ATTRIBUTES: [(i32, usize); 11] =
    [(3, 4), (4, 4), (7, 4), (8, 8), (17, 8), (18, 8), (25, 1), (26, 4), (31, 4), (32, 4), (2, 4)];
/// `CUBLASLT_MATMUL_PREF_…`: workspace, alignments.
const PREFERENCES: [(i32, usize); 6] = [(1, 8), (3, 4), (5, 4), (6, 4), (7, 4), (8, 4)];

/// The host passed something that the library refuses.
pub(crate) fn invalid(message: impl Into<String>) -> Fault {
    Fault::new(INVALID, message)
}

/// A matrix in columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LibraryLayout {
    pub(crate) number: i32,
    pub(crate) rows: u64,
    pub(crate) cols: u64,
    pub(crate) stride: i64,
}

/// What a handle stands for.
#[derive(Clone, Debug)]
pub(crate) enum LibraryObject {
    Library { card: usize },
    Product(BTreeMap<i32, i64>),
    Layout(LibraryLayout),
    Preference(BTreeMap<i32, i64>),
}

/// A value of an attribute from its bytes, if it is one of `known` and has as many bytes.
pub(crate) fn attribute(known: &[(i32, usize)], attribute: i32, bytes: &[u8]) -> Result<i64, Fault> {
    if !known.contains(&(attribute, bytes.len())) {
        return Err(invalid(format!("attribute {attribute} of {} bytes", bytes.len())));
    }
    Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | i64::from(*byte)))
}

impl LibraryObject {
    /// Sets an attribute.
    pub(crate) fn set(&mut self, number: i32, bytes: &[u8]) -> CallOutcome {
        let (known, values) = match self {
            Self::Product(values) => (&ATTRIBUTES[..], values),
            Self::Preference(values) => (&PREFERENCES[..], values),
            Self::Library { .. } | Self::Layout(_) => return Err(invalid("no descriptor with attributes")),
        };
        values.insert(number, attribute(known, number, bytes)?);
        Ok(())
    }
}
