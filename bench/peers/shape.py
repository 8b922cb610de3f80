"""The models that are measured, and the operations that they take. Standard library only."""

import json
from pathlib import Path

HEAD = 128
CONTEXT, POOLED, CHANNELS = 4096, 768, 64
AXES = (16, 56, 56)
# FLUX.1's width in `flux`; `medium` is what `afterimage bench --preset medium` has; `tiny` is for dry runs and for
# measuring a VAE beside a transformer that takes no time. The head keeps its 128 numbers, which programs take for granted.
SHAPES = {
    "flux": {"heads": 24, "double": 2, "single": 4},
    "medium": {"heads": 8, "double": 4, "single": 8},
    "tiny": {"heads": 2, "double": 1, "single": 2},
}
WHOLE_FLUX = {"heads": 24, "double": 19, "single": 38}
VAE_WIDTHS = (128, 256, 512, 512)
NARROW_VAE_WIDTHS = (32, 32, 32, 32)
MARKER = "shape.json"  # written last, so that a half-made folder is not used

TEXT, REDUX = 512, 729


def shape_of(folder):
    return json.loads((Path(folder) / MARKER).read_text(encoding="utf-8"))


def image_tokens(side):
    return (side // 16) ** 2


def step_gflop(shape, context, image):
    """Billions of operations (a multiply-add counts two) of one evaluation as diffusers does it: all tokens through all blocks."""
    hidden, tokens = shape["heads"] * HEAD, context + image
    linear = 2 * 12 * hidden * hidden * tokens
    attention = 4 * hidden * tokens * tokens
    ends = 2 * image * hidden * 2 * CHANNELS
    return ((shape["double"] + shape["single"]) * (linear + attention) + ends) / 1e9


def needed_gflop(shape, context, image):
    """The same without what the result does not depend on: the last single block's context rows beyond their keys and values."""
    hidden, tokens = shape["heads"] * HEAD, context + image
    spared = 2 * context * 9 * hidden * hidden + 4 * hidden * context * tokens
    return step_gflop(shape, context, image) - spared / 1e9


def needed_attention_gflop(shape, context, image):
    """The part of `needed_gflop` that is attention."""
    hidden, tokens = shape["heads"] * HEAD, context + image
    whole = (shape["double"] + shape["single"] - 1) * tokens
    return 4 * hidden * tokens * (whole + image) / 1e9


def to_whole_depth(shape, context, image):
    """What a step that leaves out superfluous rows has to be multiplied by before it is compared.

    Afterimage leaves them out in the last block; that spares several percent of the six blocks of the slice, but less than one
    percent of FLUX's 57. A ratio is given as it would be there.
    """
    part = lambda model: step_gflop(model, context, image) / needed_gflop(model, context, image)  # noqa: E731
    return part(shape) / part({**WHOLE_FLUX, "heads": shape["heads"]})


def decode_gflop(side, widths=VAE_WIDTHS):
    """Billions of operations of a VAE decode as diffusers does it."""
    def convolution(pixels, inputs, outputs, taps=9):
        return 2 * pixels * inputs * outputs * taps

    def residual(pixels, inputs, outputs):
        shortcut = convolution(pixels, inputs, outputs, 1) if inputs != outputs else 0
        return convolution(pixels, inputs, outputs) + convolution(pixels, outputs, outputs) + shortcut

    pixels, width = (side // 8) ** 2, widths[-1]
    sum_ = convolution(pixels, 16, width) + 2 * residual(pixels, width, width)
    sum_ += 4 * convolution(pixels, width, width, 1) + 4 * pixels * pixels * width
    for index, outputs in enumerate(reversed(widths)):
        sum_ += residual(pixels, width, outputs) + 2 * residual(pixels, outputs, outputs)
        width = outputs
        if index < len(widths) - 1:
            pixels *= 4
            sum_ += convolution(pixels, width, width)
    return (sum_ + convolution(pixels, width, 3)) / 1e9
