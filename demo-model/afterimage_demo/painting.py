"""Paints a spec. Every primitive is painted only inside its bounding box, which is most of the speed on a CPU."""

import math

import torch
import torch.nn.functional as functional

from . import spec as field
from .spec import CHECKS, GRADIENT, NOISE, RADIAL, STRIPES

OCTAVES = ((13, 0.5), (27, 0.28), (61, 0.15))  # grid side, weight
LARGEST_NOISE = 1.7  # half the reach of the fractal noise: how far a rough edge can stick out, in radii


def fractal_noise(coarse, height, width, generator):
    """The spec's own coarse noise plus fresh finer octaves: [2, height, width]."""
    noise = functional.interpolate(coarse[None], (height, width), mode="bicubic", align_corners=False)
    for side, weight in OCTAVES:
        if side < max(height, width):
            grid = torch.randn(1, 2, side, side, generator=generator)
            noise = noise + weight * functional.interpolate(grid, (height, width), mode="bilinear", align_corners=False)
    return noise[0]


def paint(spec, height, width, generator=None, window=None, aspect=None):
    """[3, height, width] in 0..1; or only the window (top, left, height, width) of such a picture.

    `aspect` (width to height) squashes a picture of that shape into the given size.
    """
    top, left, rows, columns = window or (0, 0, height, width)
    stretch_x = math.sqrt(aspect or width / height)
    stretch_y = 1 / stretch_x
    xs = ((torch.arange(left, left + columns) + 0.5) / width * 2 - 1) * stretch_x
    ys = ((torch.arange(top, top + rows) + 0.5) / height * 2 - 1) * stretch_y
    pixel = 2 / math.sqrt(height * width)
    noise = fractal_noise(torch.from_numpy(spec.noise), height, width, generator)
    if window:
        noise = noise[:, top : top + rows, left : left + columns]
    picture = torch.zeros(3, rows, columns)
    for index, values in enumerate(spec.primitives.tolist()):
        if values[field.ALIVE] > 0:
            paint_primitive(picture, values, xs, ys, noise[index % 2], stretch_x, stretch_y, pixel)
    if spec.vignette:
        picture *= 1 - spec.vignette * (xs[None] ** 2 + ys[:, None] ** 2) / 2
    return picture.clamp_(0, 1)


def box_of(values, xs, ys, centre_x, centre_y, pixel):
    """Index ranges of the pixels that a primitive can touch: (rows, columns)."""
    radius_x, radius_y, rotation = values[field.RADIUS_X], values[field.RADIUS_Y], values[field.ROTATION]
    reach = 1 + values[field.ROUGH] * LARGEST_NOISE + (pixel + 2 * values[field.SOFT]) / min(radius_x, radius_y)
    half_x = reach * math.hypot(radius_x * math.cos(rotation), radius_y * math.sin(rotation))
    half_y = reach * math.hypot(radius_x * math.sin(rotation), radius_y * math.cos(rotation))

    def span(axis, centre, half):
        step = float(axis[1] - axis[0])
        first = max(0, math.floor((centre - half - float(axis[0])) / step))
        last = min(len(axis), math.ceil((centre + half - float(axis[0])) / step) + 1)
        return slice(first, max(first, last))

    return span(ys, centre_y, half_y), span(xs, centre_x, half_x)


def signed_distance(values, qx, qy, rho, noise):
    """Distance to the outline in units of the radius: the polar angle is folded into half a sector, then one edge."""
    sector = 2 * math.pi / values[field.SIDES]
    angle = torch.atan2(-qy, qx) - values[field.OFFSET]
    folded = (torch.remainder(angle + sector / 2, sector) - sector / 2).abs_()
    edge_x = values[field.INNER] * math.cos(sector / 2) - 1
    edge_y = values[field.INNER] * math.sin(sector / 2)
    distance = (edge_y * (rho * torch.cos(folded) - 1) - edge_x * rho * torch.sin(folded)) / math.hypot(edge_x, edge_y)
    return distance + values[field.ROUND] * (rho - 1 - distance)


def paint_primitive(picture, values, xs, ys, noise, stretch_x, stretch_y, pixel):
    """Blend one primitive over the picture."""
    centre_x, centre_y = values[field.CENTRE_X] * stretch_x, values[field.CENTRE_Y] * stretch_y
    rows, columns = box_of(values, xs, ys, centre_x, centre_y, pixel)
    dx, dy, noise = xs[columns] - centre_x, (ys[rows] - centre_y)[:, None], noise[rows, columns]
    if noise.numel() == 0:
        return
    background = values[field.BACKGROUND] > 0
    cosine, sine = math.cos(values[field.ROTATION]), math.sin(values[field.ROTATION])
    qx = (cosine * dx + sine * dy) / values[field.RADIUS_X]
    qy = (cosine * dy - sine * dx) / values[field.RADIUS_Y]
    rho = torch.sqrt(qx * qx + qy * qy + 1e-9)
    if background:
        mask = values[field.ALPHA]
    else:
        if values[field.ROUND] == 1:
            distance = rho - 1
        else:
            distance = signed_distance(values, qx, qy, rho, noise)
        if values[field.ROUGH]:
            distance = distance + values[field.ROUGH] * 0.5 * noise
        if values[field.RING]:
            distance = (distance + values[field.RING]).abs() - values[field.RING]
        distance = distance * min(values[field.RADIUS_X], values[field.RADIUS_Y])
        mask = (0.5 - distance / (pixel + 2 * values[field.SOFT])).clamp_(0, 1) * values[field.ALPHA]
    first = torch.tensor(values[field.RED_1 : field.RED_1 + 3])[:, None, None]
    second = torch.tensor(values[field.RED_2 : field.RED_2 + 3])[:, None, None]
    share = texture_share(values, *((dx, dy) if background else (qx, qy)), rho, noise, background)
    colour = first if share is None else first + (second - first) * share
    target = picture[:, rows, columns]
    target += mask * (colour - target)


def texture_share(values, x, y, rho, noise, background):
    """Where the second colour shows, 0..1, or None for a plain surface."""
    kind, frequency, angle = values[field.TEXTURE], values[field.FREQUENCY], values[field.TEXTURE_ANGLE]
    along = math.cos(angle) * x + math.sin(angle) * y
    if kind == GRADIENT:
        share = 0.5 + 0.5 * along
    elif kind == STRIPES:
        share = torch.sigmoid(5 * torch.sin(along * frequency))
    elif kind == CHECKS:
        across = math.cos(angle) * y - math.sin(angle) * x
        share = torch.sigmoid(8 * torch.sin(along * frequency) * torch.sin(across * frequency))
    elif kind == NOISE:
        share = 0.5 + 0.6 * noise
    elif kind == RADIAL:
        share = rho * (2.6 if background else 1.0)
    else:
        return None
    return share.clamp(0, 1)
