"""What a launch is, without anything that runs it: numbers as bits, and grids. For the interpreter and for a driver's own
script (`bench/gpu/card.py`)."""

import numpy as np

NUMPY = {
    "f32": np.float32, "bf16": np.uint16, "f16": np.float16, "i8": np.int8, "u8": np.uint8, "f8": np.uint8,
    "i32": np.int32,
}


def to_bf16(values):
    """f32 to the bits of bf16, to nearest, halves to even."""
    values = np.ascontiguousarray(values, np.float32)
    bits = values.view(np.uint32)
    rounded = ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16(0x7FC0), rounded)


def from_bf16(bits):
    """The bits of bf16 to f32."""
    return (np.ascontiguousarray(bits, np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32)


def e4m3_table():
    """The values of all 256 codes."""
    code = np.arange(256)
    exponent, fraction = code >> 3 & 15, code & 7
    value = np.where(exponent == 0, fraction / 512.0, (8 + fraction) / 8.0 * 2.0 ** (exponent - 7.0))
    value[(code & 127) == 127] = np.nan
    return np.where(code & 128, -value, value).astype(np.float32)


E4M3 = e4m3_table()


def cdiv(a, b):
    """Division, rounded up."""
    return -(-a // b)


GRIDS = {
    "product": lambda t, a: (cdiv(a["rows"], t["rows"]) * cdiv(a["outputs"], t["outputs"]),),
    "attention": lambda t, a: (cdiv(a["queries"], t["rows"]), a["heads"]),
    "norm": lambda t, a: (a["rows"],),
    "rotate_heads": lambda t, a: (a["tokens"], cdiv(a["heads"], t["heads"])),
    "convolve": lambda t, a: (cdiv(a["out_height"] * a["out_width"], t["pixels"]), cdiv(a["outputs"], t["outputs"])),
    "group_norm.partial": lambda t, a: (a["groups"], a["splits"]),
    "group_norm.finish": lambda t, a: (a["channels"] // a["channels_a_group"],),
    "max_pool": lambda t, a: (cdiv(a["channels"] * (a["height"] // 2) * (a["width"] // 2), t["numbers"]),),
    "transpose": lambda t, a: (cdiv(a["rows"], t["rows"]), cdiv(a["cols"], t["cols"])),
    "magnitudes.partial": lambda t, a: (a["rows"],),
    "magnitudes.finish": lambda t, a: (1,),
    "quantise": lambda t, a: (a["rows"],),
}


def grid_of(family, tile, arguments):
    """The grid of a launch: by its family, or a row and some of its columns for each block."""
    usual = lambda t, a: (a["rows"], cdiv(a["cols"], t["cols"]))  # noqa: E731
    return GRIDS.get(family, usual)(tile, arguments)
