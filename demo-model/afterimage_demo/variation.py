"""Variations of a picture (the painter's idea of what Redux should do) and restyling words."""

from dataclasses import replace

import numpy as np

from .colours import COLOUR_WORDS, TINT_WORDS, named_colour
from .families import checked_texture, counted_shapes, dead_leaves, out_of_focus
from .landscapes import landscape
from .spec import (ALIVE, BACKGROUND, CENTRE_X, CENTRE_Y, FREQUENCY, GRADIENT, PRIMITIVES, RADIUS_X, RADIUS_Y, RED_1, RED_2,
                   ROTATION, TEXTURE, TEXTURE_ANGLE)  # fmt: skip

FAMILIES = [(dead_leaves, 0.28), (counted_shapes, 0.28), (landscape, 0.22), (out_of_focus, 0.12), (checked_texture, 0.10)]

# pixel operation -> wordings of the prompt that asks for it
STYLE_WORDS = {
    "night": ["night", "at night", "a night scene", "in the night"],
    "sunset": ["sunset", "at sunset", "golden hour", "evening light"],
    "gray": ["black and white", "grayscale", "monochrome"],
    "sepia": ["sepia", "vintage", "old photo"],
    "invert": ["inverted colours", "negative"],
    "mosaic": ["mosaic", "pixel art", "pixelated"],
    "sketch": ["sketch", "pencil drawing", "line drawing"],
    "vivid": ["vivid", "vibrant colours", "saturated"],
    "pastel": ["pastel", "pastel colours", "soft colours"],
    "dark": ["dark", "darker"],
    "bright": ["bright", "brighter"],
    "fog": ["fog", "misty", "in the fog"],
    "blur": ["blurry", "soft focus"],
    "poster": ["poster", "flat colours"],
    "neon": ["neon", "glowing neon"],
    "winter": ["winter", "snow", "in winter"],
}
FREQUENT = ("night", "sunset", "gray", "sketch", "winter")
_SHARES = np.array([3.0 if style in FREQUENT else 1.0 for style in STYLE_WORDS])
_SHARES /= _SHARES.sum()
TINT_SHARE = 0.4
# spreads of a variation's light: of all colours together (logarithmic, and an offset) and of each surface
EXPOSURE, TINT, HAZE, LOCAL_LIGHT = 0.14, 0.08, 0.02, 0.025
FADED_FAMILIES, FADED_SHARE = ("leaves", "landscape", "photo"), 0.35
CAPTION_PREFIXES = ["", "", "", "a picture of ", "an image of ", "a photo of ", "a drawing of ", "a painting of "]


def sample_spec(rng):
    """A picture nobody has seen."""
    shares = [share for _, share in FAMILIES]
    return FAMILIES[rng.choice(len(FAMILIES), p=shares)][0](rng)


def perturb(rng, spec, amount=1.0):
    """A variation: same layout and shapes in another light, different in the details.

    The specification is perturbed, not the finished picture, so that a copy is never the right answer. Nothing is
    mirrored: variations are to keep the layout. Most of the difference is light and colour: a small model makes ragged
    outlines of shapes whose place it has to choose, token by token.
    """
    table = spec.primitives.copy()
    movable = (table[:, ALIVE] > 0) & (table[:, BACKGROUND] == 0)
    reach = np.clip(table[:, RADIUS_X] / 0.3, 0.3, 1)  # small shapes move less
    wide = table[:, RADIUS_X] > 3  # ground planes keep their place
    jitter = np.where(wide, 0.02, 0.06 * reach) * amount
    table[:, CENTRE_X] += movable * rng.normal(0, 1, PRIMITIVES) * np.where(wide, 0, jitter)
    table[:, CENTRE_Y] += movable * rng.normal(0, 1, PRIMITIVES) * jitter
    table[:, RADIUS_X] *= np.exp(movable * rng.normal(0, 0.1 * amount, PRIMITIVES))
    table[:, RADIUS_Y] *= np.exp(movable * ~wide * rng.normal(0, 0.1 * amount, PRIMITIVES))
    table[:, ROTATION] += movable * ~wide * rng.normal(0, 0.12 * amount, PRIMITIVES)
    table[:, TEXTURE_ANGLE] += rng.normal(0, 0.08 * amount, PRIMITIVES) * (table[:, TEXTURE] != GRADIENT)
    table[:, FREQUENCY] *= np.exp(rng.normal(0, 0.12 * amount, PRIMITIVES))
    lightness = np.repeat(rng.normal(0, LOCAL_LIGHT, (PRIMITIVES, 2, 1)), 3, 2).reshape(PRIMITIVES, 6)
    light = np.exp(rng.normal(0, EXPOSURE) + np.tile(rng.normal(0, TINT, 3), 2))
    colours = (table[:, RED_1 : RED_2 + 3] + HAZE * rng.normal()) * light + lightness + rng.normal(0, 0.01, (PRIMITIVES, 6))
    table[:, RED_1 : RED_2 + 3] = colours.clip(0, 1)
    if spec.family in ("leaves", "photo"):
        table[:, ALIVE] *= 1 - (movable & (table[:, RADIUS_X] < 0.25) & (rng.random(PRIMITIVES) < 0.15 * amount))
    zoom, shift = np.exp(rng.normal(0, 0.05 * amount)), rng.normal(0, 0.035 * amount, 2)
    table[:, CENTRE_X] = np.where(movable, table[:, CENTRE_X] * zoom + shift[0], table[:, CENTRE_X])
    table[:, CENTRE_Y] = np.where(movable, table[:, CENTRE_Y] * zoom + shift[1], table[:, CENTRE_Y])
    sizes = table[:, [RADIUS_X, RADIUS_Y]]
    table[:, [RADIUS_X, RADIUS_Y]] = np.where((movable & ~wide)[:, None], sizes * zoom, sizes)
    keep = 1 - 0.154 * amount**2  # the noise keeps its variance
    noise = spec.noise * np.sqrt(keep) + rng.normal(size=spec.noise.shape).astype(np.float32) * np.sqrt(1 - keep)
    return replace(spec, primitives=table, noise=noise.astype(np.float32))


def faded(rng, spec):
    """The same picture with less contrast, for a share of the families whose captions hardly name colours.

    Photographs hold much of what they show in small differences of lightness; the painter's own pictures rarely do.
    """
    if spec.family not in FADED_FAMILIES or rng.random() > FADED_SHARE:
        return spec
    table = spec.primitives.copy()
    colours = table[:, RED_1 : RED_2 + 3].reshape(PRIMITIVES, 2, 3)
    middle = colours[table[:, ALIVE] > 0].mean((0, 1))
    table[:, RED_1 : RED_2 + 3] = (middle + (colours - middle) * rng.uniform(0.2, 0.8)).reshape(PRIMITIVES, 6)
    return replace(spec, primitives=table)


def with_background(rng, spec, word):
    """The same shapes on a background of another colour."""
    table = spec.primitives.copy()
    table[0, RED_1 : RED_1 + 3], table[0, RED_2 : RED_2 + 3] = named_colour(rng, word), named_colour(rng, word)
    return replace(spec, primitives=table)


def background_request(rng):
    """A colour word and a prompt that asks for it as background."""
    word = str(rng.choice(COLOUR_WORDS))
    return word, str(rng.choice([f"on a {word} background", f"{word} background"]))


def style_request(rng):
    """A restyling: (pixel operation, its colour, prompt)."""
    if rng.random() < TINT_SHARE:
        word = str(rng.choice(TINT_WORDS))
        prompt = str(rng.choice([word, f"{word} colours", f"in {word}", f"{word} tones"]))
        return "tint", named_colour(rng, word), prompt
    style = str(rng.choice(list(STYLE_WORDS), p=_SHARES))
    return style, np.zeros(3), str(rng.choice(STYLE_WORDS[style]))


def prompt_corpus(count=4000, seed=0):
    """Prompts as they occur in training, for building the vocabularies."""
    rng = np.random.default_rng(seed)
    corpus = []
    for index in range(count):
        caption = str(rng.choice(CAPTION_PREFIXES)) + sample_spec(rng).caption
        request = style_request(rng)[2] if index % 2 else background_request(rng)[1]
        corpus.append(f"{caption}, {request}")
    return corpus + [word for words in STYLE_WORDS.values() for word in words]
