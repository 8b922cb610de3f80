"""Restyling as pixel operations, so that what a word does carries over to any picture."""

import math

import torch
import torch.nn.functional as functional

LUMA = torch.tensor([0.299, 0.587, 0.114])[:, None, None]


def blur(picture, radius):
    radius = max(1, int(radius))
    padded = functional.pad(picture[None], (radius,) * 4, mode="replicate")
    return functional.avg_pool2d(padded, 2 * radius + 1, 1)[0]


def luminance(picture):
    return (picture * LUMA).sum(0, keepdim=True)


def gains(*values):
    return torch.tensor(values)[:, None, None]


def tint(picture, colour):
    """A duotone towards a colour that keeps the luminance ramp, so the layout stays readable."""
    level = 0.25 + 0.75 * luminance(picture)
    ramp = torch.where(level < 0.6, colour * level / 0.6, colour + (1 - colour) * (level - 0.6) / 0.4)
    return 0.18 * picture + 0.82 * ramp


def night(picture, generator):
    height, width = picture.shape[1:]
    dark = picture * gains(0.20, 0.24, 0.38) + gains(0.0, 0.01, 0.07)
    stars = (torch.rand(1, 1, max(height // 4, 1), max(width // 4, 1), generator=generator) > 0.99).float()
    stars = functional.interpolate(stars, (height, width), mode="bilinear")[0]
    upper = torch.linspace(0, 1, height)[None, :, None] < 0.45
    return torch.maximum(dark, stars * 0.9 * upper)


def mosaic(picture, size):
    height, width = picture.shape[1:]
    tiles = max(8, int(size // 16)) if size < 256 else 16
    grid = (max(4, round(tiles * height / size)), max(4, round(tiles * width / size)))
    return functional.interpolate(functional.adaptive_avg_pool2d(picture, grid)[None], (height, width), mode="nearest")[0]


def apply_style(picture, style, colour=None, generator=None):
    """`picture` [3, height, width] in 0..1 with one style of `variation.STYLE_WORDS` or "tint" applied."""
    size = math.sqrt(picture.shape[1] * picture.shape[2])
    down = torch.linspace(0, 1, picture.shape[1])[None, :, None]
    grey = luminance(picture)
    if style == "tint":
        result = tint(picture, torch.as_tensor(colour, dtype=picture.dtype)[:, None, None])
    elif style == "night":
        result = night(picture, generator)
    elif style == "sunset":
        result = picture * gains(1.0, 0.68, 0.5) + (1 - down) * gains(0.22, 0.06, 0.02)
    elif style == "gray":
        result = grey.expand_as(picture)
    elif style == "sepia":
        result = (0.15 + 0.8 * grey) * gains(1.05, 0.88, 0.66)
    elif style == "invert":
        result = 1 - picture
    elif style == "mosaic":
        result = mosaic(picture, size)
    elif style == "sketch":
        strokes = ((blur(grey, size / 64) - grey).abs() * 5).clamp(0, 1)
        result = (1 - strokes * 0.9 - 0.3 * (1 - grey)).expand_as(picture)
    elif style == "vivid":
        result = grey + (picture - grey) * 1.8
    elif style == "pastel":
        result = 0.55 * (grey + (picture - grey) * 0.9) + 0.45
    elif style == "dark":
        result = picture * 0.45
    elif style == "bright":
        result = 1 - (1 - picture) * 0.55
    elif style == "fog":
        result = 0.4 * blur(picture, size / 64) + 0.6 * 0.82
    elif style == "blur":
        result = blur(blur(picture, size / 28), size / 28)
    elif style == "poster":
        result = (picture * 3).round() / 3
    elif style == "neon":
        edges = ((picture - blur(picture, size / 80)).abs() * 6).clamp(0, 1)
        result = picture * 0.12 + edges * (grey * 0.3 + 0.7 * picture / picture.amax(0, keepdim=True).clamp_min(0.2))
    elif style == "winter":
        result = 0.55 * (grey + (picture - grey) * 0.45) * gains(0.93, 0.98, 1.08) + 0.45 * (0.35 + 0.65 * down)
    else:
        raise KeyError(style)
    return result.clamp(0, 1)
