"""The description of a picture: a table of primitives painted back to front.

A primitive is one row of numbers. One signed-distance formula (see `painting.py`) turns it into a circle, polygon,
star, flower, cross, ring, ridge or cloud. Positions are relative to the frame (-1..1 on both axes), sizes to the root
of its area, so that the same description can be painted at any aspect ratio.
"""

import math
from dataclasses import dataclass

import numpy as np

PRIMITIVES = 20
(
    ALIVE, CENTRE_X, CENTRE_Y, RADIUS_X, RADIUS_Y, ROTATION, SIDES, INNER, OFFSET, RING, ROUGH,
    RED_1, GREEN_1, BLUE_1, RED_2, GREEN_2, BLUE_2, TEXTURE, FREQUENCY, TEXTURE_ANGLE, ALPHA, ROUND, SOFT, BACKGROUND,
) = range(24)  # fmt: skip
FIELDS = 24

PLAIN, GRADIENT, STRIPES, CHECKS, NOISE, RADIAL = range(6)

# word -> (sides, inner radius or 0 for a regular polygon, angle offset, share of the circle blended in)
SHAPES = {
    "circle": (12, 0, 0, 1),
    "square": (4, 0, math.pi / 4, 0),
    "triangle": (3, 0, math.pi / 2, 0),
    "star": (5, 0.42, math.pi / 2, 0),
    "hexagon": (6, 0, 0, 0),
    "diamond": (4, 0, 0, 0),
    "ring": (12, 0, 0, 1),
    "flower": (7, 0.62, 0, 0.35),
    "cross": (4, 0.38, 0, 0),
}


@dataclass(frozen=True)
class Spec:
    """A picture before it is painted."""

    primitives: np.ndarray  # [PRIMITIVES, FIELDS], float32
    noise: np.ndarray  # [2, 6, 6] coarse noise behind rough edges and noise textures
    caption: str
    family: str
    vignette: float


def primitive(x=0.0, y=0.0, radius=0.3, radius_y=None, *, rotation=0.0, shape="circle", colour=(0, 0, 0), colour_2=None,
              texture=PLAIN, frequency=6.0, texture_angle=0.0, ring=0.0, rough=0.0, alpha=1.0, soft=0.0, background=0.0):
    """One row of the table."""  # fmt: skip
    sides, inner, offset, roundness = SHAPES[shape]
    if shape == "ring" and not ring:
        ring = 0.22
    colour_2 = colour if colour_2 is None else colour_2
    return np.array(
        [1, x, y, radius, radius if radius_y is None else radius_y, rotation, sides, inner or math.cos(math.pi / sides),
         offset, ring, rough, *colour, *colour_2, texture, frequency, texture_angle, alpha, roundness, soft, background],
        np.float32,
    )  # fmt: skip


def make_spec(rng, rows, caption, family):
    """Collect rows into a spec; rows that do not fit are dropped from the front-most end."""
    table = np.zeros((PRIMITIVES, FIELDS), np.float32)
    rows = rows[:PRIMITIVES]
    table[: len(rows)] = np.stack(rows)
    noise = rng.normal(size=(2, 6, 6)).astype(np.float32)
    vignette = float(rng.uniform(0, 0.4)) if rng.random() < 0.3 else 0.0
    return Spec(table, noise, str(caption), family, vignette)
