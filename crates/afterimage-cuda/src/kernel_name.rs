//! Names of kernels in parts, so that those on the hot path need not be put together.

use std::fmt;

/// Parts that a name has at most.
const PARTS: usize = 5;

/// A kernel's name without what the alignment of its operands adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct KernelName([&'static str; PARTS]);

impl KernelName {
    /// Of parts that stand with a dot between in the table; empty ones do not count.
    pub fn of<const N: usize>(parts: [&'static str; N]) -> Self {
        const { assert!(N <= PARTS, "parts of a kernel's name") };
        let mut all = [""; PARTS];
        all.iter_mut().zip(parts).for_each(|(place, part)| *place = part);
        Self(all)
    }
}

impl fmt::Display for KernelName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, part) in self.0.iter().filter(|part| !part.is_empty()).enumerate() {
            write!(formatter, "{}{part}", if number == 0 { "" } else { "." })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_are_empty_do_not_count() {
        assert_eq!(KernelName::of(["product", "f32", "i8", "bf16", ""]).to_string(), "product.f32.i8.bf16");
        assert_eq!(KernelName::of(["product", "f32", "i8", "bf16", "few"]).to_string(), "product.f32.i8.bf16.few");
        assert_eq!(KernelName::of(["copy", "f32", "f32"]), KernelName::of(["copy", "f32", "f32", "", ""]));
    }
}
