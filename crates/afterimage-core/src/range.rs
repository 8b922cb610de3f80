//! Whether a number lies where its field allows it.

use crate::{Error, Field, Result};
use std::fmt::Display;
use std::ops::RangeInclusive;

/// What is said of `value`, which is not in `range`.
pub(crate) fn out_of_range(field: Field, value: impl Display, range: &RangeInclusive<impl Display>) -> Error {
    Error::field(field, format!("{value} is out of range; {} to {} are accepted", range.start(), range.end()))
}

/// NaN is in no range.
pub(crate) fn check_range<T: PartialOrd + Display>(field: Field, value: T, range: &RangeInclusive<T>) -> Result<()> {
    if range.contains(&value) { Ok(()) } else { Err(out_of_range(field, value, range)) }
}
