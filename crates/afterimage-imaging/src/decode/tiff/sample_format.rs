//! What kind of numbers the samples are, as the tags tell it.

use super::super::defect::Defect;

/// What kind of numbers the samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SampleFormat {
    Unsigned,
    /// 32 bits, or of a width between.
    LongUnsigned,
    Signed,
    Floating,
}

impl SampleFormat {
    /// From the sample format and the bits of a sample.
    pub(super) fn new(format: u64, bits: u64) -> Result<Self, Defect> {
        let signed = |bits| matches!(bits, 16 | 32);
        match (format, bits) {
            // Undefined counts as unsigned. So do signed bytes for Pillow; nobody means negative light.
            (1 | 4, 1..=16) | (2, 8) => Ok(Self::Unsigned),
            (1 | 4, 32) => Ok(Self::LongUnsigned),
            (2, bits) if signed(bits) => Ok(Self::Signed),
            (3, 16 | 32 | 64) => Ok(Self::Floating),
            (5 | 6, _) => Err("made of complex numbers, which have no colours".to_owned()),
            (3, _) => Err(format!("floating-point samples of {bits} bits; save it as 8-bit or 16-bit")),
            _ => Err(format!("samples of {bits} bits; save it as 8-bit or 16-bit")),
        }
    }

    /// Whether samples are read as numbers first.
    pub(super) fn is_wide(self) -> bool {
        self != Self::Unsigned
    }
}
