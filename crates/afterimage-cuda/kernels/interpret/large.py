"""Cases of products and attention with their oracles in f64."""

import numpy as np

from cases import Case, encode, laid_out, place_of, poison, rounded, tolerance, wanted
from harness import ALL

GELU = 0.7978845608028654


def gelu_tanh(x):
    """See `Activation::GeluTanh`."""
    return 0.5 * x * (1.0 + np.tanh(GELU * (x + 0.044715 * x**3)))


def weight(rng, kind, outputs, inputs):
    """`(arguments, values)` of a weight: what the kernel gets, and what it has to multiply with before row scales."""
    if kind in ("f32", "bf16"):
        values = rounded(rng.standard_normal((outputs, inputs)) / np.sqrt(inputs), kind)
        return {"weight": encode(values.reshape(-1), kind)}, values
    if kind in ("f8", "f8f8"):
        values = rounded(rng.standard_normal((outputs, inputs)) * 0.3, "f8")
        values[0] = np.resize([448.0, -0.001953125, 0.013671875], inputs)
        return {"weight": encode(values.reshape(-1), "f8")}, values
    if kind == "i8i8":
        values = rng.integers(-127, 128, (outputs, inputs)).astype(np.float64)
        return {"weight": encode(values.reshape(-1), "i8")}, values
    size = 16 if kind == "i8" else 32
    groups = inputs // size
    factors = (rng.random((outputs, groups)) * 0.02 + 0.001).astype(np.float16)
    offsets = (rng.standard_normal((outputs, groups)) * 0.05).astype(np.float16)
    arguments = {"factors": factors.reshape(-1), "offsets": offsets.reshape(-1)}
    if kind == "i8":
        whole = rng.integers(-128, 128, (outputs, inputs))
        arguments["weight"] = whole.astype(np.int8).reshape(-1)
    else:
        whole = rng.integers(0, 16, (outputs, inputs))
        halves = whole.reshape(outputs, groups, 2, 16)
        arguments["weight"] = (halves[:, :, 0] | halves[:, :, 1] << 4).astype(np.uint8).reshape(-1)
    spread = [np.repeat(table.astype(np.float64), size, axis=1) for table in (factors, offsets)]
    return arguments, (whole * spread[0], spread[1])


def product(rng, name, rows, outputs, inputs, finish, has_bias, has_offsets, rank, gap):
    """One product; everything that its flags turn off is null or poisoned."""
    variant = ALL[name]
    kind, (x_type, o_type, u_type) = variant.constants["KIND"], [variant.types[letter] for letter in "XOU"]
    arguments, values = weight(rng, kind, outputs, inputs)
    if isinstance(values, tuple):
        values = values[0] - (values[1] if has_offsets else 0.0)
        if not has_offsets:
            arguments["offsets"] = None
    if x_type == "i8":
        x = rng.integers(-127, 128, (rows, inputs)).astype(np.float64)
    else:
        x = rounded(rng.standard_normal((rows, inputs)), x_type)
    x_stride, out_stride = inputs + gap, outputs + gap
    arguments["x"] = laid_out(x, x_type, x_stride, gap)
    if kind not in ("f32", "f8f8", "i8i8"):
        x, values = rounded(x, "bf16"), rounded(values, "bf16")
    y = x @ values.T
    if kind not in ("f32", "bf16"):
        scales = rounded((rng.random(outputs) + 0.5) / np.sqrt(inputs), "f32")
        scales *= 1e-4 if kind == "i8i8" else 1.0
        scales = rounded(scales, "f32")
        arguments["row_scales"], y = encode(scales, "f32"), y * scales
    if kind in ("f8f8", "i8i8"):
        scales = rounded(rng.random(rows) + 0.5, "f32")
        arguments["x_scales"], y = encode(scales, "f32"), y * scales[:, None]
    if rank:
        low, up = (rounded(rng.standard_normal((count, rank)) / 4, u_type) for count in (rows, outputs))
        arguments |= {"low": encode(low.reshape(-1), u_type), "up": encode(up.reshape(-1), u_type)}
        y += low @ up.T
    if has_bias:
        arguments["bias"] = encode(rng.standard_normal(outputs), "f32")
        y += arguments["bias"]
    before = rounded(rng.standard_normal((rows, outputs)), o_type)
    if finish == 3:
        arguments["gate"] = encode(rng.standard_normal(outputs), "f32")
        y = before + arguments["gate"].astype(np.float64) * y
    elif finish == 2:
        y = before + y
    elif finish == 1:
        y = gelu_tanh(y)
    arguments["out"] = laid_out(before, o_type, out_stride, gap)
    if finish < 2:
        flat, start = arguments["out"]
        flat[place_of(arguments["out"], rows, outputs, out_stride)] = poison(rows * outputs, o_type)
    arguments |= dict(
        rows=rows, outputs=outputs, inputs=inputs, x_stride=x_stride, out_stride=out_stride, rank=rank,
        has_offsets=has_offsets, has_bias=has_bias, finish=finish,
    )
    text = f"{rows}x{outputs}x{inputs} finish {finish} bias {has_bias} offsets {has_offsets} rank {rank}"
    expected = {"out": wanted(y, arguments["out"], out_stride)}
    return Case(name, text, arguments, expected, tolerance(o_type))


def products(rng):
    """Every variant with every finish, ragged sizes, gaps and ranks."""
    for name, variant in ALL.items():
        if variant.family != "product":
            continue
        kind, few, aligned = variant.constants["KIND"], ".few" in name, variant.aligned
        for finish in range(4):
            rows = (1, 5, 16, 13)[finish] if few else ((131, 290, 7, 64) if aligned else (1, 67, 130, 71))[finish]
            outputs = (272, 80, 16, 400)[finish] if aligned else (67, 131, 64, 3)[finish]
            if aligned or kind in ("i8", "u4"):
                inputs = (64, 160, 96, 288)[finish] if kind == "u4" else (48, 144, 256, 16)[finish]
            else:
                inputs = (53, 128, 1, 97)[finish]
            gap = (16, 32, 0, 48)[finish] if aligned else (3, 0, 1, 7)[finish]
            rank = (0, 5, 16, 20)[finish]
            yield product(rng, name, rows, outputs, inputs, finish, finish % 2, finish // 2, rank, gap)


def many_tiles(rng):
    """More rows of tiles than are worked on together, and a rest of them."""
    yield product(rng, "product.f32.f32.f32.few", 300, 131, 20, 0, 1, 0, 0, 1)


def attention(rng, name, queries, keys, heads, head_dim, per_head=False):
    """One attention over slices of a buffer that holds queries, keys and values side by side."""
    variant = ALL[name]
    kind, bias = variant.types["X"], variant.constants.get("BIAS", "none")
    width = heads * head_dim
    extra = 16 if variant.aligned else 5
    stride = 3 * width + extra
    stride += -stride % 16 if variant.aligned else 0
    tokens = max(queries, keys)
    all_three = rounded(rng.standard_normal((tokens, 3 * width)), kind)
    flat, _ = laid_out(all_three, kind, stride)
    q, k, v = (all_three[:, part * width :][:, :width].reshape(tokens, heads, head_dim) for part in range(3))
    scale = float(np.float32(head_dim**-0.5))
    scores = np.einsum("qhd,khd->hqk", q[:queries], k[:keys]) * scale
    arguments = {"q": (flat, 0), "k": (flat, width), "v": (flat, 2 * width)}
    if bias == "keys":
        vectors = [rng.standard_normal(count).astype(np.float32) for count in (keys, keys, queries)]
        arguments |= dict(zip(("offset", "gated", "gate"), vectors))
        offset, gated, gate = (vector.astype(np.float64) for vector in vectors)
        scores += offset[None, None] + gate[None, :, None] * gated[None, None]
    elif bias == "pairs":
        table = rng.standard_normal((heads if per_head else 1, keys, queries)).astype(np.float32)
        table[:, : keys - 1, ::3] = -np.inf  # only the last key is left
        table[:, keys // 2 + 1 :, 1::3] = -np.inf
        arguments |= {"pairs": table.reshape(-1), "pairs_stride": keys * queries if per_head else 0}
        scores = scores + table.transpose(0, 2, 1)
    weights = np.exp(scores - scores.max(axis=2, keepdims=True))
    weights /= weights.sum(axis=2, keepdims=True)
    result = np.einsum("hqk,khd->qhd", weights, v[:keys]).reshape(queries, width)
    out_stride = width + extra
    out_stride += -out_stride % 16 if variant.aligned else 0
    out = laid_out(np.full((queries, width), np.nan), kind, out_stride)
    arguments |= dict(
        out=out, queries=queries, keys=keys, heads=heads, head_dim=head_dim, q_stride=stride, k_stride=stride,
        v_stride=stride, out_stride=out_stride, scale=scale,
    )
    text = f"{queries} queries {keys} keys {heads} x {head_dim}"
    # Weights are rounded to bf16 as well.
    limit = 1.5e-2 if kind == "bf16" else 2e-5
    return Case(name, text, arguments, {"out": wanted(result, out, out_stride)}, limit)


def attentions(rng):
    """Every variant: several blocks and a rest, one key, fewer keys than a block, narrower heads."""
    for name, variant in ALL.items():
        if variant.family != "attention":
            continue
        head = int(name.split(".")[3])
        if head == 512:
            sizes = [(70, 75, 1, 512), (3, 64, 2, 264)] if variant.aligned else [(70, 75, 1, 512), (3, 1, 2, 390)]
        elif variant.aligned:
            sizes = [(140, 200, 2, head), (7, 128, 3, 72 if head == 128 else 40), (130, 1, 1, head)]
        else:
            sizes = [(70, 75, 2, head), (1, 1, 1, head), (65, 64, 3, {128: 72, 64: 37, 32: 31}[head])]
        for index, (queries, keys, heads, head_dim) in enumerate(sizes):
            yield attention(rng, name, queries, keys, heads, head_dim, per_head=index == 0)
