"""The six networks, as the classes of diffusers and transformers that load the real models, and how they start."""

import math

import torch
from torch import nn

from .prompt_tokens import vocabulary_sizes

ROPE_THETA = 10000.0  # fixed in diffusers' FluxTransformer2DModel
LINK_FREQUENCIES = 6  # RoPE frequencies per axis that are useful on 8 to 32 tokens
# squares of how strongly each frequency is compared, and the start of the query and key norm weights: the next place's
# weight is 1 % of the own one's, and no other place of a grid of 16 comes near
LINK_SHARES = (1.0, 0.7, 0.5, 0.3, 0.1, 0.0)
LINK_SHARPNESS = 2.3
POSITION_GAIN = 1.5
VIEW_NOISE = 0.01  # standard deviation, in units of 0..1


def build_vae(preset):
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        in_channels=3, out_channels=3, down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
        act_fn="silu", latent_channels=16, sample_size=preset.native_side, scaling_factor=1.0, shift_factor=0.0,
        use_quant_conv=False, use_post_quant_conv=False, force_upcast=False, **preset.vae,
    )  # fmt: skip


def build_networks(preset, folder):
    """Transformer, text encoders, image tower and Redux embedder with untrained weights."""
    from diffusers import FluxTransformer2DModel
    from diffusers.pipelines.flux.modeling_flux import ReduxImageEncoder
    from transformers import CLIPTextConfig, CLIPTextModel, SiglipVisionConfig, SiglipVisionModel, T5Config, T5EncoderModel

    clip_words, t5_words = vocabulary_sizes(folder)
    networks = nn.ModuleDict(
        {
            "transformer": FluxTransformer2DModel(
                in_channels=64, patch_size=1, joint_attention_dim=preset.text_width, pooled_projection_dim=preset.pooled_width,
                guidance_embeds=True, **preset.flux,
            ),
            "text_encoder": CLIPTextModel(
                CLIPTextConfig(
                    vocab_size=clip_words, hidden_size=preset.pooled_width, projection_dim=preset.pooled_width,
                    max_position_embeddings=77, bos_token_id=clip_words - 2, eos_token_id=2, pad_token_id=1, **preset.clip,
                )
            ),
            "text_encoder_2": T5EncoderModel(
                T5Config(
                    vocab_size=(t5_words + 31) // 32 * 32, d_model=preset.text_width, feed_forward_proj="gated-gelu",
                    tie_word_embeddings=False, dropout_rate=0.0, **preset.t5,
                )
            ),
            "image_encoder": SiglipVisionModel(SiglipVisionConfig(vision_use_head=False, **preset.siglip)),
            "image_embedder": ReduxImageEncoder(redux_dim=preset.siglip["hidden_size"], txt_in_features=preset.text_width),
        }
    )  # fmt: skip
    start_transformer(networks["transformer"], preset)
    return networks


def rope_frequencies(width, count):
    return ROPE_THETA ** (-2 * torch.arange(count) / width)


@torch.no_grad()
def start_transformer(transformer, preset):
    """Start as an identity with one working link: image tokens already look at the Redux token of their own place.

    All residual branches start at zero output with open gates. The noise passes straight through (x_embedder to
    proj_out), which is right for the first, noisiest steps. In each double block one head's image query is constant, so
    after RoPE it is a pure function of the token's position, and the Redux keys read the same sinusoids off the image
    tower's position table (`start_image_tower`): the dot product peaks where both positions agree.
    """
    width = transformer.inner_dim
    for block in transformer.transformer_blocks:
        for norm in (block.norm1, block.norm1_context):
            nn.init.zeros_(norm.linear.weight)
            nn.init.zeros_(norm.linear.bias)
            norm.linear.bias[2 * width : 3 * width] = 1
            norm.linear.bias[5 * width :] = 1
        for out in (block.attn.to_out[0], block.attn.to_add_out, block.ff.net[2], block.ff_context.net[2]):
            nn.init.zeros_(out.weight)
            nn.init.zeros_(out.bias)
        start_link_head(block.attn, preset)
    # what the first link reads goes straight into the stream, beside the noisy latents
    head = preset.flux["attention_head_dim"]
    transformer.transformer_blocks[0].attn.to_out[0].weight[64 : 64 + head, :head] = torch.eye(head)
    for block in transformer.single_transformer_blocks:
        nn.init.zeros_(block.norm.linear.weight)
        nn.init.zeros_(block.norm.linear.bias)
        block.norm.linear.bias[2 * width :] = 1
        nn.init.zeros_(block.proj_out.weight)
        nn.init.zeros_(block.proj_out.bias)
    nn.init.zeros_(transformer.norm_out.linear.weight)
    nn.init.zeros_(transformer.norm_out.linear.bias)
    for layer, rows, gain in ((transformer.x_embedder, width, 1.0), (transformer.proj_out, 64, 0.5)):
        layer.weight.copy_(torch.eye(rows, layer.in_features) * gain)
        nn.init.zeros_(layer.bias)
    nn.init.normal_(transformer.context_embedder.weight, std=0.02)
    transformer.context_embedder.weight += torch.eye(width, preset.text_width)


@torch.no_grad()
def start_link_head(attention, preset):
    head = preset.flux["attention_head_dim"]
    axes = preset.flux["axes_dims_rope"]
    for rows in (attention.to_q, attention.add_k_proj, attention.to_k):
        rows.weight[:head] = 0
        rows.bias[:head] = 0
    for axis in range(2):
        for index, share in enumerate(LINK_SHARES):
            amplitude = math.sqrt(share)
            real = axes[0] + axis * axes[1] + 2 * index
            attention.to_q.bias[real] = amplitude
            feature = (axis * LINK_FREQUENCIES + index) * 2
            attention.add_k_proj.weight[real, feature] = amplitude
            attention.add_k_proj.weight[real + 1, feature + 1] = amplitude
    first_content = 4 * LINK_FREQUENCIES
    attention.add_v_proj.weight[:head] = 0
    attention.add_v_proj.weight[:head, first_content : first_content + head] = torch.eye(head)
    attention.norm_q.weight.fill_(LINK_SHARPNESS)
    attention.norm_added_k.weight.fill_(LINK_SHARPNESS)


@torch.no_grad()
def start_image_tower(networks, preset, views):
    """Redux tokens start as position sinusoids plus the leading principal components of their patch.

    views: [count, 3, side, side] in -1..1, to estimate the components from. The position of a patch is given in tokens
    of the native frame, with the transformer's own RoPE frequencies.
    """
    tower, embedder = networks["image_encoder"], networks["image_embedder"]
    patch, width = preset.siglip["patch_size"], preset.siglip["hidden_size"]
    grid = preset.siglip["image_size"] // patch
    places = preset.native_side / 16 * (torch.arange(grid) + 0.5) / grid - 0.5
    angles = places[:, None] * rope_frequencies(preset.flux["axes_dims_rope"][1], LINK_FREQUENCIES)
    waves = torch.stack([angles.cos(), angles.sin()], 2).flatten(1)
    table = torch.zeros(grid, grid, width)
    table[..., : waves.shape[1]] = waves[:, None]
    table[..., waves.shape[1] : 2 * waves.shape[1]] = waves[None]
    used = 2 * waves.shape[1]
    patches = nn.functional.unfold(views, patch, stride=patch).transpose(1, 2).reshape(-1, 3 * patch * patch).double()
    mean = patches.mean(0)
    # the noise that training adds to views; without it components that carry nothing else would be amplified
    values, vectors = torch.linalg.eigh(torch.cov(patches.T) + (2 * VIEW_NOISE) ** 2 * torch.eye(patches.shape[1]))
    values, vectors = values.flip(0)[: width - used].clamp_min(1e-6), vectors.flip(1)[:, : width - used]
    gain = values**-0.25  # half whitened, as the latents are
    gain = gain / (values * gain**2).sum().sqrt() * math.sqrt(2 * LINK_FREQUENCIES * 2) * POSITION_GAIN
    rows = torch.cat([torch.zeros(used, 3 * patch * patch), (vectors * gain).T.float()])
    embedding = next(m for m in tower.modules() if isinstance(m, nn.Conv2d))
    embedding.weight.copy_(rows.view(width, 3, patch, patch))
    embedding.bias.copy_(-(rows @ mean.float()))
    positions = next(p for n, p in tower.named_parameters() if "position_embedding" in n)
    positions.copy_(table.view(-1, width) * POSITION_GAIN)
    for name, parameter in tower.named_parameters():
        if "out_proj" in name or "fc2" in name:
            nn.init.zeros_(parameter)
    # SiLU(a) - SiLU(-a) = a: the Redux MLP starts as the identity, with a spare third to learn with
    text, identity = preset.text_width, torch.eye(preset.text_width, width)
    embedder.redux_up.weight[: 2 * text] = torch.cat([identity, -identity])
    embedder.redux_down.weight[:, : 2 * text] = torch.cat([torch.eye(text), -torch.eye(text)], 1)
    embedder.redux_down.weight[:, 2 * text :] = 0
    nn.init.zeros_(embedder.redux_up.bias)
    nn.init.zeros_(embedder.redux_down.bias)


@torch.no_grad()
def start_readout(networks, features, targets):
    """The last projection as the least-squares map of its inputs [tokens, width] to velocities [tokens, 64]."""
    layer = networks["transformer"].proj_out
    x = torch.cat([features, torch.ones(len(features), 1)], 1).double()
    ridge = 1e-3 * len(x) * torch.eye(x.shape[1], dtype=torch.double)
    weights = torch.linalg.solve(x.T @ x + ridge, x.T @ targets.double()).T.float()
    layer.weight.copy_(weights[:, :-1])
    layer.bias.copy_(weights[:, -1])
