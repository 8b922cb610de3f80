//! Blocks in the weights that a configuration does not count, and parts that it turns off. Half a model would run without
//! a word.

use afterimage_core::shortened;
use std::fmt;

/// How many blocks of one kind a configuration counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// The configuration's field.
    pub field: &'static str,
    /// Blocks that are used: numbers below it. Of a part that is there or not: 1 or 0.
    pub used: usize,
    /// Whether the field turns a part on or off instead of counting.
    pub is_switch: bool,
    /// How the names of such a block's tensors begin, in every layout, with `#` for the block's number and `*` for any
    /// other. One without `#` is a block of number 0.
    pub patterns: &'static [&'static str],
}

/// A block that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beyond {
    /// The configuration's field.
    pub field: &'static str,
    /// Blocks that it counts.
    pub used: usize,
    /// See [`Depth::is_switch`].
    pub is_switch: bool,
    /// Blocks that the weights have, going by the highest number.
    pub present: usize,
    /// The first tensor of the highest block.
    pub tensor: String,
}

impl fmt::Display for Beyond {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, used, is_switch, present, tensor } = self;
        let tensor = shortened(tensor);
        if *is_switch {
            write!(formatter, "{field}: false contradicts the weights, where tensor {tensor} needs true")
        } else {
            write!(formatter, "{field}: {used} contradicts the weights, where tensor {tensor} needs {present}")
        }
    }
}

/// The first of `depths` that `names` go beyond.
pub(crate) fn beyond(names: &[&str], depths: &[Depth]) -> Option<Beyond> {
    depths.iter().find_map(|depth| {
        let mut found: Option<(usize, &str)> = None;
        for name in names {
            let numbers = depth.patterns.iter().filter_map(|pattern| number(name, pattern));
            let Some(number) = numbers.max().filter(|number| *number >= depth.used) else { continue };
            if found.is_none_or(|(highest, _)| number > highest) {
                found = Some((number, name));
            }
        }
        let (number, tensor) = found?;
        let present = number.saturating_add(1);
        let Depth { field, used, is_switch, .. } = *depth;
        Some(Beyond { field, used, is_switch, present, tensor: tensor.to_owned() })
    })
}

/// The number at `#`, when `name` begins like `pattern`; 0 where there is none.
fn number(name: &str, pattern: &str) -> Option<usize> {
    let mut number = (!pattern.contains('#')).then_some(0);
    let mut segments = name.split('.');
    for expected in pattern.split('.') {
        let segment = segments.next()?;
        match expected {
            "#" => number = Some(digits(segment)?),
            "*" => drop(digits(segment)?),
            text if text == segment => {}
            _ => return None,
        }
    }
    number
}

/// A number too large to be counted is the largest: its block is one that nobody counts.
fn digits(text: &str) -> Option<usize> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCKS: Depth =
        Depth { field: "num_layers", used: 2, is_switch: false, patterns: &["double_blocks.#", "blocks.*.inner.#"] };

    #[test]
    fn a_part_that_is_off_and_there_is_found() {
        let switch = |on: bool| {
            let used = usize::from(on);
            Depth { field: "use_quant_conv", used, is_switch: true, patterns: &["quant_conv", "mid.attn.#"] }
        };
        let names = ["encoder.quant_conv.weight", "quant_conv.weight"];
        assert_eq!(beyond(&names, &[switch(true)]), None);
        let message = "use_quant_conv: false contradicts the weights, where tensor quant_conv.weight needs true";
        assert_eq!(beyond(&names, &[switch(false)]).unwrap().to_string(), message);
        assert_eq!(beyond(&names[..1], &[switch(false)]), None);
        assert!(beyond(&["mid.attn.0.weight"], &[switch(false)]).is_some());
    }

    #[test]
    fn blocks_beyond_the_count_are_found_in_every_layout() {
        let found = |names: &[&str]| beyond(names, &[BLOCKS]);
        assert_eq!(found(&["double_blocks.0.a", "double_blocks.1.a", "blocks.7.inner.1.b", "x"]), None);
        assert_eq!(
            found(&["double_blocks.a.9", "double_blocks.+9.a", "double_blocks", "deep.double_blocks.9.a"]),
            None
        );
        let beyond = found(&["double_blocks.0.a", "double_blocks.5.a", "double_blocks.5.b", "double_blocks.3.c"]);
        let message = "num_layers: 2 contradicts the weights, where tensor double_blocks.5.a needs 6";
        assert_eq!(beyond.unwrap().to_string(), message);
        assert_eq!(found(&["blocks.0.inner.2.w"]).unwrap().present, 3);
        // Nor is a block used whose number no machine can count to.
        assert_eq!(found(&["double_blocks.99999999999999999999999.a"]).unwrap().present, usize::MAX);
        assert_eq!(found(&["double_blocks..a"]), None);
    }
}
