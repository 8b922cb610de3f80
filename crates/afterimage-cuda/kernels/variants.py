"""Which variants of the kernels there are: their types, parameters, tiles, warps and stages. `build.py` compiles what this
file lists, `interpret/` runs it."""

import importlib
from dataclasses import dataclass, field

TARGETS = ("sm_80", "sm_89", "sm_90a", "sm_100a", "sm_120a")

# Name of a number's type in `README.md` and `table.json`: name in Triton.
TYPES = {
    "f32": "fp32", "bf16": "bf16", "f16": "fp16", "i8": "i8", "u8": "u8", "f8": "fp8e4nv", "i32": "i32",
}

# What host and kernels agree on, in the order of `README.md`, whose text `build.py --check` compares with this. Letters
# stand for the types in a variant's name. No type: i32.
CONTRACT = {
    "product": "x *X, weight *W, factors *f16, offsets *f16, row_scales *f32, x_scales *f32, bias *f32, gate *f32, low *X, "
    "up *U, out *O, rows, outputs, inputs, x_stride, out_stride, rank, has_offsets, has_bias, finish",
    "attention": "q *X, k *X, v *X, out *X, offset *f32, gated *f32, gate *f32, pairs *f32, queries, keys, head_dim, "
    "q_stride, k_stride, v_stride, out_stride, pairs_stride, scale f32",
    "norm": "x *X, a *f32, b *f32, out *O, rows, cols, x_stride, out_stride, epsilon f32",
    "rotate_heads": "x *X, weight *f32, cosines *f32, sines *f32, tokens, heads, head_dim, stride, first_token, epsilon f32",
    "convolve": "input *X, weight *W, bias *f32, affine *f32, out *O, channels, height, width, out_height, out_width, "
    "outputs, kernel, step, before, double, has_affine, add",
    "group_norm.partial": "input *X, partial *f32, pixels, channels_a_group, splits",
    "group_norm.finish": "partial *f32, weight *f32, bias *f32, out *f32, channels, channels_a_group, splits, epsilon f32",
    "max_pool": "input *X, out *X, channels, height, width",
    "gather": "table *W, factors *f16, offsets *f16, row_scales *f32, ids *i32, out *O, rows, cols, out_stride, has_offsets",
    "copy": "x *X, out *O, rows, cols, x_stride, out_stride",
    "transpose": "x *X, affine *f32, out *O, rows, cols, x_stride, out_stride, has_affine, add",
    "activate": "x *X, rows, cols, stride, function",
    "combine": "y *Y, x *X, rows, cols, y_stride, x_stride, how, factor f32",
    "magnitudes.partial": "x *X, y *Y, partial *f32, rows, cols, x_stride, y_stride",
    "magnitudes.finish": "partial *f32, out *f32, rows, count f32",
    "quantise": "x *X, out *Q, scales *f32, rows, cols, stride",
    "dequantise": "x *i8, scales *f32, out *O, rows, cols, out_stride",
}

KERNELS = {
    "product": "product.product", "attention": "attention.attention", "norm": "norm.norm",
    "rotate_heads": "norm.rotate_heads", "convolve": "convolution.convolve",
    "group_norm.partial": "norm.group_norm_partial", "group_norm.finish": "norm.group_norm_finish",
    "max_pool": "convolution.max_pool", "gather": "moves.gather", "copy": "moves.copy", "transpose": "moves.transpose",
    "activate": "elementwise.activate", "combine": "elementwise.combine",
    "magnitudes.partial": "elementwise.magnitudes_partial", "magnitudes.finish": "elementwise.magnitudes_finish",
    "quantise": "quantise.quantise", "dequantise": "quantise.dequantise",
}

# Sizes that only the kernel has to know are not part of a variant's tile.
TILE_WORDS = ("ROWS", "OUTPUTS", "DEPTH", "KEYS", "HEADS", "PIXELS", "NUMBERS", "COLS")


def parameters(family, types):
    """`[(name, type)]` of a family's parameters, letters replaced by a variant's types."""
    pairs = []
    for text in CONTRACT[family].split(","):
        name, *kind = text.split()
        kind = kind[0] if kind else "i32"
        pairs.append((name, "*" + types.get(kind[1:], kind[1:]) if kind.startswith("*") else kind))
    return pairs


@dataclass
class Shape:
    """How one variant is made for one target."""

    warps: int
    stages: int
    constants: dict

    def tile(self):
        """What the host has to know of the tile's sizes."""
        return {word.lower(): self.constants[word] for word in TILE_WORDS if word in self.constants}


@dataclass
class Variant:
    """A kernel with its types; `shapes` has an entry for every target that it is compiled for."""

    name: str
    family: str
    types: dict
    constants: dict
    shapes: dict = field(default_factory=dict)
    multiples: dict = field(default_factory=dict)
    kernel_name: str = ""

    def kernel(self):
        """The Triton function."""
        module, name = (self.kernel_name or KERNELS[self.family]).split(".")
        return getattr(importlib.import_module(module), name)

    def parameters(self):
        """`[(name, type)]`"""
        return parameters(self.family, self.types)

    @property
    def aligned(self):
        """Whether it is compiled for pointers at multiples of 16 bytes."""
        return self.name.endswith(".aligned")


def everywhere(warps, stages, **constants):
    """The same shape for every target but sm_89, whose cards run what is compiled for sm_80."""
    return {target: Shape(warps, stages, constants) for target in TARGETS if target != "sm_89"}


def product_shapes(x, w, o, few, aligned):
    """Tiles of products. What is not aligned is rare and small, and compiled for modest tiles alone."""
    eight = w in ("i8i8", "f8f8")
    if w == "f32":
        shapes = everywhere(4, 2, ROWS=16 if few else 64, OUTPUTS=64, DEPTH=32 if aligned and few else 16)
    elif few:
        depth = (256 if eight else 128) if aligned else (32 if w == "f8" else 64)
        shapes = everywhere(4, 4 if aligned else 2, ROWS=16, OUTPUTS=64, DEPTH=depth)
    elif not aligned:
        shapes = everywhere(4, 2, ROWS=64, OUTPUTS=64, DEPTH=64 if w == "u4" else 32)
    else:
        # Cards of 8.6, 8.9 and 12.0 have 99 KB of shared memory for all stages together.
        if eight:
            small = Shape(8, 3, dict(ROWS=128, OUTPUTS=128, DEPTH=128 if w == "f8f8" else 64))
            large = (8, 4, 128, 256 if o == "bf16" else 128, 128)
        elif w == "bf16":
            small = Shape(8, 3, dict(ROWS=128, OUTPUTS=256 if x == o == "bf16" else 128, DEPTH=32))
            large = (8, 4, 128, 256, 64) if x == "bf16" else (8, 3, 128, 128, 64)
        else:
            small, large = Shape(8, 3, dict(ROWS=128, OUTPUTS=128, DEPTH=32)), (8, 3, 128, 128, 64)
            if w == "u4":
                small, large = Shape(8, 3, dict(ROWS=128, OUTPUTS=64, DEPTH=64)), (8, 3, 128, 128, 128)
        warps, stages, rows, outputs, depth = large
        big = Shape(warps, stages, dict(ROWS=rows, OUTPUTS=outputs, DEPTH=depth))
        shapes = {"sm_80": small, "sm_90a": big, "sm_100a": big, "sm_120a": small}
    if w == "f8f8":
        # Tensor cores of 8-bit floats: here 8.9 is no longer served by what 8.0 runs.
        shapes["sm_89"] = shapes.pop("sm_80")
    return shapes


def products():
    """`product.<X>.<W>.<O>`, `.few`, `.aligned`"""
    kinds = [(x, w, o) for x in ("f32", "bf16") for w in ("bf16", "f8", "i8", "u4") for o in ("f32", "bf16")]
    kinds += [("f32", "f32", "f32")] + [(w[:2], w, o) for w in ("i8i8", "f8f8") for o in ("f32", "bf16")]
    stored = {"f8": "u8", "u4": "u8", "i8i8": "i8", "f8f8": "f8"}
    for x, w, o in kinds:
        factor = "f32" if w == "f32" else "bf16"
        types = {"X": x, "W": stored.get(w, w), "O": o, "U": factor}
        for few in (False, True):
            for aligned in (False, True):
                name = f"product.{x}.{w}.{o}" + (".few" if few else "") + (".aligned" if aligned else "")
                multiples = dict.fromkeys(("outputs", "inputs", "x_stride", "out_stride"), 16) if aligned else {}
                constants = {"KIND": w, "ALIGNED": aligned}
                shapes = product_shapes(x, w, o, few, aligned)
                yield LowVariant(name, "product", types, constants, shapes, multiples)


class LowVariant(Variant):
    """A product, whose `low` has the type that products are made of and not that of x."""

    def parameters(self):
        """`[(name, type)]`"""
        pairs = super().parameters()
        return [(name, "*" + self.types["U"] if name == "low" else kind) for name, kind in pairs]


def attention_shapes(x, bias, head, aligned):
    """Tiles of attention: as many queries as registers allow, keys in blocks that shared memory holds twice or thrice."""
    if x == "f32":
        keys = 16 if (head, aligned) == (64, False) else 32
        return everywhere(8 if (head, aligned) == (128, False) else 4, 1, ROWS=32 if head < 128 else 16, KEYS=keys)
    if not aligned:
        shapes = everywhere(8 if head == 128 or bias == "pairs" else 4, 1, ROWS=64, KEYS=32)
        shapes["sm_120a"] = Shape(8, 1, dict(ROWS=64, KEYS=16)) if bias == "pairs" else shapes["sm_120a"]
        return shapes
    if head == 64:
        small, large = (4, 2, 64, 64), (4, 2, 64, 64 if bias == "pairs" else 128)
    else:
        small, large = (8, 3, 128, 32), (8, 2, 128, 128 if bias == "none" else 64)
    small, large = (Shape(w, s, dict(ROWS=rows, KEYS=keys)) for w, s, rows, keys in (small, large))
    shapes = {"sm_80": small, "sm_90a": large, "sm_100a": large, "sm_120a": small}
    if (bias, head) == ("pairs", 128):
        shapes["sm_100a"] = Shape(8, 2, dict(ROWS=128, KEYS=32))
    return shapes


def attentions():
    """`attention.<X>.<bias>.<head>`, `.aligned`"""
    strides = dict.fromkeys(("q_stride", "k_stride", "v_stride", "out_stride"), 16) | {"head_dim": 8}
    for x in ("f32", "bf16"):
        for head in (32, 64, 128):
            for bias in ("none", "keys", "pairs"):
                for aligned in (False, True) if head > 32 else (False,):
                    yield Variant(
                        f"attention.{x}.{bias}.{head}" + (".aligned" if aligned else ""), "attention", {"X": x},
                        {"BIAS": bias, "HEAD": head, "SPLIT": aligned and x == "bf16"},
                        attention_shapes(x, bias, head, aligned),
                        strides if aligned else {},
                    )
        for aligned in (False, True):
            if x == "f32":
                shapes = everywhere(4, 1, ROWS=32 if aligned else 16, KEYS=32 if aligned else 16, DEPTH=32,
                                    PART=128 if aligned else 64)
            elif aligned:
                shapes = everywhere(4, 2, ROWS=64, KEYS=64, DEPTH=64, PART=128)
                shapes["sm_100a"] = Shape(8, 2, shapes["sm_100a"].constants)
            else:
                shapes = everywhere(8, 1, ROWS=64, KEYS=32, DEPTH=32, PART=64)
            yield Variant(
                f"attention.{x}.none.512" + (".aligned" if aligned else ""), "attention", {"X": x}, {}, shapes,
                strides if aligned else {}, "attention.attention_wide",
            )


def others():
    """Everything that is bound by memory, and convolutions."""
    numbers = ("f32", "bf16")
    both = [(x, o) for x in numbers for o in numbers]
    for kind in ("layer", "modulated", "rms"):
        for x, o in both:
            yield Variant(f"norm.{kind}.{x}.{o}", "norm", {"X": x, "O": o}, {"KIND": kind}, everywhere(4, 1, COLS=1024))
    yield Variant("convolve.f32.f32.f32", "convolve", {"X": "f32", "W": "f32", "O": "f32"}, {"EXACT": True},
                  everywhere(4, 1, PIXELS=64, OUTPUTS=64, DEPTH=16))
    for x, o in both:
        yield Variant(f"convolve.{x}.bf16.{o}", "convolve", {"X": x, "W": "bf16", "O": o}, {"EXACT": False},
                      everywhere(8, 1, PIXELS=64, OUTPUTS=128, DEPTH=32))
        yield Variant(f"copy.{x}.{o}", "copy", {"X": x, "O": o}, {}, everywhere(4, 1, COLS=1024))
        yield Variant(f"transpose.{x}.{o}", "transpose", {"X": x, "O": o}, {}, everywhere(4, 1, ROWS=32, COLS=128))
        yield Variant(f"combine.{x}.{o}", "combine", {"Y": x, "X": o}, {}, everywhere(4, 1, COLS=1024))
        yield Variant(f"magnitudes.partial.{x}.{o}", "magnitudes.partial", {"X": x, "Y": o}, {}, everywhere(4, 1, COLS=1024))
    yield Variant("group_norm.finish", "group_norm.finish", {}, {"SPLITS": 128, "CHANNELS": 64}, everywhere(4, 1))
    yield Variant("magnitudes.finish", "magnitudes.finish", {}, {"ROWS": 1024}, everywhere(4, 1))
    for x in numbers:
        yield Variant(f"rotate_heads.{x}", "rotate_heads", {"X": x}, {}, everywhere(4, 1, HEADS=8, COLS=128))
        yield Variant(f"group_norm.partial.{x}", "group_norm.partial", {"X": x}, {}, everywhere(8, 1, NUMBERS=4096))
        yield Variant(f"max_pool.{x}", "max_pool", {"X": x}, {}, everywhere(4, 1, NUMBERS=512))
        yield Variant(f"activate.{x}", "activate", {"X": x}, {}, everywhere(4, 1, COLS=1024))
        yield Variant(f"dequantise.{x}", "dequantise", {"O": x}, {}, everywhere(4, 1, COLS=1024))
        for kind in ("i8", "f8"):
            types = {"X": x, "Q": "u8" if kind == "f8" else "i8"}
            yield Variant(f"quantise.{x}.{kind}", "quantise", types, {"KIND": kind}, everywhere(4, 1, COLS=1024))
        for kind in ("f32", "bf16", "f8", "i8", "u4"):
            types = {"W": "u8" if kind in ("f8", "u4") else kind, "O": x}
            yield Variant(f"gather.{kind}.{x}", "gather", types, {"KIND": kind}, everywhere(4, 1, COLS=1024))


def variants():
    """All of them, by name."""
    every = [*products(), *attentions(), *others()]
    found = {variant.name: variant for variant in every}
    assert len(found) == len(every), "two variants of one name"
    return found
