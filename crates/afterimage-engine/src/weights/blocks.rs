//! How many blocks of a kind a file has.

/// More blocks than any model has; a damaged file cannot make us count further.
pub(crate) const MOST_BLOCKS: usize = 100_000;

/// Counts `name(0)`, `name(1)`, … while `has` finds them.
pub(crate) fn count(has: impl Fn(&str) -> bool, name: impl Fn(usize) -> String) -> usize {
    (0..MOST_BLOCKS).take_while(|number| has(&name(*number))).count()
}
