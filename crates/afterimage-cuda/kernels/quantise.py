"""Rows of numbers as 8-bit integers or 8-bit floats with a scale, and back."""

import triton
import triton.language as tl

from common import f32_to_e4m3, nearest


@triton.jit
def quantise(x, out, scales, rows, cols, stride, KIND: tl.constexpr, COLS: tl.constexpr):
    """See `README.md`. Division is the exact one: by the scale that is stored, so that nothing else comes back."""
    row = tl.program_id(0).to(tl.int64)
    x += row * stride
    out += row * cols
    lane = tl.arange(0, COLS)
    largest = tl.zeros([COLS], tl.float32)
    for first in range(0, cols, COLS):
        value = tl.load(x + first + lane, mask=first + lane < cols, other=0.0).to(tl.float32)
        largest = tl.maximum(largest, tl.abs(value))
    scale = tl.div_rn(tl.max(largest, 0), 127.0 if KIND == "i8" else 448.0)
    tl.store(scales + row, scale)
    divisor = tl.where(scale > 0.0, scale, 1.0)
    for first in range(0, cols, COLS):
        inside = first + lane < cols
        value = tl.load(x + first + lane, mask=inside, other=0.0).to(tl.float32)
        # A scale of zero stands for zeros, also where tiny numbers made it.
        value = tl.where(scale > 0.0, tl.div_rn(value, divisor), 0.0)
        if KIND == "i8":
            value = tl.minimum(tl.maximum(nearest(value), -127.0), 127.0)
            # NaN is 0, as the processor converts it.
            tl.store(out + first + lane, tl.where(value == value, value, 0.0).to(tl.int8), mask=inside)
        else:
            tl.store(out + first + lane, f32_to_e4m3(value), mask=inside)


@triton.jit
def dequantise(x, scales, out, rows, cols, out_stride, COLS: tl.constexpr):
    """See `README.md`."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * COLS + tl.arange(0, COLS)
    value = tl.load(x + row * cols + column, mask=column < cols, other=0).to(tl.float32) * tl.load(scales + row)
    tl.store(out + row * out_stride + column, value.to(out.dtype.element_ty), mask=column < cols)
