"""Give trained weights another guidance gain: ./refit_guidance.py --out work --ratio 0.4

Fits the guidance embedding alone, so that guidance g gives what 1 + ratio (g - 1) gave. About a minute on two cores; the
other weights stay. RUNS.md says when it was used; a run from the start needs none.
"""

import argparse
from pathlib import Path

import torch
from diffusers.models.embeddings import Timesteps

LAYERS = [f"transformer.time_text_embed.guidance_embedder.linear_{layer}.{part}" for layer in (1, 2) for part in ("weight", "bias")]
LOWEST, HIGHEST = 1.0, 6.0  # what training draws
POINTS = 6000  # FLUX multiplies guidance by 1000 before the sinusoids, so a coarse grid would be learned by heart


def embed(layers, guidance):
    """[points, width] as FLUX's guidance embedding makes it of [points] values."""
    sinusoids = Timesteps(256, flip_sin_to_cos=True, downscale_freq_shift=0)((guidance * 1000).float()).double()
    return torch.nn.functional.silu(sinusoids @ layers[0].T + layers[1]) @ layers[2].T + layers[3]


def refit(old, ratio):
    """(new layers, error on values not fitted, spread of the embedding), the last two as root mean squares."""
    generator = torch.Generator().manual_seed(1)
    guidance = LOWEST + (HIGHEST - LOWEST) * torch.rand(POINTS, generator=generator)
    wanted = embed(old, 1 + ratio * (guidance - 1))
    new = [layer.clone().requires_grad_() for layer in old]
    optimiser = torch.optim.LBFGS(new, max_iter=600, history_size=50, line_search_fn="strong_wolfe",
                                  tolerance_grad=1e-12, tolerance_change=1e-14)  # fmt: skip

    def loss():
        optimiser.zero_grad()
        moved = sum((a - b).pow(2).sum() for a, b in zip(new, old, strict=True))
        value = 1e4 * (embed(new, guidance) - wanted).pow(2).mean() + 1e-3 * moved
        value.backward()
        return value

    optimiser.step(loss)
    new = [layer.detach() for layer in new]
    others = LOWEST + (HIGHEST - LOWEST) * torch.rand(500, generator=generator)
    error = (embed(new, others) - embed(old, 1 + ratio * (others - 1))).pow(2).mean().sqrt().item()
    return new, error, (wanted - wanted.mean(0)).pow(2).mean().sqrt().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("work"), help="working folder; its flow.pt is replaced")
    parser.add_argument("--ratio", type=float, required=True, help="new gain divided by the old one, above 0 and at most 1")
    options = parser.parse_args()
    if not 0 < options.ratio <= 1:
        parser.error(f"--ratio: {options.ratio} is out of range; expected above 0 and at most 1")
    checkpoint = options.out / "flow.pt"
    state = torch.load(checkpoint, map_location="cpu", weights_only=False)
    for weights in ("networks", "average"):
        layers, error, spread = refit([state[weights][name].double() for name in LAYERS], options.ratio)
        state[weights].update({name: layer.float() for name, layer in zip(LAYERS, layers, strict=True)})
        print(f"{weights}: error {error:.4f} where the embedding varies by {spread:.3f}")
    partial = checkpoint.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(checkpoint)


if __name__ == "__main__":
    main()
