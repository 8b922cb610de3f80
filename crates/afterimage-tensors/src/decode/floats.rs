//! Floating-point numbers of 8 and 16 bits.
//!
//! Subnormal numbers become integers first: multiplying an f32 that is itself subnormal costs a hundred cycles on some
//! processors, and weights of 8 bits have many of them.

/// IEEE 754 half precision.
#[inline(always)]
pub(super) fn f16(bits: u16) -> f32 {
    /// 2⁻²⁴, what the last bit of a subnormal number is worth.
    const LAST: f32 = 1.0 / 16_777_216.0;
    let magnitude = u32::from(bits & 0x7fff);
    // The exponent's bias is 127 instead of 15; the largest exponent, 31, stays the largest, 255.
    let bias = if magnitude >= 0x7c00 { 2 * (127 - 15) } else { 127 - 15 };
    let normal = f32::from_bits((magnitude << 13) + (bias << 23));
    let value = if magnitude < 0x0400 { magnitude as f32 * LAST } else { normal };
    f32::from_bits(value.to_bits() | u32::from(bits & 0x8000) << 16)
}

/// See [`crate::Element::F8E5M2`].
#[inline(always)]
pub(super) fn e5m2(bits: u8) -> f32 {
    f16(u16::from(bits) << 8)
}

/// See [`crate::Element::F8E4M3`].
#[inline(always)]
pub(super) fn e4m3(bits: u8) -> f32 {
    /// 2⁻⁹, what the last bit of a subnormal number is worth.
    const LAST: f32 = 1.0 / 512.0;
    let magnitude = u32::from(bits & 0x7f);
    let normal = f32::from_bits((magnitude << 20) + ((127 - 7) << 23));
    let value = if magnitude < 8 { magnitude as f32 * LAST } else { normal };
    let value = if magnitude == 0x7f { f32::NAN } else { value };
    f32::from_bits(value.to_bits() | u32::from(bits & 0x80) << 24)
}

/// The nearest number of [`crate::Element::F8E4M3`], halves to even; what is larger than 448 becomes that, NaN stays NaN.
pub fn to_e4m3(value: f32) -> u8 {
    /// What the last bit of a subnormal number is worth, inverted.
    const LAST: f32 = 512.0;
    let sign = (value.to_bits() >> 24) as u8 & 0x80;
    let magnitude = value.abs();
    if magnitude.is_nan() {
        return sign | 0x7f;
    }
    let bits = if magnitude >= 448.0 {
        0x7e
    } else if magnitude < 1.0 / 64.0 {
        // Subnormal numbers are multiples of the last bit; 8 of it is the first normal one.
        (magnitude * LAST).round_ties_even() as u8
    } else {
        // Rounds at bit 20, and moves the exponent's bias from 127 to 7.
        let bits = magnitude.to_bits();
        let rounded = bits + 0x7_ffff + (bits >> 20 & 1);
        ((rounded >> 20) - ((127 - 7) << 3)).min(0x7e) as u8
    };
    sign | bits
}
