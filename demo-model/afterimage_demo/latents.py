"""The latent space: a fixed linear map that the autoencoder is trained to follow ("anchored").

The map is the Karhunen-Loeve transform of 8x8 patches (16 components, half whitened). Latents are known before the
autoencoder is trained, so the transformer can be trained beside it, without a single convolution.
"""

import math

import torch
import torch.nn.functional as functional


def fit_anchor(pictures):
    """{"mean": [192], "map": [16, 192]} of pictures [count, 3, height, width] in 0..1; unit mean variance."""
    x = pictures * 2 - 1
    patches = functional.pixel_unshuffle(x + torch.randn_like(x) * 0.01, 8).permute(0, 2, 3, 1).reshape(-1, 192).double()
    covariance = torch.cov(patches.T)
    values, vectors = torch.linalg.eigh(covariance)
    values, vectors = values.flip(0)[:16], vectors.flip(1)[:, :16]
    gain = values**-0.25
    gain = gain / (values * gain * gain).mean().sqrt()
    lost = (covariance.trace() - values.sum()).item() / 192
    print(f"anchor explains {(values.sum() / covariance.trace()).item():.4f}, {10 * math.log10(4 / lost):.1f} dB")
    return {"mean": patches.mean(0).float(), "map": (vectors * gain).T.contiguous().float()}


def anchor_of_vae(vae, pictures):
    """The linear map that an anchored autoencoder's encoder follows, by least squares; for continuing such a one."""
    x = pictures * 2 - 1
    with torch.no_grad():
        latents = torch.cat([vae.encode(part).latent_dist.mean for part in x.split(8)])
    patches = functional.pixel_unshuffle(x, 8).permute(0, 2, 3, 1).reshape(-1, 192).double()
    targets = latents.permute(0, 2, 3, 1).reshape(-1, 16).double()
    mean = patches.mean(0)
    ridge = 1e-4 * torch.eye(192, dtype=torch.double) * len(patches)
    centred = patches - mean
    weights = torch.linalg.solve(centred.T @ centred + ridge, centred.T @ (targets - targets.mean(0)))
    error = (targets - targets.mean(0) - centred @ weights).var(0) / targets.var(0)
    print("share of the encoder's variance that is not linear, by channel:", [round(v, 4) for v in error.tolist()])
    # shift the mean so that the map has no offset: map (patch - mean') = map (patch - mean) + mean of the latents
    linear = weights.T
    offset = torch.linalg.lstsq(linear, targets.mean(0)[:, None]).solution[:, 0]
    return {"mean": (mean - offset).float(), "map": linear.contiguous().float()}


class Anchor:
    """Picture (0..1) to latents by the linear map."""

    def __init__(self, values, device="cpu"):
        self.mean = values["mean"].to(device)[:, None, None]
        self.map = values["map"].to(device)[:, :, None, None]

    @torch.no_grad()
    def encode(self, pictures):
        """[count, 3, height, width] -> [count, 16, height / 8, width / 8]."""
        return functional.conv2d(functional.pixel_unshuffle(pictures * 2 - 1, 8) - self.mean, self.map)
