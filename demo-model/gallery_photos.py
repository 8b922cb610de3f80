"""Photograph-like pictures for the gallery, computed from noise as `docs/photos/make_photo.py` computes its lake."""

import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image

PLACE = Path(__file__).resolve().parent / "../docs/photos/make_photo.py"
_module = importlib.util.spec_from_file_location("make_photo", PLACE)
photo = importlib.util.module_from_spec(_module)
_module.loader.exec_module(photo)

SCALE = 2  # rendered larger and shrunk: smooth edges


def developed(light, seed):
    """Tone curve and grain of linear light, shrunk."""
    height, width = light.shape[0] // SCALE, light.shape[1] // SCALE
    light = light.reshape(height, SCALE, width, SCALE, 3).mean((1, 3))
    value = np.where(light <= 0.0031308, light * 12.92, 1.055 * np.clip(light, 1e-6, 1) ** (1 / 2.4) - 0.055)
    value = value + np.random.default_rng(seed).standard_normal(value.shape) * 0.008
    return Image.fromarray(np.clip(np.rint(value * 255), 0, 255).astype(np.uint8))


def plane(width, height):
    y, x = np.mgrid[0 : height * SCALE, 0 : width * SCALE].astype(np.float32)
    return x / (width * SCALE), y / (height * SCALE), width / height


def flat(colour, like):
    return np.broadcast_to(photo.rgb(colour), (*like.shape, 3))


def clouds(x, y, seed):
    density = photo.fractal(x * 3 + 4, y * 7 + 2, seed, 6)
    return photo.smooth(0.5, 0.75, density)


def dunes():
    """Sand under a clear sky, low sun from the left."""
    x, y, _ = plane(640, 480)
    image = photo.mix(flat("#a9d3ea", x), photo.rgb("#2f76b8"), 1 - y / 0.5)
    for index, (base, height) in enumerate(((0.50, 0.10), (0.60, 0.16), (0.74, 0.20), (0.95, 0.24))):
        line = base - height * photo.fractal(x * (1.1 + 0.3 * index) + 5 * index, np.full_like(x, 3.0 * index), 60 + index, 3)
        across = x * 1.3 + 0.9 * (y - line) + 0.25 * photo.fractal(x * 3, y * 5, 70 + index, 3)
        shade = photo.smooth(0.42, 0.5, np.abs(across * 1.6 % 1 - 0.5) * 2)
        ripples = photo.fractal(x * 70, (y - line) * 260, 80 + index, 2) - 0.5
        sand = photo.mix(flat("#e9b26b", x), photo.rgb("#8a4c23"), 0.75 * shade) * (1 + 0.25 * ripples[..., None])
        air = 0.45 - 0.14 * index
        image = photo.mix(image, photo.mix(sand, photo.rgb("#c9cfd0"), np.full_like(x, air)), photo.smooth(0, 0.003, y - line))
    return developed(image, 1)


def fruit():
    """Three round fruits on a table in front of a dark wall, window light from the left."""
    x, y, aspect = plane(480, 480)
    wall = flat("#3c4a48", x) * (1.15 - 0.9 * x[..., None]) * (0.85 + 0.3 * photo.fractal(x * 4, y * 4, 5, 5)[..., None])
    wood = flat("#8a5a35", x) * (0.6 + 0.7 * photo.fractal(x * 2, y * 45, 9, 4)[..., None]) * (1.3 - 0.8 * x[..., None])
    image = photo.mix(wall, wood, photo.smooth(0.63, 0.64, y))
    towards = np.array([-0.62, -0.55, 0.56])
    for colour, centre_x, centre_y, radius, seed in (
        ("#e8862a", 0.66, 0.57, 0.15, 1), ("#5d9432", 0.30, 0.60, 0.17, 2), ("#b3202a", 0.50, 0.71, 0.14, 3),
    ):  # fmt: skip
        shadow = np.hypot((x - centre_x - 0.13) * 0.55, (y - centre_y - radius * 0.85) * 2.2) / radius
        image = image * (1 - 0.75 * photo.smooth(1.0, 0.25, shadow) * (y > 0.635))[..., None]
        dx, dy = (x - centre_x) * aspect / radius, (y - centre_y) / radius
        depth = np.sqrt(np.clip(1 - dx * dx - dy * dy, 0, 1))
        light = np.clip(dx * towards[0] + dy * towards[1] + depth * towards[2], 0, 1)
        shine = np.clip(2 * light * depth - towards[2], 0, 1) ** 40
        skin = photo.rgb(colour) * (0.8 + 0.4 * photo.fractal(dx * 6 + 9, dy * 6, 40 + seed, 4)[..., None])
        ball = skin * (0.10 + 1.15 * light[..., None]) + 0.7 * shine[..., None]
        image = photo.mix(image, ball, photo.smooth(1.0, 0.985, np.hypot(dx, dy)))
    return developed(image, 2)


def bay():
    """A white sail on a turquoise bay, a green headland, cumulus clouds."""
    x, y, aspect = plane(640, 400)
    image = photo.mix(flat("#bfe0ee", x), photo.rgb("#3f8fd0"), 1 - y / 0.5)
    image = photo.mix(image, flat("#ffffff", x) * 0.95, clouds(x, y, 20) * photo.smooth(0.5, 0.3, y))
    depth = 1 / np.maximum(y - 0.48, 0.012)
    waves = photo.fractal((x - 0.5) * depth * 1.4 + 9, depth * 2.2, 30, 5) - 0.5
    sea = photo.mix(flat("#0d5c86", x), photo.rgb("#35b8b4"), photo.smooth(0.5, 1.0, y)) * (1 + 0.8 * waves[..., None])
    image = photo.mix(image, sea, photo.smooth(0.499, 0.502, y))
    line = 0.5 - 0.20 * photo.smooth(0.52, 1.0, x) * (0.6 + 0.8 * photo.fractal(x * 6, x * 0 + 2, 44, 6))
    trees = photo.mix(flat("#3f6b34", x), photo.rgb("#8a8a5a"), photo.fractal(x * 18, y * 18, 50, 5) * 1.2)
    image = photo.mix(image, trees, photo.smooth(0, 0.004, y - line) * (y < 0.505) * (x > 0.5))
    for tip, foot, lean in ((0.30, 0.64, 0.085), (0.36, 0.64, -0.05)):
        share = np.clip((y - tip) / (foot - tip), 0, 1)
        edge = (x - 0.3) * aspect / lean
        image = photo.mix(image, flat("#f4f2ea", x), (edge > 0.03) * (edge < share) * (y > tip) * (y < foot) * (0.8 + 0.2 * share))
    hull = (np.abs((x - 0.305) * aspect) < 0.13 - 0.8 * (y - 0.65)) & (y > 0.65) & (y < 0.69)
    return developed(photo.mix(image, flat("#7a2f25", x), hull.astype(np.float32)), 3)


PHOTOS = {"dunes": dunes, "fruit": fruit, "bay": bay}
