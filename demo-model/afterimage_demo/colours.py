"""Colour words and random palettes. Colours are RGB triples in 0..1; hues are in turns."""

import numpy as np

# word -> (hue from, hue to, saturation from, to, value from, to)
COLOUR_RANGES = {
    "red": (-0.02, 0.02, 0.75, 1, 0.65, 1),
    "orange": (0.06, 0.09, 0.8, 1, 0.85, 1),
    "yellow": (0.13, 0.165, 0.75, 1, 0.85, 1),
    "green": (0.28, 0.40, 0.6, 1, 0.4, 0.85),
    "cyan": (0.48, 0.53, 0.6, 1, 0.75, 1),
    "blue": (0.58, 0.66, 0.65, 1, 0.55, 1),
    "purple": (0.74, 0.80, 0.5, 0.9, 0.45, 0.9),
    "pink": (0.88, 0.94, 0.35, 0.6, 0.9, 1),
    "brown": (0.05, 0.08, 0.55, 0.8, 0.3, 0.5),
    "white": (0, 1, 0, 0.05, 0.93, 1),
    "black": (0, 1, 0, 0.2, 0.02, 0.12),
    "gray": (0, 1, 0, 0.06, 0.4, 0.65),
}
COLOUR_WORDS = list(COLOUR_RANGES)
TINT_WORDS = ["red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "brown"]


def hsv(hue, saturation, value):
    """RGB of a hue (turns), saturation and value."""
    sector = (np.array([5.0, 3.0, 1.0]) + (hue % 1) * 6) % 6
    return value - value * saturation * np.clip(np.minimum(sector, 4 - sector), 0, 1)


def named_colour(rng, word):
    """A random shade that a person would call by this word."""
    h0, h1, s0, s1, v0, v1 = COLOUR_RANGES[word]
    return hsv(rng.uniform(h0, h1), rng.uniform(s0, s1), rng.uniform(v0, v1))


def any_colour(rng, hue=None):
    """A random colour, near a hue if one is given."""
    if hue is None:
        return hsv(rng.random(), rng.beta(1.6, 1.6), rng.beta(2.2, 1.4))
    return hsv(hue + rng.normal(0, 0.05), rng.beta(2, 1.6), rng.beta(2.2, 1.4))


def palette(rng):
    """Three to six related colours: one hue, complementary, neighbouring or triadic, with a few strangers."""
    base = rng.random()
    offsets = [[0], [0, 0.5], [0, 0.08, -0.08], [0, 0.33, 0.66]][rng.integers(4)]
    return [
        any_colour(rng, base + offsets[rng.integers(len(offsets))]) if rng.random() < 0.9 else any_colour(rng)
        for _ in range(rng.integers(3, 7))
    ]


def neighbouring(rng, colour, spread=0.18):
    """Another shade of a colour."""
    return np.clip(colour * rng.uniform(0.6, 1.25) + rng.normal(0, spread * 0.4, 3), 0, 1)
