"""Attention without a table of scores: keys pass by in blocks, and what was summed up for earlier blocks is scaled down
whenever a larger score turns up (Milakov and Gimelshein, Online normalizer calculation for softmax, 2018; Dao et al.,
FlashAttention, 2022). Exponentials are powers of two, all scores are in that unit.

Where a tile begins is one number of 64 bits; places inside of it fit in 32, which saves half of the registers for them."""

import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def add_bias(
    scores, offset, gated, gates, pairs, query, lane, first, queries, keys, BIAS: tl.constexpr, LIMITED: tl.constexpr
):
    """Adds the bias to a block of scores; keys beyond the last one become impossible. `query` is clamped."""
    inside = lane < keys - first
    if BIAS == "keys":
        fixed = tl.load(offset + first + lane, mask=inside, other=0.0) if LIMITED else tl.load(offset + first + lane)
        varying = tl.load(gated + first + lane, mask=inside, other=0.0) if LIMITED else tl.load(gated + first + lane)
        scores += (fixed * LOG2_E)[None, :] + gates[:, None] * (varying * LOG2_E)[None, :]
    elif BIAS == "pairs":
        table = pairs + queries.to(tl.int64) * first + ((lane * queries)[None, :] + query[:, None])
        bias = tl.load(table, mask=inside[None, :], other=0.0) if LIMITED else tl.load(table)
        scores += bias * LOG2_E
    return tl.where(inside[None, :], scores, -float("inf")) if LIMITED else scores


@triton.jit
def rescale(scores, largest, total, BIAS: tl.constexpr):
    """New largest score and sum of a row, the block's exponentials, and the factor on everything older."""
    new = tl.maximum(largest, tl.max(scores, 1))
    # As long as every key was at −∞ the difference of two infinities must not make a NaN.
    base = tl.where(new == -float("inf"), 0.0, new) if BIAS == "pairs" else new
    weights = tl.exp2(scores - base[:, None])
    factor = tl.exp2(largest - base)
    return new, total * factor + tl.sum(weights, 1), weights, factor


@triton.jit
def numbers(rows, first, count, stride, lane, column, width, LIMITED: tl.constexpr):
    """Rows `first + lane` of keys or values, zeros beyond the head's width and, where `LIMITED`, beyond the last row."""
    inside = (column < width)[None, :]
    if LIMITED:
        inside = inside & (lane < count - first)[:, None]
    return tl.load(rows + stride.to(tl.int64) * first + ((lane * stride)[:, None] + column[None, :]), mask=inside, other=0.0)


@triton.jit
def block(
    acc, largest, total, q, k, v, offset, gated, gates, pairs, query, lane, column, first, queries, keys, head_dim,
    k_stride, v_stride, scale, BIAS: tl.constexpr, LIMITED: tl.constexpr,
):
    """Takes keys `first + lane` into account."""
    some = numbers(k, first, keys, k_stride, lane, column, head_dim, LIMITED)
    scores = tl.dot(q, tl.trans(some), input_precision="ieee") * scale
    scores = add_bias(scores, offset, gated, gates, pairs, query, lane, first, queries, keys, BIAS, LIMITED)
    largest, total, weights, factor = rescale(scores, largest, total, BIAS)
    some = numbers(v, first, keys, v_stride, lane, column, head_dim, LIMITED)
    acc = tl.dot(weights.to(some.dtype), some, acc * factor[:, None], input_precision="ieee")
    return acc, largest, total


@triton.jit
def attention(
    q, k, v, out, offset, gated, gate, pairs, queries, keys, head_dim, q_stride, k_stride, v_stride, out_stride,
    pairs_stride, scale,
    BIAS: tl.constexpr, HEAD: tl.constexpr, SPLIT: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    """See `README.md`. `SPLIT`: whole blocks of keys in a loop without masks, the rest behind it."""
    head = tl.program_id(1)
    start = tl.program_id(0) * ROWS
    # Beyond the last query the last one is read again.
    near = tl.minimum(tl.arange(0, ROWS), queries - 1 - start)
    lane = tl.arange(0, KEYS)
    column = tl.arange(0, HEAD)
    inside = (column < head_dim)[None, :]
    k += head * head_dim
    v += head * head_dim
    pairs += head.to(tl.int64) * pairs_stride
    scale = scale * LOG2_E
    query = start + near
    gates = tl.load(gate + query) if BIAS == "keys" else query.to(tl.float32)
    mine = q + head * head_dim + start.to(tl.int64) * q_stride + ((near * q_stride)[:, None] + column[None, :])
    mine = tl.load(mine, mask=inside, other=0.0)

    acc = tl.zeros([ROWS, HEAD], tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    largest = tl.full([ROWS], -float("inf"), tl.float32)
    if SPLIT:
        whole = keys // KEYS * KEYS
        for first in tl.range(0, whole, KEYS):
            acc, largest, total = block(
                acc, largest, total, mine, k, v, offset, gated, gates, pairs, query, lane, column, first, queries, keys,
                head_dim, k_stride, v_stride, scale, BIAS, False,
            )
        if whole < keys:
            acc, largest, total = block(
                acc, largest, total, mine, k, v, offset, gated, gates, pairs, query, lane, column, whole, queries, keys,
                head_dim, k_stride, v_stride, scale, BIAS, True,
            )
    else:
        for first in tl.range(0, keys, KEYS):
            acc, largest, total = block(
                acc, largest, total, mine, k, v, offset, gated, gates, pairs, query, lane, column, first, queries, keys,
                head_dim, k_stride, v_stride, scale, BIAS, True,
            )
    target = out + head * head_dim + start.to(tl.int64) * out_stride + ((near * out_stride)[:, None] + column[None, :])
    inside = inside & (start + tl.arange(0, ROWS) < queries)[:, None]
    tl.store(target, (acc / total[:, None]).to(out.dtype.element_ty), mask=inside)


@triton.jit
def attention_wide(
    q, k, v, out, offset, gated, gate, pairs, queries, keys, head_dim, q_stride, k_stride, v_stride, out_stride,
    pairs_stride, scale,
    DEPTH: tl.constexpr, PART: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
):
    """The same without a bias for heads too wide for a thread's registers (the autoencoder's): `PART` columns of the
    output at a time, scores summed up over `DEPTH` columns at a time and computed anew for every part."""
    head = tl.program_id(1)
    start = tl.program_id(0) * ROWS
    near = tl.minimum(tl.arange(0, ROWS), queries - 1 - start)
    lane = tl.arange(0, KEYS)
    deep = tl.arange(0, DEPTH)
    wide = tl.arange(0, PART)
    q += head * head_dim + start.to(tl.int64) * q_stride
    k += head * head_dim
    v += head * head_dim
    scale = scale * LOG2_E
    for part in range(0, head_dim, PART):
        acc = tl.zeros([ROWS, PART], tl.float32)
        total = tl.zeros([ROWS], tl.float32)
        largest = tl.full([ROWS], -float("inf"), tl.float32)
        for first in range(0, keys, KEYS):
            scores = tl.zeros([ROWS, KEYS], tl.float32)
            for depth in range(0, head_dim, DEPTH):
                inside = (deep < head_dim - depth)[None, :]
                left = tl.load(q + depth + ((near * q_stride)[:, None] + deep[None, :]), mask=inside, other=0.0)
                right = numbers(k + depth, first, keys, k_stride, lane, deep, head_dim - depth, True)
                scores = tl.dot(left, tl.trans(right), scores, input_precision="ieee")
            scores = tl.where((lane < keys - first)[None, :], scores * scale, -float("inf"))
            largest, total, weights, factor = rescale(scores, largest, total, "none")
            some = numbers(v + part, first, keys, v_stride, lane, wide, head_dim - part, True)
            acc = tl.dot(weights.to(some.dtype), some, acc * factor[:, None], input_precision="ieee")
        inside = (wide < head_dim - part)[None, :] & (start + tl.arange(0, ROWS) < queries)[:, None]
        target = out + head * head_dim + part + start.to(tl.int64) * out_stride
        target += (near * out_stride)[:, None] + wide[None, :]
        tl.store(target, (acc / total[:, None]).to(out.dtype.element_ty), mask=inside)
