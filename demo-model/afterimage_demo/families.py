"""The kinds of pictures the painter knows, each with a caption that says what is in it."""

import numpy as np

from .colours import COLOUR_WORDS, any_colour, hsv, named_colour, neighbouring, palette
from .spec import CHECKS, FREQUENCY, GRADIENT, NOISE, PLAIN, PRIMITIVES, RADIAL, RADIUS_X, RADIUS_Y, SHAPES, STRIPES
from .spec import make_spec, primitive

COUNT_WORDS = {1: "a", 2: "two", 3: "three", 4: "four", 5: "five"}
UPRIGHT = np.pi / 2


def random_texture(rng, colour):
    """Texture arguments around a colour."""
    kind = int(rng.choice([PLAIN, GRADIENT, STRIPES, CHECKS, NOISE, RADIAL], p=[0.25, 0.2, 0.13, 0.07, 0.2, 0.15]))
    second = neighbouring(rng, colour) if rng.random() < 0.7 else any_colour(rng)
    return dict(colour=colour, colour_2=second, texture=kind, frequency=float(np.exp(rng.uniform(1.2, 3.2))),
                texture_angle=rng.uniform(0, np.pi))  # fmt: skip


def backdrop(rng, colour, colour_2=None, texture=None):
    """A primitive that fills the frame."""
    if texture is None:
        texture = int(rng.choice([PLAIN, GRADIENT, NOISE, RADIAL, STRIPES], p=[0.3, 0.35, 0.2, 0.1, 0.05]))
    colour_2 = neighbouring(rng, colour) if colour_2 is None else colour_2
    return primitive(0, 0, 4, shape="square", colour=colour, colour_2=colour_2, texture=texture, background=1,
                     frequency=float(np.exp(rng.uniform(0.5, 2))),
                     texture_angle=rng.choice([UPRIGHT, rng.uniform(0, np.pi)]))  # fmt: skip


def counted_shapes(rng):
    """One to five shapes of one or two kinds on a plain background: teaches counting, shape and colour words."""
    ground = rng.choice(COLOUR_WORDS)
    rows = [backdrop(rng, named_colour(rng, ground), named_colour(rng, ground), int(rng.choice([PLAIN, GRADIENT, NOISE])))]
    alike = {"red", "orange", "brown", "pink"}
    choices = [c for c in COLOUR_WORDS if c != ground and not {c, ground} <= alike]
    groups = int(rng.choice([1, 2], p=[0.65, 0.35]))
    spots = [(x, y) for x in (-0.55, 0, 0.55) for y in (-0.55, 0, 0.55)]
    rng.shuffle(spots)
    names = []
    for _ in range(groups):
        count = int(rng.integers(1, 6)) if groups == 1 else int(rng.integers(1, 3))
        colour_word, shape = rng.choice(choices), rng.choice(list(SHAPES))
        alone = groups == 1 and count == 1
        size = rng.uniform(0.35, 0.7) if alone else rng.uniform(0.17, 0.3)
        for _ in range(count):
            x, y = spots.pop()
            if alone:
                x, y = x * 0.4, y * 0.4
            colour = named_colour(rng, colour_word)
            rows.append(primitive(x + rng.normal(0, 0.05), y + rng.normal(0, 0.05), size * rng.uniform(0.85, 1.15),
                                  rotation=rng.normal(0, 0.15), shape=shape, colour=colour,
                                  colour_2=np.clip(colour * rng.uniform(0.6, 0.95), 0, 1),
                                  texture=int(rng.choice([PLAIN, GRADIENT, RADIAL]))))  # fmt: skip
        plural = "s" if count > 1 and shape != "cross" else ""
        names.append(f"{COUNT_WORDS[count]} {colour_word} {shape}{plural}")
    caption = " and ".join(names)
    if rng.random() < 0.7:
        caption += f" on a {ground} background"
    return make_spec(rng, rows, caption, "shapes")


def dead_leaves(rng):
    """Overlapping textured shapes with heavy-tailed sizes.

    Pictures of this kind share much of the statistics of photographs (Lee, Mumford and Huang 2001), which is what
    lets the autoencoder and the image tower cope with pictures that no program painted.
    """
    colours = palette(rng)
    rows = []
    largest = rng.uniform(0.25, 0.75)
    for _ in range(int(rng.integers(4, PRIMITIVES - 1))):
        size = float(np.clip(largest * rng.pareto(2.2) * 0.6 + 0.08, 0.05, 1.1))
        shape = rng.choice(list(SHAPES), p=[0.34, 0.24, 0.12, 0.04, 0.08, 0.08, 0.04, 0.04, 0.02])
        rows.append(primitive(rng.uniform(-1.05, 1.05), rng.uniform(-1.05, 1.05), size, size * np.exp(rng.normal(0, 0.45)),
                              rotation=rng.uniform(-3.1, 3.1), shape=shape,
                              rough=0.0 if rng.random() < 0.6 else rng.uniform(0.05, 0.35),
                              soft=0 if rng.random() < 0.8 else rng.uniform(0.02, 0.2),
                              alpha=1 if rng.random() < 0.85 else rng.uniform(0.4, 0.9),
                              **random_texture(rng, colours[rng.integers(len(colours))])))  # fmt: skip
    rows.sort(key=lambda row: -row[RADIUS_X] * row[RADIUS_Y])
    rows.insert(0, backdrop(rng, colours[0], colours[rng.integers(len(colours))]))
    caption = rng.choice(["abstract shapes", "an abstract painting", "a collage of shapes"])
    return make_spec(rng, rows, caption, "leaves")


def out_of_focus(rng):
    """A shaded subject before a soft, blurred background, with rough and noisy surfaces: the look of a photograph."""
    colours = [hsv(rng.random(), rng.beta(1.4, 2.5), rng.beta(2, 2)) for _ in range(4)]
    rows = [backdrop(rng, colours[0], colours[1], int(rng.choice([GRADIENT, NOISE, RADIAL])))]
    for _ in range(int(rng.integers(3, 9))):
        colour = neighbouring(rng, colours[rng.integers(4)])
        size = rng.uniform(0.15, 0.7)
        rows.append(primitive(rng.uniform(-1.1, 1.1), rng.uniform(-1.1, 1.1), size, size * np.exp(rng.normal(0, 0.5)),
                              rotation=rng.uniform(-3, 3), colour=colour, colour_2=neighbouring(rng, colour), texture=NOISE,
                              soft=rng.uniform(0.1, 0.4), alpha=rng.uniform(0.5, 1), rough=rng.uniform(0, 0.4)))  # fmt: skip
    tone = any_colour(rng)
    x, y = rng.normal(0, 0.3, 2)
    for _ in range(int(rng.integers(1, 6))):
        size = rng.uniform(0.12, 0.55)
        colour = neighbouring(rng, tone)
        rows.append(primitive(x + rng.normal(0, 0.3), y + rng.normal(0, 0.3), size, size * np.exp(rng.normal(0, 0.3)),
                              rotation=rng.uniform(-3, 3), shape=rng.choice(["circle", "flower", "square", "hexagon", "triangle"]),
                              colour=colour, colour_2=np.clip(colour * rng.uniform(0.3, 0.7), 0, 1),
                              texture=int(rng.choice([GRADIENT, NOISE, RADIAL])), texture_angle=rng.uniform(0, np.pi),
                              frequency=rng.uniform(2, 9), rough=rng.uniform(0, 0.2), soft=rng.uniform(0, 0.05)))  # fmt: skip
    return make_spec(rng, rows, rng.choice(["a photo", "a blurred background", "a soft picture"]), "photo")


def checked_texture(rng):
    """Two colours in stripes, checks, clouds, a gradient or dots."""
    first, second = rng.choice(COLOUR_WORDS, 2, replace=False)
    kind = rng.choice(["stripes", "checks", "clouds", "gradient", "dots"])
    if kind == "dots":
        colour, size = named_colour(rng, second), rng.uniform(0.1, 0.2)
        rows = [backdrop(rng, named_colour(rng, first), texture=PLAIN)]
        rows += [primitive(-0.75 + 0.5 * (i % 4), -0.75 + 0.5 * (i // 4), size, colour=colour) for i in range(16)]
        return make_spec(rng, rows, f"{second} dots on a {first} background", "texture")
    texture = {"stripes": STRIPES, "checks": CHECKS, "clouds": NOISE, "gradient": GRADIENT}[kind]
    row = backdrop(rng, named_colour(rng, first), named_colour(rng, second), texture)
    row[FREQUENCY] = rng.uniform(1, 2.5) if kind == "gradient" else float(np.exp(rng.uniform(1.2, 2.6)))
    return make_spec(rng, [row], f"{first} and {second} {kind}", "texture")
