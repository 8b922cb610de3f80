//! How numbers are stored.

/// How one number, or one block of numbers, is stored; everything is little-endian.
///
/// The types with blocks are GGML's (`ggml-common.h`); [`crate::to_f32`] gives the numbers that its reference decoder,
/// the Python package `gguf`, gives for them, to the last bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// IEEE 754 single precision.
    F32,
    /// The upper half of an f32.
    Bf16,
    /// IEEE 754 half precision.
    F16,
    /// Sign, 4 bits of exponent (bias 7), 3 of mantissa; no infinities, both numbers with all bits set are NaN. What
    /// torch calls `float8_e4m3fn` (Micikevicius et al., FP8 Formats for Deep Learning, 2022).
    F8E4M3,
    /// Sign, 5 bits of exponent (bias 15), 2 of mantissa: the upper half of an f16.
    F8E5M2,
    /// Blocks of an f16 scale and 32 numbers of 8 bits, signed; a number is worth scale × bits.
    Q8_0,
    /// Blocks of an f16 scale and 32 numbers of 4 bits; a number is worth scale × (bits − 8).
    Q4_0,
    /// Blocks of an f16 scale, an f16 minimum and 32 numbers of 4 bits; a number is worth scale × bits + minimum.
    Q4_1,
    /// As [`Element::Q4_0`] with 5 bits: scale × (bits − 16).
    Q5_0,
    /// As [`Element::Q4_1`] with 5 bits.
    Q5_1,
    /// Blocks of an f16 scale and 32 places of 4 bits in a table of 16 levels.
    Iq4Nl,
    /// Blocks of 256 numbers of 2 bits, with a scale and a minimum of 4 bits for every 16.
    Q2K,
    /// Blocks of 256 numbers of 3 bits, with a scale of 6 bits for every 16.
    Q3K,
    /// Blocks of 256 numbers of 4 bits, with a scale and a minimum of 6 bits for every 32.
    Q4K,
    /// As [`Element::Q4K`] with 5 bits.
    Q5K,
    /// Blocks of 256 numbers of 6 bits, with a scale of 8 bits for every 16.
    Q6K,
}

impl Element {
    /// Every type.
    pub const ALL: [Self; 16] = [
        Self::F32,
        Self::Bf16,
        Self::F16,
        Self::F8E4M3,
        Self::F8E5M2,
        Self::Q8_0,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Iq4Nl,
        Self::Q2K,
        Self::Q3K,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
    ];

    /// Numbers of the largest block of any type.
    pub const LARGEST_BLOCK: usize = 256;

    /// The type's name in messages and reports: safetensors' and GGML's in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
            Self::F8E4M3 => "f8_e4m3",
            Self::F8E5M2 => "f8_e5m2",
            Self::Q8_0 => "q8_0",
            Self::Q4_0 => "q4_0",
            Self::Q4_1 => "q4_1",
            Self::Q5_0 => "q5_0",
            Self::Q5_1 => "q5_1",
            Self::Iq4Nl => "iq4_nl",
            Self::Q2K => "q2_k",
            Self::Q3K => "q3_k",
            Self::Q4K => "q4_k",
            Self::Q5K => "q5_k",
            Self::Q6K => "q6_k",
        }
    }

    /// Numbers that are stored together and cannot be cut apart: 1 for plain numbers. Rows are whole blocks.
    pub const fn block(self) -> usize {
        match self {
            Self::F32 | Self::Bf16 | Self::F16 | Self::F8E4M3 | Self::F8E5M2 => 1,
            Self::Q8_0 | Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Iq4Nl => 32,
            Self::Q2K | Self::Q3K | Self::Q4K | Self::Q5K | Self::Q6K => 256,
        }
    }

    /// Numbers that are decoded together: 1 for plain numbers, else 32, which divides every block.
    pub const fn group(self) -> usize {
        if self.block() == 1 { 1 } else { GROUP }
    }

    /// How the numbers come as integers; `None` for floating-point numbers.
    pub const fn integers(self) -> Option<Integers> {
        match self {
            Self::F32 | Self::Bf16 | Self::F16 | Self::F8E4M3 | Self::F8E5M2 => None,
            Self::Q8_0 | Self::Q4_0 | Self::Q5_0 | Self::Iq4Nl => Some(Integers { halves: false, offsets: false }),
            Self::Q4_1 | Self::Q5_1 | Self::Q4K | Self::Q5K => Some(Integers { halves: false, offsets: true }),
            Self::Q3K | Self::Q6K => Some(Integers { halves: true, offsets: false }),
            Self::Q2K => Some(Integers { halves: true, offsets: true }),
        }
    }

    /// Bytes of one block.
    pub const fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 | Self::F16 => 2,
            Self::F8E4M3 | Self::F8E5M2 => 1,
            Self::Q8_0 => 2 + 32,
            Self::Q4_0 | Self::Iq4Nl => 2 + 16,
            Self::Q4_1 => 2 + 2 + 16,
            Self::Q5_0 => 2 + 4 + 16,
            Self::Q5_1 => 2 + 2 + 4 + 16,
            Self::Q2K => 16 + 64 + 2 + 2,
            Self::Q3K => 32 + 64 + 12 + 2,
            Self::Q4K => 2 + 2 + 12 + 128,
            Self::Q5K => 2 + 2 + 12 + 32 + 128,
            Self::Q6K => 128 + 64 + 16 + 2,
        }
    }

    /// Bytes of `cols` numbers side by side; `None` when they are not whole blocks, or more bytes than can be counted.
    #[inline]
    pub const fn row_bytes(self, cols: usize) -> Option<usize> {
        let (block, bytes) = (self.block(), self.block_bytes());
        if block == 1 {
            // Packers ask for every chunk: no division for plain numbers.
            cols.checked_mul(bytes)
        } else if cols.is_multiple_of(block) {
            (cols / block).checked_mul(bytes)
        } else {
            None
        }
    }

    /// Numbers in `bytes` bytes; `None` when these are not whole blocks.
    pub const fn numbers(self, bytes: usize) -> Option<usize> {
        if bytes.is_multiple_of(self.block_bytes()) {
            (bytes / self.block_bytes()).checked_mul(self.block())
        } else {
            None
        }
    }
}

/// What a type with blocks asks of whoever multiplies its integers ([`crate::Group`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Integers {
    /// Whether the two halves of a group have factors of their own.
    pub halves: bool,
    /// Whether something is taken away from the products of integers and factors.
    pub offsets: bool,
}

/// Numbers that are decoded together in the types with blocks.
pub const GROUP: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn row_bytes_are_those_of_the_formats() {
        assert_eq!(Element::F32.row_bytes(3), Some(12));
        assert_eq!(Element::F8E5M2.row_bytes(3), Some(3));
        assert_eq!((Element::Q8_0.row_bytes(0), Element::Q8_0.row_bytes(3072)), (Some(0), Some(3264)));
        assert_eq!((Element::Q8_0.row_bytes(33), Element::Q8_0.numbers(33)), (None, None));
        assert_eq!((Element::Q6K.row_bytes(3072), Element::Q6K.row_bytes(64)), (Some(2520), None));
        assert_eq!((Element::F32.row_bytes(usize::MAX), Element::Q8_0.row_bytes(usize::MAX - 31)), (None, None));
    }

    #[test]
    fn what_has_blocks_has_integers() {
        for element in Element::ALL {
            assert_eq!(element.integers().is_some(), element.block() > 1, "{element:?}");
        }
    }

    #[test]
    fn groups_divide_blocks() {
        assert!(Element::ALL.iter().all(|element| element.block().is_multiple_of(element.group())));
        assert!(Element::ALL.iter().all(|element| element.block() <= Element::LARGEST_BLOCK));
    }

    proptest! {
        #[test]
        fn row_bytes_and_numbers_are_inverse(element in prop::sample::select(&Element::ALL[..]), cols in any::<usize>()) {
            if let Some(bytes) = element.row_bytes(cols) {
                prop_assert!(cols.is_multiple_of(element.block()));
                prop_assert_eq!(element.numbers(bytes), Some(cols));
                let wide = cols as u128 / element.block() as u128 * element.block_bytes() as u128;
                prop_assert_eq!(bytes as u128, wide);
            }
        }
    }
}
