"""What several kernels need: functions of one number, and weights of fewer bits."""

import triton
import triton.language as tl


@triton.jit
def sigmoid_times(x, y):
    """`x · sigmoid(y)`; the exponential of a large negative `y` is infinite, and the quotient then 0 as it should be."""
    return x / (1.0 + tl.exp(-y))


@triton.jit
def gelu_tanh(x):
    """GELU with the tanh approximation, by `(1 + tanh u) / 2 = sigmoid(2 u)`: there is no tanh in the language itself."""
    return sigmoid_times(x, 1.5957691216057308 * (x + 0.044715 * x * x * x))


@triton.jit
def silu(x):
    """`x · sigmoid(x)`"""
    return sigmoid_times(x, x)


@triton.jit
def e4m3_to_f32(code):
    """Decodes e4m3 (as u8) by shifts, so that cards without such numbers can: as the high bits of an f16 they stand for
    1/256 of their value, subnormal ones too."""
    code = code.to(tl.uint16)
    magnitude = code & 0x7F
    half = (((code & 0x80) << 8) | (magnitude << 7)).to(tl.float16, bitcast=True)
    return tl.where(magnitude == 0x7F, float("nan"), half.to(tl.float32) * 256.0)


@triton.jit
def f32_to_e4m3(x):
    """Encodes as e4m3 (as u8), to nearest, halves to even, the largest magnitude being 448."""
    bits = x.to(tl.uint32, bitcast=True)
    sign = (bits >> 24) & 0x80
    magnitude = tl.minimum(tl.abs(x), 448.0)
    bits = magnitude.to(tl.uint32, bitcast=True)
    # 20 of 23 bits of the fraction go; carrying into the exponent is right. 7 is one bias, 127 the other.
    normal = ((bits + 0x7FFFF + ((bits >> 20) & 1)) >> 20) - ((127 - 7) << 3)
    # Below 2⁻⁶ numbers are multiples of 2⁻⁹, which is the last bit of numbers about 2¹⁴.
    subnormal = (magnitude + 16384.0).to(tl.uint32, bitcast=True) & 0xF
    code = tl.where(magnitude < 0.015625, subnormal, normal)
    return tl.where(x == x, code | sign, 0x7F).to(tl.uint8)


@triton.jit
def nearest(x):
    """The nearest integer of a magnitude below 2²², halves to even: 1.5 · 2²³ leaves no room for a fraction."""
    return (x + 12582912.0) - 12582912.0
