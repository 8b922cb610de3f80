"""Norms of rows, norms of heads with rotation, and the statistics of group norms. The variance is taken about the mean
that was computed before it, in a second pass: sums of squares would lose what matters where the mean is large."""

import triton
import triton.language as tl


@triton.jit
def norm(
    x, a, b, out, rows, cols, x_stride, out_stride, epsilon, KIND: tl.constexpr, COLS: tl.constexpr
):
    """See `README.md`. One program a row; it reads the row three times, all but once from a cache."""
    row = tl.program_id(0).to(tl.int64)
    x += row * x_stride
    out += row * out_stride
    lane = tl.arange(0, COLS)
    mean = 0.0
    if KIND != "rms":
        sums = tl.zeros([COLS], tl.float32)
        for first in range(0, cols, COLS):
            sums += tl.load(x + first + lane, mask=first + lane < cols, other=0.0).to(tl.float32)
        mean = tl.sum(sums, 0) / cols
    squares = tl.zeros([COLS], tl.float32)
    for first in range(0, cols, COLS):
        value = tl.load(x + first + lane, mask=first + lane < cols, other=0.0).to(tl.float32)
        value = tl.where(first + lane < cols, value - mean, 0.0)
        squares += value * value
    factor = 1.0 / tl.sqrt_rn(tl.sum(squares, 0) / cols + epsilon)
    for first in range(0, cols, COLS):
        inside = first + lane < cols
        value = (tl.load(x + first + lane, mask=inside, other=0.0).to(tl.float32) - mean) * factor
        weight = tl.load(a + first + lane, mask=inside, other=0.0)
        if KIND == "modulated":
            weight = 1.0 + weight
        value = value * weight
        if KIND != "rms":
            value += tl.load(b + first + lane, mask=inside, other=0.0)
        tl.store(out + first + lane, value.to(out.dtype.element_ty), mask=inside)


@triton.jit
def rotate_heads(
    x, weight, cosines, sines, tokens, heads, head_dim, stride, first_token, epsilon,
    HEADS: tl.constexpr, COLS: tl.constexpr,
):
    """See `README.md`. Heads of any even width, `COLS` columns at a time."""
    token = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1) * HEADS + tl.arange(0, HEADS)
    mine = (x + token * stride) + (head * head_dim)[:, None]
    lane = tl.arange(0, COLS)
    known = (head < heads)[:, None]
    squares = tl.zeros([HEADS, COLS], tl.float32)
    for first in range(0, head_dim, COLS):
        inside = known & (first + lane < head_dim)[None, :]
        value = tl.load(mine + (first + lane)[None, :], mask=inside, other=0.0).to(tl.float32)
        squares += value * value
    factor = 1.0 / tl.sqrt_rn(tl.sum(squares, 1) / head_dim + epsilon)
    row = (first_token + token) * (head_dim // 2)
    for first in range(0, head_dim, COLS):
        column = first + lane
        inside = known & (column < head_dim)[None, :]
        value = tl.load(mine + column[None, :], mask=inside, other=0.0).to(tl.float32)
        value = value * factor[:, None] * tl.load(weight + column, mask=column < head_dim, other=0.0)[None, :]
        pair = first // 2 + tl.arange(0, COLS // 2)
        cosine = tl.load(cosines + row + pair, mask=pair < head_dim // 2, other=0.0)[None, :]
        sine = tl.load(sines + row + pair, mask=pair < head_dim // 2, other=0.0)[None, :]
        x0, x1 = tl.split(tl.reshape(value, (HEADS, COLS // 2, 2)))
        turned = tl.join(x0 * cosine - x1 * sine, x1 * cosine + x0 * sine)
        turned = tl.reshape(turned, (HEADS, COLS)).to(x.dtype.element_ty)
        tl.store(mine + column[None, :], turned, mask=inside)


@triton.jit
def group_norm_partial(input, partial, pixels, channels_a_group, splits, NUMBERS: tl.constexpr):
    """See `README.md`. A group's planes lie one behind the other: it is one run of numbers, cut in `splits` parts."""
    group = tl.program_id(0).to(tl.int64)
    split = tl.program_id(1)
    numbers = pixels.to(tl.int64) * channels_a_group
    size = tl.cdiv(numbers, splits)
    start = size * split
    count = tl.maximum(tl.minimum(numbers - start, size), 0).to(tl.int32)
    mine = input + group * numbers + start
    lane = tl.arange(0, NUMBERS)
    sums = tl.zeros([NUMBERS], tl.float32)
    for first in range(0, count, NUMBERS):
        sums += tl.load(mine + first + lane, mask=first + lane < count, other=0.0).to(tl.float32)
    mean = tl.sum(sums, 0) / tl.maximum(count, 1)
    squares = tl.zeros([NUMBERS], tl.float32)
    for first in range(0, count, NUMBERS):
        value = tl.load(mine + first + lane, mask=first + lane < count, other=0.0).to(tl.float32)
        value = tl.where(first + lane < count, value - mean, 0.0)
        squares += value * value
    target = partial + (group * splits + split) * 3
    tl.store(target, count.to(tl.float32))
    tl.store(target + 1, mean)
    tl.store(target + 2, tl.sum(squares, 0))


@triton.jit
def group_norm_finish(
    partial, weight, bias, out, channels, channels_a_group, splits, epsilon,
    SPLITS: tl.constexpr, CHANNELS: tl.constexpr,
):
    """See `README.md`. Parts are put together by their means' distances from the whole's (Chan, Golub and LeVeque,
    Updating formulae and a pairwise algorithm for computing sample variances, 1979)."""
    group = tl.program_id(0)
    mine = partial + group * splits * 3
    lane = tl.arange(0, SPLITS)
    counts = tl.zeros([SPLITS], tl.float32)
    sums = tl.zeros([SPLITS], tl.float32)
    for first in range(0, splits, SPLITS):
        inside = first + lane < splits
        count = tl.load(mine + (first + lane) * 3, mask=inside, other=0.0)
        counts += count
        sums += count * tl.load(mine + (first + lane) * 3 + 1, mask=inside, other=0.0)
    total = tl.sum(counts, 0)
    mean = tl.sum(sums, 0) / total
    squares = tl.zeros([SPLITS], tl.float32)
    for first in range(0, splits, SPLITS):
        inside = first + lane < splits
        count = tl.load(mine + (first + lane) * 3, mask=inside, other=0.0)
        away = tl.load(mine + (first + lane) * 3 + 1, mask=inside, other=0.0) - mean
        squares += tl.load(mine + (first + lane) * 3 + 2, mask=inside, other=0.0) + count * away * away
    factor = 1.0 / tl.sqrt_rn(tl.sum(squares, 0) / total + epsilon)
    for first in range(0, channels_a_group, CHANNELS):
        member = first + tl.arange(0, CHANNELS)
        channel = group * channels_a_group + member
        inside = member < channels_a_group
        scale = tl.load(weight + channel, mask=inside, other=0.0) * factor
        shift = tl.load(bias + channel, mask=inside, other=0.0) - mean * scale
        tl.store(out + channel, scale, mask=inside)
        tl.store(out + channels + channel, shift, mask=inside)
