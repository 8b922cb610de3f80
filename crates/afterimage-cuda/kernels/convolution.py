"""Convolutions over planes as products that gather their operand on the way, and the largest number of a window."""

import triton
import triton.language as tl

from common import silu


@triton.jit
def convolve(
    input, weight, bias, affine, out,
    channels, height, width, out_height, out_width, outputs, kernel, step, before, double, has_affine, add,
    EXACT: tl.constexpr, PIXELS: tl.constexpr, OUTPUTS: tl.constexpr, DEPTH: tl.constexpr,
):
    """See `README.md`. `out [outputs, pixels] = weight [outputs, taps] · patches [taps, pixels]`, where a tap is a channel
    and a place in the window: rows of the weight are read as they lie, patches along rows of the picture."""
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    output = tl.program_id(1) * OUTPUTS + tl.arange(0, OUTPUTS)
    pixels = out_height * out_width
    near = tl.minimum(pixel, pixels - 1)
    left = tl.program_id(1) * OUTPUTS
    close = tl.minimum(tl.arange(0, OUTPUTS), outputs - 1 - left)
    top = near // out_width * step - before
    side = near % out_width * step - before
    window = kernel * kernel
    taps = channels * window
    weight += left.to(tl.int64) * taps
    plane = height * width

    acc = tl.zeros([OUTPUTS, PIXELS], tl.float32)
    for first in range(0, taps, DEPTH):
        tap = first + tl.arange(0, DEPTH)
        known = tap < taps
        channel = tap // window
        place = tap % window
        y = top[None, :] + (place // kernel)[:, None]
        x = side[None, :] + (place % kernel)[:, None]
        # Doubling happens before the window is looked at: its borders are those of the doubled picture.
        inside = (y >= 0) & (y < (height << double)) & (x >= 0) & (x < (width << double)) & known[:, None]
        # From the first of these planes 32 bits reach the others.
        base = input + plane.to(tl.int64) * (first // window)
        relative = ((channel - first // window) * plane)[:, None] + (y >> double) * width + (x >> double)
        patch = tl.load(base + relative, mask=inside, other=0.0)
        if has_affine != 0:
            scale = tl.load(affine + channel, mask=known, other=0.0)[:, None]
            shift = tl.load(affine + channels + channel, mask=known, other=0.0)[:, None]
            # Padding stays zero, whatever the shift.
            value = tl.where(inside, silu(patch.to(tl.float32) * scale + shift), 0.0)
            patch = value.to(patch.dtype)
        rows = tl.load(weight + first + ((close * taps)[:, None] + (tap - first)[None, :]), mask=known[None, :], other=0.0)
        if EXACT:
            acc = tl.dot(rows, patch, acc, input_precision="ieee")
        else:
            acc = tl.dot(rows, patch.to(tl.bfloat16), acc)
    acc += tl.load(bias + left + close)[:, None]
    inside = (output < outputs)[:, None] & (pixel < pixels)[None, :]
    target = out + left.to(tl.int64) * pixels + ((close * pixels)[:, None] + pixel[None, :])
    if add != 0:
        acc += tl.load(target, mask=inside, other=0.0).to(tl.float32)
    tl.store(target, acc.to(out.dtype.element_ty), mask=inside)


@triton.jit
def max_pool(input, out, channels, height, width, NUMBERS: tl.constexpr):
    """See `README.md`."""
    half_height = height // 2
    half_width = width // 2
    number = tl.program_id(0).to(tl.int64) * NUMBERS + tl.arange(0, NUMBERS)
    inside = number < channels.to(tl.int64) * half_height * half_width
    x = number % half_width * 2
    y = number // half_width % half_height * 2
    channel = number // (half_height * half_width)
    largest = tl.full([NUMBERS], -float("inf"), tl.float32)
    for place in tl.static_range(9):
        row = y + place // 3
        column = x + place % 3
        there = inside & (row < height) & (column < width)
        value = tl.load(input + (channel * height + row) * width + column, mask=there, other=-float("inf"))
        value = value.to(tl.float32)
        # Not tl.maximum, which prefers a number to NaN.
        largest = tl.where((value > largest) | (value != value), value, largest)
        # Once NaN, no comparison with it is true: only another NaN takes its place.
    tl.store(out + number, largest.to(out.dtype.element_ty), mask=inside)
