"""The autoencoder: FLUX's structure made narrow, trained to follow the linear anchor.

The decoder learns from the exact linear latents plus a little noise, the encoder learns to give them. Loss: L1, L1 of
finite differences at two scales, and the encoder's distance to the anchor. Groups of 8 channels in the norms: with 32
groups on 32 channels the norm wipes out each channel's mean and the decoder cannot carry colour.
"""

import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional

from .flow_training import Clock
from .latents import Anchor
from .muon import Muon
from .networks import build_vae
from .scenes import pictures

LATENT_NOISE = 0.05
EDGE_WEIGHT = 0.5
AVERAGE = 0.998
NEW_PICTURES, POOL = 48, 600
LEARNING_RATE = 2e-3


def edge_distance(first, second):
    """L1 of finite differences at two scales."""
    total = 0.0
    for _ in range(2):
        d = first - second
        total = total + (d[..., 1:] - d[..., :-1]).abs().mean() + (d[..., 1:, :] - d[..., :-1, :]).abs().mean()
        first, second = functional.avg_pool2d(first, 2), functional.avg_pool2d(second, 2)
    return total


class VaeTraining:
    def __init__(self, preset, folder, device="cpu", seed=0):
        self.preset, self.folder, self.device = preset, Path(folder), device
        torch.manual_seed(seed)
        self.rng = np.random.default_rng(seed + 2)
        self.anchor = Anchor(torch.load(self.folder / "anchor.pt"), device)
        self.vae = build_vae(preset).to(device)
        average = self.folder / "vae-average.pt"
        if average.exists():  # for instance put there by the anchor stage
            self.vae.load_state_dict(torch.load(average, map_location=device))
        self.average = {name: value.clone() for name, value in self.vae.state_dict().items()}
        self.optimiser, self.step, self.hours, self.pool = Muon(self.vae, LEARNING_RATE), 0, 0.0, None

    @property
    def checkpoint(self):
        return self.folder / "vae.pt"

    def save(self):
        state = dict(vae=self.vae.state_dict(), average=self.average, optimiser=self.optimiser.state_dict(), step=self.step,
                     hours=self.hours, numpy_rng=self.rng.bit_generator.state, torch_rng=torch.get_rng_state())  # fmt: skip
        for path, value in ((self.checkpoint, state), (self.folder / "vae-average.pt", self.average)):
            partial = path.with_suffix(".partial")
            torch.save(value, partial)
            os.replace(partial, path)

    def resume(self):
        if not self.checkpoint.exists():
            return
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=False)
        self.vae.load_state_dict(state["vae"])
        self.average = state["average"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.hours = state["step"], state["hours"]
        self.rng.bit_generator.state = state["numpy_rng"]
        torch.set_rng_state(state["torch_rng"].cpu())

    def crops(self):
        """[batch, 3, crop, crop] in -1..1: windows of pictures at full size, sometimes whole pictures made small."""
        preset = self.preset
        if self.pool is None or self.step % 96 == 0:
            fresh = pictures(self.rng, NEW_PICTURES, preset.vae_picture)
            self.pool = fresh if self.pool is None else torch.cat([fresh, self.pool])[:POOL]
        chosen = self.pool[torch.randint(len(self.pool), (preset.vae_batch,))] * 2 - 1
        if self.step % 4 == 0:
            small = functional.interpolate(chosen, preset.vae_crop, mode="bilinear", antialias=True)
        else:
            top, left = torch.randint(0, preset.vae_picture - preset.vae_crop + 1, (2,)).tolist()
            small = chosen[:, :, top : top + preset.vae_crop, left : left + preset.vae_crop]
        return (small.flip(3) if self.step % 2 else small).to(self.device)

    def loss(self, x):
        posterior = self.vae.encode(x).latent_dist
        latents = self.anchor.encode(x / 2 + 0.5)
        # a small fixed spread: sampling the posterior must not add visible noise
        regulariser = functional.mse_loss(posterior.mean, latents) + 1e-3 * ((posterior.logvar + 8) ** 2).mean()
        y = self.vae.decode(latents + LATENT_NOISE * torch.randn_like(latents)).sample.float()
        return (y - x).abs().mean() + EDGE_WEIGHT * edge_distance(y, x) + regulariser, functional.mse_loss(y, x).item()

    def train(self, hours, decay=0.4):
        """Train for `hours` in all (process time on a CPU), the learning rate falling over the last part."""
        clock, saved, errors = Clock(self.device, self.hours), time.monotonic(), []
        while (spent := clock.hours()) < hours:
            self.hours = spent
            with torch.autocast(self.device.split(":")[0], dtype=torch.bfloat16, enabled=self.preset.autocast):
                loss, error = self.loss(self.crops())
            loss.backward()
            self.optimiser.step(min(1.0, (self.step + 1) / 40, max(0.02, (1 - spent / hours) / decay)))
            self.step += 1
            keep = min(AVERAGE, (self.step + 1) / (self.step + 20))
            with torch.no_grad():
                for name, value in self.vae.state_dict().items():
                    self.average[name].lerp_(value, 1 - keep)
            errors.append(error)
            if self.step % 50 == 0:
                print(f"step {self.step}  {spent:.3f} h  {10 * np.log10(4 / np.mean(errors[-50:])):.2f} dB", flush=True)
            if time.monotonic() - saved > 240:
                self.save()
                saved = time.monotonic()
        self.save()
