"""Numbers that only move: copies, transpositions, rows of a table."""

import triton
import triton.language as tl

from common import e4m3_to_f32


@triton.jit
def copy(x, out, rows, cols, x_stride, out_stride, COLS: tl.constexpr):
    """See `README.md`."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * COLS + tl.arange(0, COLS)
    value = tl.load(x + row * x_stride + column, mask=column < cols)
    tl.store(out + row * out_stride + column, value.to(tl.float32).to(out.dtype.element_ty), mask=column < cols)


@triton.jit
def transpose(
    x, affine, out, rows, cols, x_stride, out_stride, has_affine, add, ROWS: tl.constexpr, COLS: tl.constexpr
):
    """See `README.md`. Both sides are touched along their rows; the tile turns in shared memory."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLS + tl.arange(0, COLS)
    inside = (row < rows)[:, None] & (column < cols)[None, :]
    value = tl.load(x + row.to(tl.int64)[:, None] * x_stride + column[None, :], mask=inside, other=0.0).to(tl.float32)
    if has_affine != 0:
        scale = tl.load(affine + row, mask=row < rows, other=0.0)[:, None]
        shift = tl.load(affine + rows + row, mask=row < rows, other=0.0)[:, None]
        value = value * scale + shift
    value = tl.trans(value)
    inside = (column < cols)[:, None] & (row < rows)[None, :]
    target = out + column.to(tl.int64)[:, None] * out_stride + row[None, :]
    if add != 0:
        value += tl.load(target, mask=inside, other=0.0).to(tl.float32)
    tl.store(target, value.to(out.dtype.element_ty), mask=inside)


@triton.jit
def gather(
    table, factors, offsets, row_scales, ids, out, rows, cols, out_stride, has_offsets,
    KIND: tl.constexpr, COLS: tl.constexpr,
):
    """See `README.md`."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * COLS + tl.arange(0, COLS)
    inside = column < cols
    id = tl.load(ids + row).to(tl.int64)
    if KIND == "u4":
        byte = tl.load(table + id * (cols // 2) + column // 32 * 16 + column % 16, mask=inside, other=0)
        value = tl.where(column % 32 < 16, byte & 15, byte >> 4).to(tl.float32)
    else:
        value = tl.load(table + id * cols + column, mask=inside, other=0)
        if KIND == "f8":
            value = e4m3_to_f32(value)
        else:
            value = value.to(tl.float32)
    if KIND == "u4" or KIND == "i8":
        SIZE: tl.constexpr = 32 if KIND == "u4" else 16
        group = id * (cols // SIZE) + column // SIZE
        value = value * tl.load(factors + group, mask=inside, other=0.0).to(tl.float32)
        value -= tl.load(offsets + group, mask=inside & (has_offsets != 0), other=0.0).to(tl.float32)
    if KIND == "u4" or KIND == "i8" or KIND == "f8":
        value *= tl.load(row_scales + id)
    tl.store(out + row * out_stride + column, value.to(out.dtype.element_ty), mask=inside)
