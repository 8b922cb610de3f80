//! How numbers are stored.

/// How one number, or one block of numbers, is stored; everything is little-endian.
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
    /// GGML's `Q8_0`: blocks of an f16 scale and 32 numbers of 8 bits, signed; a number is worth scale × bits.
    Q8_0,
}

impl Element {
    /// Every type.
    pub const ALL: [Self; 6] = [Self::F32, Self::Bf16, Self::F16, Self::F8E4M3, Self::F8E5M2, Self::Q8_0];

    /// The type's name in messages and reports: safetensors' and GGML's in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
            Self::F8E4M3 => "f8_e4m3",
            Self::F8E5M2 => "f8_e5m2",
            Self::Q8_0 => "q8_0",
        }
    }

    /// Numbers that are stored together and cannot be cut apart: 1 for plain numbers. Rows are whole blocks.
    pub const fn block(self) -> usize {
        match self {
            Self::F32 | Self::Bf16 | Self::F16 | Self::F8E4M3 | Self::F8E5M2 => 1,
            Self::Q8_0 => 32,
        }
    }

    /// Bytes of one block.
    pub const fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 | Self::F16 => 2,
            Self::F8E4M3 | Self::F8E5M2 => 1,
            Self::Q8_0 => 2 + 32,
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
        assert_eq!((Element::F32.row_bytes(usize::MAX), Element::Q8_0.row_bytes(usize::MAX - 31)), (None, None));
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
