"""FLUX's packing, time shift, conditioning and Euler sampler, as the diffusers pipelines do them."""

import math

import torch
import torch.nn.functional as functional


def pack(latents):
    """[count, 16, height, width] -> [count, height / 2 * width / 2, 64]."""
    count, channels, height, width = latents.shape
    tiles = latents.view(count, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return tiles.reshape(count, height // 2 * (width // 2), channels * 4)


def unpack(tokens, rows, columns):
    """The inverse of `pack` for a grid of tokens."""
    count, _, channels = tokens.shape
    tiles = tokens.view(count, rows, columns, channels // 4, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return tiles.reshape(count, channels // 4, rows * 2, columns * 2)


def shifted(sigmas, image_tokens):
    """FLUX's resolution-dependent time shift."""
    mu = (image_tokens - 256) * (1.15 - 0.5) / (4096 - 256) + 0.5
    return math.exp(mu) / (math.exp(mu) + (1 / sigmas - 1))


def encode_prompts(networks, tokens, prompts, device):
    """(T5 states [count, length, width], pooled CLIP [count, width]); equal prompts are encoded once."""
    unique = list(dict.fromkeys(prompts))
    index = torch.tensor([unique.index(prompt) for prompt in prompts], device=device)
    clip, t5 = tokens(unique, device)
    states = networks["text_encoder_2"](t5)[0]
    pooled = networks["text_encoder"](clip).pooler_output
    return states[index], pooled[index]


def redux_tokens(networks, views):
    """Views [count, 3, side, side] in 0..1 -> Redux tokens [count, grid * grid, width]."""
    states = networks["image_encoder"](pixel_values=views * 2 - 1).last_hidden_state
    return networks["image_embedder"](states).image_embeds


def pool_tokens(tokens, side):
    """Redux tokens area-pooled to a smaller grid: a weaker hold on the picture."""
    count, number, width = tokens.shape
    grid = math.isqrt(number)
    plane = tokens.transpose(1, 2).reshape(count, width, grid, grid)
    return functional.interpolate(plane, (side, side), mode="area").flatten(2).transpose(1, 2)


def velocity(networks, x, sigmas, guidance, context, pooled, positions):
    return networks["transformer"](
        hidden_states=x, encoder_hidden_states=context, pooled_projections=pooled, timestep=sigmas, guidance=guidance,
        img_ids=positions, txt_ids=torch.zeros(context.shape[1], 3, device=x.device), return_dict=False,
    )[0]  # fmt: skip


@torch.no_grad()
def sample(networks, tokens, prompts, frame, views=None, *, steps=28, guidance=3.5, seed=0, side=0, start=None, strength=1.0,
           shift_tokens=None):  # fmt: skip
    """Latents [count, 16, height / 8, width / 8] by FLUX's Euler steps with dynamic shift; `start` makes it image-to-image.

    `shift_tokens` replaces the number of image tokens that the shift follows.
    """
    device = next(networks.parameters()).device
    rows, columns = frame.tokens
    context, pooled = encode_prompts(networks, tokens, prompts, device)
    if views is not None:
        redux = redux_tokens(networks, views)
        context = torch.cat([context, pool_tokens(redux, side) if side else redux], 1)
    sigmas = shifted(torch.linspace(1, 1 / steps, steps), shift_tokens or frame.whole_tokens())
    sigmas = torch.cat([sigmas, torch.zeros(1)])[steps - min(int(steps * strength), steps) :]
    generator = torch.Generator().manual_seed(seed)
    x = pack(torch.randn(len(prompts), 16, 2 * rows, 2 * columns, generator=generator).to(device))
    if start is not None:
        x = sigmas[0] * x + (1 - sigmas[0]) * pack(start)
    positions = frame.positions().to(device)
    scale = torch.full((len(prompts),), float(guidance), device=device)
    for now, following in zip(sigmas[:-1], sigmas[1:], strict=True):
        time = torch.full((len(prompts),), float(now), device=device)
        x = x + (following - now) * velocity(networks, x, time, scale, context, pooled, positions)
    return unpack(x, rows, columns)
