"""Cases of everything but products and attention, with their oracles in f64."""

import math

import numpy as np

from cases import (
    FINE, Case, decode, encode, laid_out, place_of, poison, rounded, tolerance, wanted,
)
from harness import ALL
from large import gelu_tanh, weight

ERF = np.vectorize(math.erf, otypes=[np.float64])


def silu(x):
    """See `Activation::Silu`."""
    return x / (1.0 + np.exp(-x))


def named(family):
    """Variants of a family."""
    return [(name, variant, variant.types) for name, variant in ALL.items() if variant.family == family]


def output(rows, cols, kind, stride=None, start=0):
    """A poisoned buffer for an output."""
    flat, start = laid_out(np.zeros((rows, cols)), kind, stride, start)
    flat[:] = poison(len(flat), kind)
    return flat, start


def norms(rng):
    """Rows of one number, of less and more than a block, and far from zero."""
    for name, variant, types in named("norm"):
        kind = variant.constants["KIND"]
        for rows, cols, mean in ((3, 1, 0.0), (5, 37, 0.0), (2, 1500, 0.0), (2, 2048, 300.0)):
            x = rounded(rng.standard_normal((rows, cols)) + mean, types["X"])
            a, b = (rounded(rng.standard_normal(cols), "f32") for _ in range(2))
            middle = 0.0 if kind == "rms" else x.mean(axis=1, keepdims=True)
            normal = (x - middle) / np.sqrt(((x - middle) ** 2).mean(axis=1, keepdims=True) + float(np.float32(1e-6)))
            result = normal * (1.0 + a if kind == "modulated" else a) + (0.0 if kind == "rms" else b)
            out = output(rows, cols, types["O"], cols + 3, 1)
            arguments = dict(
                x=laid_out(x, types["X"], cols + 2, 3), a=encode(a, "f32"), b=None if kind == "rms" else encode(b, "f32"),
                out=out, rows=rows, cols=cols, x_stride=cols + 2, out_stride=cols + 3, epsilon=1e-6,
            )
            # Of numbers about 300 the last place of f32 is what is seen here.
            limit = max(tolerance(types["O"]), 5e-4 if mean else 0.0)
            yield Case(name, f"{rows}x{cols} about {mean}", arguments, {"out": wanted(result, out, cols + 3)}, limit)


def rotations(rng):
    """Heads narrower and wider than a block, more heads than a tile, tokens from the middle of a table."""
    for name, _, types in named("rotate_heads"):
        for tokens, heads, dim, first in ((3, 11, 128, 2), (2, 3, 6, 0), (2, 8, 200, 1), (1, 16, 64, 0)):
            width = heads * dim
            x = rounded(rng.standard_normal((tokens, width)), types["X"])
            angles = rng.random((tokens + first, dim // 2)) * 6.3
            cosines, sines = rounded(np.cos(angles), "f32"), rounded(np.sin(angles), "f32")
            factor = rounded(rng.standard_normal(dim), "f32")
            normal = x.reshape(tokens, heads, dim)
            normal = normal / np.sqrt((normal**2).mean(axis=2, keepdims=True) + float(np.float32(1e-6))) * factor
            x0, x1 = normal[..., 0::2], normal[..., 1::2]
            cosine, sine = cosines[first:, None], sines[first:, None]
            result = np.stack([x0 * cosine - x1 * sine, x1 * cosine + x0 * sine], axis=-1).reshape(tokens, width)
            buffer = laid_out(x, types["X"], width + 5, 2)
            arguments = dict(
                x=buffer, weight=encode(factor, "f32"), cosines=encode(cosines.reshape(-1), "f32"),
                sines=encode(sines.reshape(-1), "f32"), tokens=tokens, heads=heads, head_dim=dim, stride=width + 5,
                first_token=first, epsilon=1e-6,
            )
            expected = {"x": wanted(result, buffer, width + 5)}
            yield Case(name, f"{tokens} tokens {heads} x {dim}", arguments, expected, tolerance(types["X"]))


def convolutions(rng):
    """All movements, windows of 1, 3 and 7, with and without what happens on the way in and out."""
    shapes = (
        # channels, height, width, outputs, kernel, step, before, double, affine, add
        (5, 9, 11, 7, 3, 1, 1, 0, 0, 0), (3, 8, 10, 150, 3, 2, 0, 0, 1, 0), (4, 7, 9, 5, 3, 2, 1, 0, 1, 1),
        (6, 6, 7, 9, 3, 1, 1, 1, 1, 0), (37, 5, 13, 66, 1, 1, 0, 0, 0, 1), (3, 15, 14, 4, 7, 2, 3, 0, 0, 0),
    )
    for name, _, types in named("convolve"):
        for channels, height, width, outputs, kernel, step, before, double, affine, add in shapes:
            x = rounded(rng.standard_normal((channels, height, width)), types["X"])
            taps = channels * kernel**2
            values = rounded(rng.standard_normal((outputs, channels, kernel, kernel)) / np.sqrt(taps), types["W"])
            bias = rounded(rng.standard_normal(outputs), "f32")
            pairs = rounded(rng.standard_normal((2, channels)), "f32")
            arguments = dict(input=laid_out(x.reshape(1, -1), types["X"]), weight=encode(values.reshape(-1), types["W"]))
            if affine:
                x = rounded(silu(x * pairs[0][:, None, None] + pairs[1][:, None, None]), types["X"])
                arguments["affine"] = encode(pairs.reshape(-1), "f32")
            if types["W"] == "bf16":
                x = rounded(x, "bf16")
            if double:
                x = x.repeat(2, axis=1).repeat(2, axis=2)
            down, right = x.shape[1:]
            if step == 2:
                down, right = (down // 2, right // 2) if before == 0 else (-(-down // 2), -(-right // 2))
            padded = np.pad(x, ((0, 0), (before, kernel), (before, kernel)))
            result = np.zeros((outputs, down, right))
            for y in range(kernel):
                for z in range(kernel):
                    seen = padded[:, y : y + step * down : step, z : z + step * right : step]
                    result += np.einsum("oc,chw->ohw", values[:, :, y, z], seen)
            result += bias[:, None, None]
            old = rounded(rng.standard_normal(result.shape), types["O"])
            out = laid_out(old.reshape(1, -1), types["O"]) if add else output(1, result.size, types["O"])
            result += old if add else 0.0
            arguments |= dict(
                bias=encode(bias, "f32"), out=out, channels=channels, height=height, width=width, out_height=down,
                out_width=right, outputs=outputs, kernel=kernel, step=step, before=before, double=double,
                has_affine=affine, add=add,
            )
            text = f"{channels}x{height}x{width} to {outputs}x{down}x{right} window {kernel} affine {affine} add {add}"
            # A number that is rounded to bf16 on its way in may fall to the other side.
            limit = 1e-3 if affine and types["W"] == "bf16" else 0.0
            expected = {"out": wanted(result.reshape(1, -1), out)}
            yield Case(name, text, arguments, expected, max(limit, tolerance(types["O"])))


def group_norms(rng):
    """Statistics of parts, also of an empty one, and how they are put together."""
    for name, _, types in named("group_norm.partial"):
        for groups, members, pixels, splits in ((3, 2, 35, 4), (2, 1, 5, 4), (1, 4, 5000, 3)):
            x = rounded(rng.standard_normal((groups, members * pixels)) + 5.0, types["X"])
            size = -(-members * pixels // splits)
            result = np.zeros((groups, splits, 3))
            for group in range(groups):
                for split in range(splits):
                    part = x[group, split * size :][:size]
                    if part.size:
                        result[group, split] = part.size, part.mean(), ((part - part.mean()) ** 2).sum()
            partial = output(1, result.size, "f32")
            arguments = dict(
                input=laid_out(x.reshape(1, -1), types["X"]), partial=partial, pixels=pixels, channels_a_group=members,
                splits=splits, groups=groups,
            )
            expected = {"partial": wanted(result.reshape(1, -1), partial)}
            yield Case(name, f"{groups}x{members}x{pixels} in {splits}", arguments, expected, FINE)
    for groups, members, splits in ((3, 5, 4), (2, 70, 200), (4, 1, 1)):
        counts = rng.integers(0, 50, (groups, splits)).astype(np.float64)
        counts[:, 0] = 7.0
        means, squares = rng.standard_normal((groups, splits)), rng.random((groups, splits)) * counts
        parts = rounded(np.stack([counts, means, squares], axis=2), "f32")
        counts, means, squares = (parts[:, :, index] for index in range(3))
        total = counts.sum(axis=1)
        mean = (counts * means).sum(axis=1) / total
        variance = (squares + counts * (means - mean[:, None]) ** 2).sum(axis=1) / total
        factor, bias = (rounded(rng.standard_normal((groups, members)), "f32") for _ in range(2))
        scales = factor / np.sqrt(variance + float(np.float32(1e-5)))[:, None]
        result = np.concatenate([scales.reshape(-1), (bias - mean[:, None] * scales).reshape(-1)])
        out = output(1, result.size, "f32")
        arguments = dict(
            partial=encode(parts.reshape(-1), "f32"), weight=encode(factor.reshape(-1), "f32"),
            bias=encode(bias.reshape(-1), "f32"), out=out, channels=groups * members, channels_a_group=members,
            splits=splits, epsilon=1e-5,
        )
        expected = {"out": wanted(result, out)}
        yield Case("group_norm.finish", f"{groups}x{members} of {splits}", arguments, expected, FINE)


def pools(rng):
    """Odd and even sides, a NaN."""
    for name, _, types in named("max_pool"):
        for channels, height, width in ((3, 9, 12), (2, 6, 5), (5, 30, 31)):
            x = rounded(rng.standard_normal((channels, height, width)), types["X"])
            x[1, 3, 2] = np.nan
            result = np.empty((channels, height // 2, width // 2))
            for y in range(height // 2):
                for z in range(width // 2):
                    result[:, y, z] = x[:, 2 * y : 2 * y + 3, 2 * z : 2 * z + 3].max(axis=(1, 2))
            out = output(1, result.size, types["X"])
            arguments = dict(
                input=laid_out(x.reshape(1, -1), types["X"]), out=out, channels=channels, height=height, width=width
            )
            touched = {"out": place_of(out, 1, result.size)}
            expected = {"out": wanted(result.reshape(1, -1), out)}
            yield Case(name, f"{channels}x{height}x{width}", arguments, expected, 0.0, touched)


def gathers(rng):
    """All kinds of weights; rows twice, first and last."""
    for name, variant, types in named("gather"):
        kind = variant.constants["KIND"]
        for cols, has_offsets in ((64, 0), (1056, 1)):
            arguments, values = weight(rng, kind, 7, cols)
            arguments["table"] = arguments.pop("weight")
            if isinstance(values, tuple):
                values = values[0] - (values[1] if has_offsets else 0.0)
                if not has_offsets:
                    arguments["offsets"] = None
            if kind not in ("f32", "bf16"):
                arguments["row_scales"] = encode(rng.random(7) + 0.5, "f32")
                values = values * arguments["row_scales"].astype(np.float64)[:, None]
            ids = np.array([6, 0, 3, 3], np.int32)
            out = output(4, cols, types["O"], cols + 3, 2)
            arguments |= dict(ids=ids, out=out, rows=4, cols=cols, out_stride=cols + 3, has_offsets=has_offsets)
            expected = {"out": wanted(values[ids], out, cols + 3)}
            yield Case(name, f"{cols} offsets {has_offsets}", arguments, expected, tolerance(types["O"]))


def moves(rng):
    """Copies and transpositions."""
    for name, _, types in named("copy"):
        for rows, cols in ((3, 1100), (5, 1), (1, 7)):
            x = rounded(rng.standard_normal((rows, cols)), types["X"])
            out = output(rows, cols, types["O"], cols + 3, 1)
            arguments = dict(
                x=laid_out(x, types["X"], cols + 1), out=out, rows=rows, cols=cols, x_stride=cols + 1, out_stride=cols + 3
            )
            yield Case(name, f"{rows}x{cols}", arguments, {"out": wanted(x, out, cols + 3)}, tolerance(types["O"]))
    for name, _, types in named("transpose"):
        for rows, cols, affine, add in ((3, 70, 0, 0), (67, 131, 1, 1), (32, 64, 1, 0), (33, 1, 0, 1)):
            x = rounded(rng.standard_normal((rows, cols)), types["X"])
            old = rounded(rng.standard_normal((cols, rows)), types["O"])
            pairs = rounded(rng.standard_normal((2, rows)), "f32")
            out = laid_out(old, types["O"], rows + 2) if add else output(cols, rows, types["O"], rows + 2)
            result = (x * pairs[0][:, None] + pairs[1][:, None] if affine else x).T + (old if add else 0.0)
            arguments = dict(
                x=laid_out(x, types["X"], cols + 1), affine=encode(pairs.reshape(-1), "f32") if affine else None, out=out,
                rows=rows, cols=cols, x_stride=cols + 1, out_stride=rows + 2, has_affine=affine, add=add,
            )
            expected = {"out": wanted(result, out, rows + 2)}
            yield Case(name, f"{rows}x{cols} affine {affine} add {add}", arguments, expected, tolerance(types["O"]))


def elementwise(rng):
    """Functions, with a NaN and large numbers; combinations, one row for all; mean magnitudes."""
    functions = (
        silu, lambda x: x / (1.0 + np.exp(-1.702 * x)), lambda x: 0.5 * x * (1.0 + ERF(x / np.sqrt(2.0))), gelu_tanh,
        lambda x: np.where(x < 0.0, 0.0, x),
    )
    for name, _, types in named("activate"):
        for function, apply in enumerate(functions):
            x = rounded(rng.standard_normal((3, 1100)) * 3.0, types["X"])
            x[0, :4] = [90.0, -90.0, 0.0, np.nan]
            buffer = laid_out(x, types["X"], 1103, 2)
            arguments = dict(x=buffer, rows=3, cols=1100, stride=1103, function=function)
            touched, expected = place_of(buffer, 3, 1100, 1103), wanted(apply(x), buffer, 1103)
            yield Case(name, f"{function}", arguments, {"x": expected}, tolerance(types["X"]), {"x": touched})
    for name, _, types in named("combine"):
        for how, factor, shared in ((0, 1.0, False), (0, -0.37, True), (1, 0.0, False), (1, 0.0, True)):
            x = rounded(rng.standard_normal((4, 1030)), types["X"])
            y = rounded(rng.standard_normal((1 if shared else 4, 1030)), types["Y"])
            buffer = laid_out(x, types["X"], 1033, 1)
            result = x + float(np.float32(factor)) * y if how == 0 else x * y
            arguments = dict(
                y=laid_out(y, types["Y"], 1031, 1), x=buffer, rows=4, cols=1030, y_stride=0 if shared else 1031,
                x_stride=1033, how=how, factor=factor,
            )
            expected = {"x": wanted(result, buffer, 1033)}
            yield Case(name, f"{how} one row {shared}", arguments, expected, tolerance(types["X"]))
    for name, _, types in named("magnitudes.partial"):
        for rows, cols in ((5, 1100), (2, 3)):
            x, y = (rounded(rng.standard_normal((rows, cols)), types[letter]) for letter in "XY")
            partial = output(rows, 2, "f32")
            arguments = dict(
                x=laid_out(x, types["X"], cols + 1), y=laid_out(y, types["Y"], cols + 2), partial=partial, rows=rows,
                cols=cols, x_stride=cols + 1, y_stride=cols + 2,
            )
            result = np.stack([np.abs(x - y).sum(axis=1), np.abs(y).sum(axis=1)], axis=1)
            yield Case(name, f"{rows}x{cols}", arguments, {"partial": wanted(result, partial)}, FINE)
    for rows in (1, 1500):
        parts = rounded(rng.random((rows, 2)), "f32")
        out = output(1, 2, "f32")
        arguments = dict(partial=encode(parts.reshape(-1), "f32"), out=out, rows=rows, count=rows * 7.0)
        expected = {"out": wanted(parts.sum(axis=0) / (rows * 7.0), out)}
        yield Case("magnitudes.finish", f"{rows}", arguments, expected, FINE)


def quantised(rng):
    """Rows of zeros, halves, tiny numbers; and back."""
    for name, variant, types in named("quantise"):
        kind = variant.constants["KIND"]
        top = 127.0 if kind == "i8" else 448.0
        for cols in (5, 1100):
            x = rounded(rng.standard_normal((4, cols)), types["X"])
            x[1] = 0.0
            x[2, :4] = [top, 0.5, 1.5, -2.5]
            x[2, 4:] = np.round(x[2, 4:] * 8) / 8
            scales = rounded(np.abs(x).max(axis=1) / top, "f32")
            quotient = rounded(x / np.where(scales > 0.0, scales, 1.0)[:, None], "f32")
            values = np.rint(quotient) if kind == "i8" else decode(encode(quotient.reshape(-1), "f8"), "f8")
            stored = "i8" if kind == "i8" else "u8"
            codes = values if kind == "i8" else encode(quotient.reshape(-1), "f8").astype(np.float64)
            out, scale = output(4, cols, stored), output(1, 4, "f32")
            arguments = dict(
                x=laid_out(x, types["X"], cols + 3, 1), out=out, scales=scale, rows=4, cols=cols, stride=cols + 3
            )
            expected = {"out": wanted(codes.reshape(4, cols), out), "scales": wanted(scales, scale)}
            yield Case(name, f"4x{cols}", arguments, expected, 1e-6)
    for name, _, types in named("dequantise"):
        x, scales = rng.integers(-127, 128, (3, 1100)).astype(np.float64), rounded(rng.random(3), "f32")
        out = output(3, 1100, types["O"], 1103, 1)
        arguments = dict(
            x=encode(x.reshape(-1), "i8"), scales=encode(scales, "f32"), out=out, rows=3, cols=1100, out_stride=1103
        )
        yield Case(name, "3x1100", arguments, {"out": wanted(x * scales[:, None], out, 1103)}, tolerance(types["O"]))


def all_small(rng):
    """Every family but products and attention."""
    for make in (norms, rotations, convolutions, group_norms, pools, gathers, moves, elementwise, quantised):
        yield from make(rng)
