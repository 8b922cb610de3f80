"""Functions of single numbers, combinations of two, and mean magnitudes."""

import triton
import triton.language as tl

from common import gelu_tanh, sigmoid_times, silu


@triton.jit
def activate(x, rows, cols, stride, function, COLS: tl.constexpr):
    """See `README.md`."""
    column = tl.program_id(1) * COLS + tl.arange(0, COLS)
    mine = x + tl.program_id(0).to(tl.int64) * stride + column
    value = tl.load(mine, mask=column < cols, other=0.0).to(tl.float32)
    if function == 0:
        value = silu(value)
    elif function == 1:
        value = sigmoid_times(value, 1.702 * value)
    elif function == 2:
        value = 0.5 * value * (1.0 + tl.erf(value * 0.7071067811865476))
    elif function == 3:
        value = gelu_tanh(value)
    else:
        value = tl.where(value < 0.0, 0.0, value)
    tl.store(mine, value.to(x.dtype.element_ty), mask=column < cols)


@triton.jit
def combine(y, x, rows, cols, y_stride, x_stride, how, factor, COLS: tl.constexpr):
    """See `README.md`."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * COLS + tl.arange(0, COLS)
    mine = x + row * x_stride + column
    other = tl.load(y + row * y_stride + column, mask=column < cols, other=0.0).to(tl.float32)
    value = tl.load(mine, mask=column < cols, other=0.0).to(tl.float32)
    if how == 0:
        value += factor * other
    else:
        value *= other
    tl.store(mine, value.to(x.dtype.element_ty), mask=column < cols)


@triton.jit
def magnitudes_partial(x, y, partial, rows, cols, x_stride, y_stride, COLS: tl.constexpr):
    """See `README.md`."""
    row = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, COLS)
    change = tl.zeros([COLS], tl.float32)
    size = tl.zeros([COLS], tl.float32)
    for first in range(0, cols, COLS):
        inside = first + lane < cols
        a = tl.load(x + row * x_stride + first + lane, mask=inside, other=0.0).to(tl.float32)
        b = tl.load(y + row * y_stride + first + lane, mask=inside, other=0.0).to(tl.float32)
        change += tl.abs(a - b)
        size += tl.abs(b)
    tl.store(partial + row * 2, tl.sum(change, 0))
    tl.store(partial + row * 2 + 1, tl.sum(size, 0))


@triton.jit
def magnitudes_finish(partial, out, rows, count, ROWS: tl.constexpr):
    """See `README.md`."""
    lane = tl.arange(0, ROWS)
    change = tl.zeros([ROWS], tl.float32)
    size = tl.zeros([ROWS], tl.float32)
    for first in range(0, rows, ROWS):
        inside = first + lane < rows
        change += tl.load(partial + (first + lane) * 2, mask=inside, other=0.0)
        size += tl.load(partial + (first + lane) * 2 + 1, mask=inside, other=0.0)
    tl.store(out, tl.sum(change, 0) / count)
    tl.store(out + 1, tl.sum(size, 0) / count)
