"""Measures that do not depend on the model: 8x8 CIE Lab thumbnails, colour names, PSNR."""

import numpy as np
import torch
import torch.nn.functional as functional

from .colours import TINT_WORDS, named_colour

TO_XYZ = torch.tensor([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = torch.tensor([0.9505, 1.0, 1.089])[:, None, None]


def lab(pictures):
    """sRGB [count, 3, height, width] in 0..1 -> CIE Lab."""
    linear = torch.where(pictures > 0.04045, ((pictures + 0.055) / 1.055) ** 2.4, pictures / 12.92)
    xyz = torch.einsum("ij,bjhw->bihw", TO_XYZ, linear) / WHITE
    f = torch.where(xyz > 0.008856, xyz.clamp_min(1e-6) ** (1 / 3), 7.787 * xyz + 16 / 116)
    return torch.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)


def thumbnails(pictures):
    """[count, 192]: 8x8 Lab."""
    return functional.adaptive_avg_pool2d(lab(pictures), 8).flatten(1)


def retrieval(generated, sources):
    """Share of generated pictures whose nearest source is their own."""
    distances = torch.cdist(thumbnails(generated), thumbnails(sources))
    return (distances.argmin(1) == torch.arange(len(generated))).float().mean().item()


def layout_correlation(generated, sources):
    """Mean correlation of 8x8 luminance thumbnails: is the layout kept, whatever the colours."""
    a, b = (thumbnails(x).view(-1, 3, 64)[:, 0] for x in (generated, sources))
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    return ((a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)).clamp_min(1e-3)).mean().item()


def thumbnail_distance(first, second):
    """Root mean square difference of 8x8 Lab thumbnails."""
    return functional.mse_loss(thumbnails(first), thumbnails(second)).sqrt().item()


def psnr(first, second):
    """Mean PSNR in dB of pictures in 0..1."""
    error = functional.mse_loss(first, second, reduction="none").mean((1, 2, 3))
    return (10 * torch.log10(1 / error.clamp_min(1e-10))).mean().item()


def reference_hues():
    rng = np.random.default_rng(0)
    hues = []
    for word in TINT_WORDS:
        colours = torch.tensor(np.array([named_colour(rng, word) for _ in range(64)]), dtype=torch.float32)
        hues.append(lab(colours[:, :, None, None]).mean((0, 2, 3))[1:])
    return torch.stack(hues)


def dominant_colours(pictures):
    """The tint word nearest to the chroma-weighted mean hue of each picture."""
    chroma = lab(pictures)[:, 1:].flatten(2)
    weight = chroma.norm(dim=1, keepdim=True)
    direction = (chroma * weight).sum(2) / weight.sum(2).clamp_min(1e-6)
    nearest = functional.cosine_similarity(direction[:, None], reference_hues()[None], dim=2).argmax(1)
    return [TINT_WORDS[index] for index in nearest]


def same_colour(first, second):
    """Colour words that share a hue with another lightness or chroma count as equal."""
    return first == second or {first, second} in ({"red", "pink"}, {"orange", "brown"}, {"purple", "pink"})


def mean_lightness(pictures):
    return lab(pictures)[:, 0].mean((1, 2))


def mean_chroma(pictures):
    return lab(pictures)[:, 1:].norm(dim=1).mean((1, 2))
