"""Matrix products `x · weightᵀ` with everything that happens to their result, for every kind of weight."""

import triton
import triton.language as tl

from common import e4m3_to_f32, gelu_tanh


@triton.jit
def tile_of(program, rows, outputs, ROWS: tl.constexpr, OUTPUTS: tl.constexpr):
    """Tile `(row, output)` of a program: 8 tile rows are worked on column by column, so that programs which run at the
    same time share rows of x and of the weight in the second-level cache."""
    tall = tl.cdiv(rows, ROWS)
    wide = tl.cdiv(outputs, OUTPUTS)
    first = program // (8 * wide) * 8
    height = min(tall - first, 8)
    within = program % (8 * wide)
    return first + within % height, within // height


@triton.jit
def scaled(values, factors, offsets, has_offsets, groups, inside, LIMITED: tl.constexpr, SIZE: tl.constexpr):
    """`values [outputs, groups · SIZE]` times their group's factor, less its offset, as bf16. Factors are read once a
    group; only the small tables change their layout."""
    N: tl.constexpr = values.shape[0]
    G: tl.constexpr = values.shape[1] // SIZE
    if LIMITED:
        factor = tl.load(factors + groups, mask=inside, other=0.0)
        offset = tl.load(offsets + groups, mask=inside & (has_offsets != 0), other=0.0)
    else:
        factor = tl.load(factors + groups)
        offset = tl.load(offsets + groups, mask=(groups >= 0) & (has_offsets != 0), other=0.0)
    values = tl.reshape(values.to(tl.float32), (N, G, SIZE))
    values = values * factor.to(tl.float32)[:, :, None] - offset.to(tl.float32)[:, :, None]
    return tl.reshape(values.to(tl.bfloat16), (N, G * SIZE))


@triton.jit
def number_or_zero(pointers, inside, LIMITED: tl.constexpr):
    """Loads; without a limit there is no mask that would cost anything."""
    if LIMITED:
        return tl.load(pointers, mask=inside, other=0.0)
    else:
        return tl.load(pointers)


@triton.jit
def add_product(
    acc, x, weight, factors, offsets, row, output, first, inputs, x_stride, has_offsets,
    KIND: tl.constexpr, LIMITED: tl.constexpr, DEPTH: tl.constexpr,
):
    """`acc + x · weightᵀ` over `inputs` `first .. first + DEPTH`. The pointers are those of the tile's first row and
    output; from there 32 bits reach every place, which saves half of the registers for them."""
    if KIND == "u4":
        # The low halves of bytes are 16 numbers of a group, the high halves the 16 after them: two products over
        # matching columns of x need no shuffling of the weight.
        half = tl.arange(0, DEPTH // 2)
        low = half // 16 * 32 + half % 16
        near = (low < inputs - first)[None, :]
        x_low = number_or_zero(x + first + ((row * x_stride)[:, None] + low[None, :]), near, LIMITED)
        x_high = number_or_zero(x + first + 16 + ((row * x_stride)[:, None] + low[None, :]), near, LIMITED)
        bytes = weight + first // 2 + ((output * (inputs // 2))[:, None] + half[None, :])
        bytes = number_or_zero(bytes, (half < (inputs - first) // 2)[None, :], LIMITED)
        group = tl.arange(0, DEPTH // 32)
        groups = first // 32 + ((output * (inputs // 32))[:, None] + group[None, :])
        inside = (group < (inputs - first) // 32)[None, :]
        w_low = scaled(bytes & 15, factors, offsets, has_offsets, groups, inside, LIMITED, 16)
        w_high = scaled(bytes >> 4, factors, offsets, has_offsets, groups, inside, LIMITED, 16)
        acc = tl.dot(x_low.to(tl.bfloat16), tl.trans(w_low), acc)
        return tl.dot(x_high.to(tl.bfloat16), tl.trans(w_high), acc)
    else:
        column = tl.arange(0, DEPTH)
        inside = (column < inputs - first)[None, :]
        left = number_or_zero(x + first + ((row * x_stride)[:, None] + column[None, :]), inside, LIMITED)
        right = number_or_zero(weight + first + ((output * inputs)[:, None] + column[None, :]), inside, LIMITED)
        if KIND == "f32":
            return tl.dot(left, tl.trans(right), acc, input_precision="ieee")
        elif KIND == "i8i8":
            return tl.dot(left, tl.trans(right), acc, out_dtype=tl.int32)
        elif KIND == "f8f8":
            return tl.dot(left, tl.trans(right), acc)
        else:
            if KIND == "f8":
                right = e4m3_to_f32(right).to(tl.bfloat16)
            elif KIND == "i8":
                group = tl.arange(0, DEPTH // 16)
                groups = first // 16 + ((output * (inputs // 16))[:, None] + group[None, :])
                inside = (group < (inputs - first) // 16)[None, :]
                right = scaled(right, factors, offsets, has_offsets, groups, inside, LIMITED, 16)
            return tl.dot(left.to(tl.bfloat16), tl.trans(right), acc)


@triton.jit
def store_finished(y, bias, gate, out, row, output, outputs, out_stride, has_bias, finish, inside):
    """Adds the bias to `y` and finishes it: 0 store, 1 GELU, 2 add, 3 add what the gates let through."""
    known = output < outputs
    inside = inside & known[None, :]
    y = y + tl.load(bias + output, mask=known & (has_bias != 0), other=0.0)[None, :]
    target = out + ((row * out_stride)[:, None] + output[None, :])
    if finish == 1:
        y = gelu_tanh(y)
    elif finish >= 2:
        before = tl.load(target, mask=inside, other=0.0).to(tl.float32)
        y = before + y * tl.load(gate + output, mask=known & (finish == 3), other=1.0)[None, :]
    tl.store(target, y.to(out.dtype.element_ty), mask=inside)


@triton.jit
def product(
    x, weight, factors, offsets, row_scales, x_scales, bias, gate, low, up, out,
    rows, outputs, inputs, x_stride, out_stride, rank, has_offsets, has_bias, finish,
    KIND: tl.constexpr, ALIGNED: tl.constexpr, ROWS: tl.constexpr, OUTPUTS: tl.constexpr, DEPTH: tl.constexpr,
):
    """See `README.md`."""
    tile_row, tile_output = tile_of(tl.program_id(0), rows, outputs, ROWS, OUTPUTS)
    top = tile_row * ROWS
    left = tile_output * OUTPUTS
    # Beyond the last row or output the last one is read again: cheaper than a mask, and what comes of it is not stored.
    row = tl.minimum(tl.arange(0, ROWS), rows - 1 - top)
    output = tl.minimum(tl.arange(0, OUTPUTS), outputs - 1 - left)
    x += top.to(tl.int64) * x_stride
    weight += left.to(tl.int64) * (inputs // 2 if KIND == "u4" else inputs)
    if KIND == "i8" or KIND == "u4":
        SIZE: tl.constexpr = 16 if KIND == "i8" else 32
        factors += left.to(tl.int64) * (inputs // SIZE)
        offsets += left.to(tl.int64) * (inputs // SIZE)

    acc = tl.zeros([ROWS, OUTPUTS], tl.int32 if KIND == "i8i8" else tl.float32)
    if ALIGNED:
        whole = inputs // DEPTH * DEPTH
        for first in tl.range(0, whole, DEPTH):
            acc = add_product(
                acc, x, weight, factors, offsets, row, output, first, inputs, x_stride, has_offsets, KIND, False, DEPTH
            )
        if whole < inputs:
            acc = add_product(
                acc, x, weight, factors, offsets, row, output, whole, inputs, x_stride, has_offsets, KIND, True, DEPTH
            )
    else:
        for first in tl.range(0, inputs, DEPTH):
            acc = add_product(
                acc, x, weight, factors, offsets, row, output, first, inputs, x_stride, has_offsets, KIND, True, DEPTH
            )

    y = acc.to(tl.float32)
    if KIND != "f32" and KIND != "bf16":
        y = y * tl.load(row_scales + left + output)[None, :]
    if KIND == "i8i8" or KIND == "f8f8":
        y = y * tl.load(x_scales + top + row)[:, None]
    low += top.to(tl.int64) * rank
    up += left.to(tl.int64) * rank
    for first in tl.range(0, rank, 16, num_stages=1):
        column = first + tl.arange(0, 16)
        inside = column[None, :] < rank
        a = tl.load(low + ((row * rank)[:, None] + column[None, :]), mask=inside, other=0.0)
        b = tl.load(up + ((output * rank)[:, None] + column[None, :]), mask=inside, other=0.0)
        y = tl.dot(a, tl.trans(b), y, input_precision="ieee")

    inside = (top + tl.arange(0, ROWS) < rows)[:, None]
    out += top.to(tl.int64) * out_stride
    if OUTPUTS == 256:
        # Half by half: what a finish needs beside the whole of such a tile would not fit in registers.
        y0, y1 = tl.split(tl.permute(tl.reshape(y, (ROWS, 2, 128)), (0, 2, 1)))
        output = left + tl.arange(0, 128)
        store_finished(y0, bias, gate, out, row, output, outputs, out_stride, has_bias, finish, inside)
        store_finished(y1, bias, gate, out, row, output + 128, outputs, out_stride, has_bias, finish, inside)
    else:
        output = left + tl.arange(0, OUTPUTS)
        store_finished(y, bias, gate, out, row, output, outputs, out_stride, has_bias, finish, inside)
