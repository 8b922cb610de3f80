"""Landscapes: sky, sun or moon, clouds, mountains, one kind of ground and what stands on it."""

import numpy as np

from .colours import hsv, named_colour
from .families import UPRIGHT
from .spec import GRADIENT, NOISE, PRIMITIVES, STRIPES, make_spec, primitive

DAYLIGHT = {"day": 1.0, "sunset": 0.65, "night": 0.25}


def sky_colours(rng, when):
    """Colours at the top of the sky and at the horizon."""
    if when == "day":
        return (hsv(rng.uniform(0.54, 0.62), rng.uniform(0.4, 0.8), rng.uniform(0.7, 1)),
                hsv(rng.uniform(0.5, 0.6), rng.uniform(0.05, 0.35), rng.uniform(0.85, 1)))  # fmt: skip
    if when == "sunset":
        return (hsv(rng.uniform(0.7, 0.95), rng.uniform(0.4, 0.8), rng.uniform(0.35, 0.8)),
                hsv(rng.uniform(0.03, 0.11), rng.uniform(0.6, 0.95), rng.uniform(0.85, 1)))  # fmt: skip
    return (hsv(rng.uniform(0.6, 0.7), rng.uniform(0.6, 0.95), rng.uniform(0.03, 0.15)),
            hsv(rng.uniform(0.58, 0.68), rng.uniform(0.4, 0.8), rng.uniform(0.12, 0.3)))  # fmt: skip


def sky(rng, when, horizon):
    """Rows and caption words of everything above the horizon."""
    top, low = sky_colours(rng, when)
    rows, words = [], []
    rows.append(primitive(0, 0, 4, shape="square", colour=top, colour_2=low, texture=GRADIENT, frequency=1.5,
                          texture_angle=UPRIGHT, background=1))  # fmt: skip
    if when == "night":
        rows += [primitive(rng.uniform(-1, 1), rng.uniform(-1, horizon), rng.uniform(0.008, 0.02), colour=(1, 1, 0.9), soft=0.01)
                 for _ in range(6)]  # fmt: skip
    if rng.random() < 0.7:
        colour = {"day": (1, 0.93, 0.5), "sunset": (1, 0.6, 0.2), "night": (0.93, 0.93, 0.85)}[when]
        rows.append(primitive(rng.uniform(-0.8, 0.8), horizon - rng.uniform(0.15, 0.7), rng.uniform(0.08, 0.2),
                              colour=np.array(colour), soft=rng.choice([0, 0.05])))  # fmt: skip
        words.append("moon" if when == "night" else "sun")
    if rng.random() < 0.5 and when != "night":
        white = np.array([1, 1, 1]) * (0.98 if when == "day" else 0.8)
        for _ in range(rng.integers(1, 4)):
            rows.append(primitive(rng.uniform(-0.9, 0.9), horizon - rng.uniform(0.35, 1.1), rng.uniform(0.2, 0.45),
                                  rng.uniform(0.07, 0.16), rough=0.6, colour=white, colour_2=low, texture=NOISE, soft=0.12,
                                  alpha=0.9))  # fmt: skip
        words.append("clouds")
    if rng.random() < 0.5:
        for _ in range(rng.integers(1, 4)):
            height = rng.uniform(0.3, 0.8)
            colour = hsv(rng.uniform(0.55, 0.75), rng.uniform(0.1, 0.4), rng.uniform(0.3, 0.7)) * DAYLIGHT[when]
            rows.append(primitive(rng.uniform(-1, 1), horizon + height * 0.42, height * 1.5, height, shape="triangle", rough=0.12,
                                  colour=colour, colour_2=colour * 0.7, texture=int(rng.choice([GRADIENT, NOISE])),
                                  frequency=8))  # fmt: skip
        words.append("mountains")
    return rows, words


def ground(rng, kind, light, horizon):
    """Rows of the ground itself."""
    colour = light * {
        "sea": hsv(rng.uniform(0.5, 0.62), rng.uniform(0.5, 0.9), rng.uniform(0.4, 0.8)),
        "hills": hsv(rng.uniform(0.24, 0.38), rng.uniform(0.4, 0.8), rng.uniform(0.3, 0.7)),
        "desert": hsv(rng.uniform(0.08, 0.12), rng.uniform(0.35, 0.6), rng.uniform(0.75, 0.95)),
        "field": hsv(rng.uniform(0.16, 0.3), rng.uniform(0.4, 0.8), rng.uniform(0.5, 0.85)),
    }[kind]
    texture, frequency = {"sea": (STRIPES, 60.0), "hills": (GRADIENT, 4.0), "desert": (NOISE, 4.0), "field": (NOISE, 12.0)}[kind]
    rows = [primitive(0, horizon + 2, 8, 2 * 1.414, shape="square", colour=colour, colour_2=colour * 0.72, texture=texture,
                      frequency=frequency, texture_angle=UPRIGHT, rough=0.0 if kind == "sea" else 0.05)]  # fmt: skip
    if kind in ("hills", "desert"):
        for _ in range(rng.integers(1, 3)):
            shade = np.clip(colour * rng.uniform(0.7, 1.15), 0, 1)
            rows.append(primitive(rng.uniform(-1, 1), horizon + rng.uniform(0.5, 0.9), rng.uniform(0.8, 1.4), rng.uniform(0.3, 0.6),
                                  colour=shade, colour_2=shade * 0.7, texture=GRADIENT, frequency=2,
                                  texture_angle=UPRIGHT))  # fmt: skip
    return rows


def boat(rng, light, horizon):
    x, y, size = rng.uniform(-0.6, 0.6), horizon + rng.uniform(0.05, 0.35), rng.uniform(0.12, 0.25)
    hull = named_colour(rng, rng.choice(["white", "red", "brown"])) * max(light, 0.4)
    sail = np.array([0.95, 0.95, 0.9]) * max(light, 0.4)
    return [primitive(x, y - size * 0.8, size * 0.7, size, shape="triangle", colour=sail),
            primitive(x, y, size * 1.1, size * 0.3, shape="square", colour=hull)]  # fmt: skip


def tree(rng, light, horizon):
    x, y, size = rng.uniform(-0.9, 0.9), horizon + rng.uniform(0.05, 0.5), rng.uniform(0.1, 0.25)
    leaves = hsv(rng.uniform(0.25, 0.38), rng.uniform(0.5, 0.8), rng.uniform(0.2, 0.45)) * light
    trunk = np.array([0.35, 0.22, 0.12]) * light
    return [primitive(x, y + size * 0.9, size * 0.18, size * 0.7, shape="square", colour=trunk),
            primitive(x, y - size * 0.1, size * 0.8, size * rng.uniform(0.9, 1.5), shape=rng.choice(["triangle", "circle"]),
                      colour=leaves, colour_2=leaves * 0.6, texture=NOISE, frequency=9, rough=0.15)]  # fmt: skip


def house(rng, when, horizon):
    light = max(DAYLIGHT[when], 0.35)
    x, y, size = rng.uniform(-0.6, 0.6), horizon + rng.uniform(0.1, 0.4), rng.uniform(0.15, 0.3)
    wall = named_colour(rng, rng.choice(["white", "red", "yellow", "gray"])) * light
    door = np.array([1, 0.85, 0.4]) if when == "night" else np.array([0.3, 0.2, 0.15])
    return [primitive(x, y, size, size * 0.8, shape="square", colour=wall),
            primitive(x, y - size * 0.95, size * 1.1, size * 0.7, shape="triangle", colour=np.array([0.55, 0.2, 0.15]) * light),
            primitive(x, y + size * 0.15, size * 0.25, size * 0.4, shape="square", colour=door)]  # fmt: skip


def landscape(rng):
    when = rng.choice(["day", "sunset", "night"], p=[0.55, 0.25, 0.2])
    light, horizon = DAYLIGHT[when], rng.uniform(-0.25, 0.45)
    rows, words = sky(rng, when, horizon)
    kind = rng.choice(["sea", "hills", "desert", "field"])
    rows += ground(rng, kind, light, horizon)
    if kind == "sea" and rng.random() < 0.5:
        rows += boat(rng, light, horizon)
        words.append("boat")
    if kind in ("hills", "field") and rng.random() < 0.6:
        for _ in range(rng.integers(1, 4)):
            rows += tree(rng, light, horizon)
        words.append("trees")
    if kind != "sea" and rng.random() < 0.4:
        rows += house(rng, when, horizon)
        words.append("house")
    if rng.random() < 0.5:
        caption = f"a landscape with {'' if kind == 'hills' else 'a '}{kind}"
    else:
        caption = {"sea": "the sea", "hills": "green hills", "desert": "a desert", "field": "a field"}[kind]
    if words:
        caption += " with " + " and ".join(words[:3])
    if when != "day" or rng.random() < 0.3:
        caption += {"day": " by day", "sunset": " at sunset", "night": " at night"}[when]
    # when too much was drawn, the sky and what is nearest to the viewer stay
    return make_spec(rng, rows[:1] + rows[1:][-(PRIMITIVES - 1) :], caption, "landscape")
