#!/usr/bin/env python3
"""Renders lake.jpg, the picture that the README's first command varies.

    python3 docs/photos/make_photo.py [OUTPUT]

A mountain lake at dusk, computed from noise: nobody's photograph, so it can be shipped and used freely. Needs numpy and
pillow. The same versions of both give the same bytes.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 1024, 768
SCALE = 2  # rendered larger and shrunk: smooth edges
W, H = WIDTH * SCALE, HEIGHT * SCALE
HORIZON = 0.60  # height of the shore as a share of the picture's
SUN = (0.283, 0.452)
TREES = (  # centre, foot, height, seed
    (0.045, 1.02, 0.78, 1), (0.135, 1.03, 0.60, 2), (-0.02, 1.02, 0.66, 3), (0.205, 1.04, 0.40, 4),
    (0.965, 1.04, 0.52, 5), (1.02, 1.03, 0.70, 6), (0.905, 1.05, 0.30, 7),
)
rng = np.random.default_rng(20)


def lattice_noise(x, y, seed):
    """Smooth noise in 0..1 with cells of size 1: random values on a lattice, quintic interpolation."""
    table = np.random.default_rng(seed).random((256, 256)).astype(np.float32)
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = x - x0, y - y0
    fx, fy = fx**3 * (fx * (fx * 6 - 15) + 10), fy**3 * (fy * (fy * 6 - 15) + 10)
    at = lambda i, j: table[(y0 + j) % 256, (x0 + i) % 256]
    top = at(0, 0) * (1 - fx) + at(1, 0) * fx
    bottom = at(0, 1) * (1 - fx) + at(1, 1) * fx
    return top * (1 - fy) + bottom * fy


def fractal(x, y, seed, octaves, gain=0.5, ridged=False):
    """Sum of noises of doubling frequency, about 0..1. Ridged noise has crests instead of hills."""
    total, amplitude, norm = 0.0, 1.0, 0.0
    for octave in range(octaves):
        value = lattice_noise(x * 2**octave, y * 2**octave, seed + octave)
        if ridged:
            value = (1 - np.abs(2 * value - 1)) ** 2
        total, norm, amplitude = total + value * amplitude, norm + amplitude, amplitude * gain
    return total / norm


def mix(a, b, t):
    t = np.clip(t, 0, 1)[..., None]
    return a * (1 - t) + b * t


def smooth(low, high, x):
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def rgb(text):
    """`#rrggbb` in linear light."""
    value = np.array([int(text[i : i + 2], 16) for i in (1, 3, 5)], np.float32) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def sky(x, y):
    """Linear light of the sky; x and y are shares of the picture, y downwards."""
    up = np.clip(1 - y / HORIZON, 0, 1)
    colour = np.broadcast_to(rgb("#ffc48a"), (*x.shape, 3))
    for start, end, name in ((0.0, 0.16, "#f7a072"), (0.12, 0.36, "#d58a86"), (0.3, 0.62, "#7f7a9e"), (0.55, 1.0, "#31446f")):
        colour = mix(colour, rgb(name), smooth(start, end, up))
    distance = np.hypot((x - SUN[0]) * W / H, y - SUN[1])
    glow = np.exp(-distance * 9.0)[..., None] * rgb("#ff9d4d") * 2.2 + np.exp(-distance * 2.6)[..., None] * rgb("#ff8a5c") * 0.55
    colour = colour + glow
    # Clouds lie in layers, so they are long and flat towards the horizon; their undersides catch the sun.
    depth = 0.10 + 1.05 * up
    cx, cy = (x - 0.5) * 2.3 / depth + 7.3, 3.6 / depth
    warp = fractal(cx * 0.8, cy * 0.8, 90, 4) * 0.9
    density = fractal(cx + warp, cy * 1.5 + warp, 40, 7, 0.53)
    lower = fractal(cx + warp, cy * 1.5 + warp + 0.14, 40, 7, 0.53)
    cover = smooth(0.50, 0.74, density) * smooth(0.02, 0.25, up) * 0.9
    lit = np.clip(0.45 + (density - lower) * 5.0, 0, 1) * np.exp(-distance * 1.7)
    cloud = mix(np.broadcast_to(rgb("#6b6287"), colour.shape), rgb("#ffb288") * 1.35, lit * 1.5)
    cloud = mix(cloud, rgb("#3c466b"), smooth(0.35, 1.0, up) * 0.75)
    colour = mix(colour, cloud, cover)
    disc = smooth(0.0245, 0.0215, distance) * (1 - 0.35 * cover)
    return mix(colour, np.array([9.0, 6.4, 3.6], np.float32), disc)


def ridge_line(x, base, height, frequency, seed, roughness=0.5):
    return base - height * fractal(x * frequency + seed, np.full_like(x, seed * 1.7), seed, 9, roughness, ridged=True)


def land(image, x, y):
    """Paints ridges from far to near. Air between them takes on the colour of the sky by the sun."""
    haze_cool, haze_warm = rgb("#8d86a6"), rgb("#ffb07c")
    toward_sun = np.exp(-(((x - SUN[0]) / 0.24) ** 2))
    haze = mix(np.broadcast_to(haze_cool, image.shape), haze_warm, toward_sun * 0.8)
    layers = (  # base, height, frequency, seed, air, rock
        (0.560, 0.235, 1.9, 3, 0.80, "#5a5a78"),
        (0.585, 0.190, 2.6, 14, 0.60, "#4a4a66"),
        (0.597, 0.120, 3.4, 23, 0.40, "#343a52"),
        (0.603, 0.062, 5.2, 31, 0.20, "#222b3a"),
    )
    for index, (base, height, frequency, seed, air, rock) in enumerate(layers):
        line = ridge_line(x, base, height, frequency, seed, 0.46 + 0.02 * index)
        if index >= 2:  # trees on the nearer slopes
            line = line - (0.006 + 0.006 * (index - 2)) * spikes(x * (230 - 60 * (index - 2)), seed)
        inside = smooth(0, 1.5 / H, y - line)
        below = np.clip((y - line) / np.maximum(HORIZON - line, 1e-3), 0, 1)
        # Slopes: light from the sun's side on a bumpy surface, snow near the far crests.
        bumps = fractal(x * 26 + seed, (y - line) * 30 + x * 9, seed + 50, 6, 0.58, ridged=True)
        step = 0.0022
        bumps_side = fractal((x + step) * 26 + seed, (y - line) * 30 + (x + step) * 9, seed + 50, 6, 0.58, ridged=True)
        light = np.clip(0.5 + (bumps_side - bumps) * 3.0 * np.sign(SUN[0] - x), 0, 1)
        surface = rgb(rock)[None, None] * (0.45 + 0.9 * light[..., None])
        if index < 2:
            snow = smooth(0.42, 0.70, bumps + 0.30 * (1 - below) - 0.10 * index) * smooth(0.75, 0.05, below)
            surface = mix(surface, rgb("#d9b9bb") * (0.35 + 0.75 * light[..., None]), snow * 0.8)
        mist = np.clip(air + (1 - air) * 0.75 * below**2.2 + 0.12 * toward_sun, 0, 0.94)
        image = mix(image, mix(surface, haze, mist), inside)
    return image


def spikes(x, seed):
    """Outline of conifers: pointed teeth of random height."""
    cell = np.floor(x).astype(int)
    heights = np.random.default_rng(seed + 500).random(4096).astype(np.float32)
    tooth = lambda shift: heights[(cell + shift) % 4096] * np.clip(1 - np.abs(x - cell - 0.5 - shift) * 1.25, 0, 1)
    return np.maximum(np.maximum(tooth(0), tooth(-1)), tooth(1)) ** 0.9


def conifer(image, centre, foot, height, seed):
    """A single dark tree in front of everything: branches droop in uneven tiers around a trunk."""
    random = np.random.default_rng(seed)
    half = height * 0.30
    left, right = max(int((centre - half) * W), 0), min(int((centre + half) * W), W)
    top, bottom = max(int((foot - height) * H), 0), min(int(foot * H) + 2, H)
    if left >= right or top >= bottom:
        return image
    y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
    along = np.clip((y / H - (foot - height)) / height, 0, None)  # 0 at the tip
    across = (x / W - centre) * (W / H) / height
    tiers = 24 + random.integers(0, 8)
    lean = 0.010 * np.sin(along * 5 + random.random() * 6)
    side = np.where(across + lean > 0, 1.0, 0.0)
    # Branches hang: the outer end of a tier lies lower than where it leaves the trunk.
    phase = along**0.85 * tiers - 26 * np.abs(across) * (1 - 0.5 * along) + side * random.random()
    phase = phase + 1.3 * fractal(across * 9 + seed, along * 11 + side * 5, seed, 4)
    tier = phase - np.floor(phase)
    uneven = 0.45 + 1.0 * lattice_noise(np.floor(phase) * 3.1 + side * 17.7 + seed, side * 0 + 0.5, seed + 9)
    reach = (0.010 + 0.150 * along**0.9) * (0.30 + 0.70 * np.sqrt(tier)) * uneven
    needles = 0.040 * (fractal(across * 150, along * 210, seed + 3, 3, 0.7) - 0.42)
    inside = smooth(0.002, -0.002, np.abs(across + lean) - reach + needles)
    trunk = smooth(0.002, -0.002, np.abs(across + lean) - 0.006 - 0.010 * along)
    mask = np.maximum(inside * smooth(0, 0.015, along), trunk) * (along > 0)
    speckle = fractal(across * 60, along * 90, seed + 5, 3, 0.6)
    colour = rgb("#0d141b") * (0.5 + speckle[..., None])
    patch = image[top:bottom, left:right]
    image[top:bottom, left:right] = mix(patch, colour, mask)
    return image


def lake(image):
    """Mirrors what is above the shore, broken by ripples that grow towards the viewer."""
    shore = int(HORIZON * H)
    rows, columns = np.mgrid[shore:H, 0:W].astype(np.float32)
    near = (rows - shore) / (H - shore)
    distance = 1 / (0.035 + near)  # perspective: equal waves look smaller far away
    u, v = (columns / W - 0.5) * distance * 5.0, distance * 9.0
    waves = fractal(u * 0.55 + 11, v * 1.5, 70, 5, 0.55) - 0.5
    fine = fractal(u * 2.0 + 3, v * 5.0, 76, 4, 0.6) - 0.5
    calm = smooth(0.30, 0.62, fractal(columns / W * 2.2, near * 3.0 + 4, 83, 3))
    strength = (0.25 + 0.75 * calm) * (0.12 + 0.88 * near**0.8)
    shift_y = (waves * 150 + fine * 60) * strength * SCALE
    shift_x = (waves * 26 + fine * 12) * strength * SCALE
    source_y = np.clip(shore - (rows - shore) * 0.93 + shift_y, 0, shore - 1)
    source_x = np.clip(columns + shift_x, 0, W - 1)
    mirrored = image[source_y.astype(int), source_x.astype(int)]
    water = rgb("#0e1d2e")
    reflect = np.clip(0.88 - 0.50 * near**0.85 - 0.25 * waves * strength, 0.15, 0.95)
    surface = water * (1 - reflect[..., None]) + mirrored * np.array([0.92, 0.93, 0.97], np.float32) * reflect[..., None]
    # The sun's path: facets that happen to mirror the sun itself.
    path = np.exp(-(((columns / W - SUN[0]) / (0.022 + 0.05 * near)) ** 2))
    facets = smooth(0.10, 0.34, fine + 0.75 * waves) * path * (1 - 0.55 * near)
    surface = surface + facets[..., None] * rgb("#ffb36b") * 2.4
    mist = np.exp(-near * 26)[..., None] * 0.35
    surface = surface * (1 - mist) + rgb("#d79c8c") * mist
    result = image.copy()
    result[shore:] = surface
    return result


def shore_stones(image):
    """Dark boulders and their wet edges in the near left corner."""
    random = np.random.default_rng(8)
    for _ in range(46):
        centre_x = random.random() ** 1.7 * 0.46 - 0.02
        centre_y = 0.965 + 0.055 * random.random() - 0.10 * max(0.0, 0.30 - centre_x) * random.random()
        radius = 0.012 + 0.034 * random.random() ** 2
        left, right = max(int((centre_x - 2 * radius) * W), 0), min(int((centre_x + 2 * radius) * W), W)
        top, bottom = max(int((centre_y - 1.6 * radius) * H), 0), min(int((centre_y + 1.6 * radius) * H), H)
        if left >= right or top >= bottom:
            continue
        y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
        dx, dy = (x / W - centre_x) * (W / H) / (1.7 * radius), (y / H - centre_y) / radius
        seed = int(random.integers(1000))
        outline = np.hypot(dx, dy) + 0.55 * (fractal(dx * 1.6 + seed, dy * 1.6, seed, 5) - 0.5)
        mask = smooth(0.92, 0.88, outline)
        relief = fractal(dx * 3 + seed, dy * 3, seed + 7, 6, 0.6)
        light = np.clip(0.20 - 0.75 * dy + 0.55 * dx + (relief - 0.5) * 1.3, 0.02, 1)
        colour = rgb("#2a2b33") * (0.25 + light[..., None]) + rgb("#ff9a66") * (0.10 * light[..., None] ** 3)
        patch = image[top:bottom, left:right]
        image[top:bottom, left:right] = mix(patch, colour, mask)
    return image


def blur(image, sigma):
    radius = int(3 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2).astype(np.float32)
    kernel /= kernel.sum()
    for axis in (0, 1):
        padded = np.pad(image, [(radius, radius) if a == axis else (0, 0) for a in range(3)], mode="edge")
        size = image.shape[axis]
        image = sum(weight * padded.take(range(i, i + size), axis) for i, weight in enumerate(kernel))
    return image


def develop(light):
    """Camera and film: bloom, vignette, tone curve, grain."""
    small = light.reshape(HEIGHT, SCALE, WIDTH, SCALE, 3).mean((1, 3))
    bright = np.maximum(np.minimum(small, 6.0) - 0.75, 0)
    half = bright.reshape(HEIGHT // 4, 4, WIDTH // 4, 4, 3).mean((1, 3))
    bloom = sum(weight * blur(half, sigma) for weight, sigma in ((0.20, 2.5), (0.10, 8), (0.07, 24)))
    planes = [np.asarray(Image.fromarray(bloom[..., c]).resize((WIDTH, HEIGHT), Image.BICUBIC)) for c in range(3)]
    small = small + np.stack(planes, -1)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    corner = np.hypot((x / WIDTH - 0.5) * 1.15, y / HEIGHT - 0.5)
    small = small * (1 - 0.42 * smooth(0.30, 0.85, corner))[..., None] * 1.06
    # A filmic curve (Hejl and Burgess-Dawson, 2010): soft shoulder, slight toe; its result is display-encoded.
    value = np.maximum(small * 0.92 - 0.002, 0)
    value = (value * (6.2 * value + 0.5)) / (value * (6.2 * value + 1.7) + 0.06)
    grey = value.mean(-1, keepdims=True)
    value = grey + (value - grey) * 1.10
    grain = rng.standard_normal((HEIGHT, WIDTH, 1)) * 0.75 + rng.standard_normal((HEIGHT, WIDTH, 3)) * 0.35
    value = value + grain * 0.011 * (1 - 0.5 * grey)
    return np.clip(np.rint(value * 255), 0, 255).astype(np.uint8)


def main():
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent / "lake.jpg"
    y, x = np.mgrid[0:H, 0:W].astype(np.float32)
    x, y = x / W, y / H
    image = land(sky(x, y), x, y)
    image = lake(image)
    image = shore_stones(image)
    for tree in TREES:
        image = conifer(image, *tree)
    Image.fromarray(develop(image)).save(output, quality=86, optimize=True, subsampling=0)
    print(f"{output}: {output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
