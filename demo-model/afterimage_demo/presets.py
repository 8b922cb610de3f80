"""Sizes and schedules. `cpu` is made for one core over several sessions, `gpu` for two or three calls of ten minutes.

All times are hours of process time (CPU) or of wall time (GPU) spent in the flow stage, so that a stopped or slowed
run keeps its schedule.
"""

from dataclasses import dataclass

from .scenes import Frame


def both(height, width, **options):
    """A frame and its transpose."""
    return [Frame(height, width, **options), Frame(width, height, **options)]


@dataclass(frozen=True)
class Phase:
    """Which frames are trained on up to `until` hours: (frames, share) rows."""

    until: float
    rows: list


@dataclass(frozen=True)
class Preset:
    vae: dict
    text_width: int  # T5 width = Redux width = joint attention width
    pooled_width: int
    t5_length: int
    t5: dict
    clip: dict
    siglip: dict
    flux: dict
    phases: list
    tokens_per_batch: int  # text, Redux and image tokens together, which is what a step costs
    smallest_batch: int
    learning_rate: float
    average: float  # decay of the weight average
    hours: float  # length of the whole flow schedule
    distil_from: float  # hours after which guidance is distilled
    cooldown: float = 0.3  # share of the schedule in which the learning rate falls
    distil_share: float = 0.12
    guidance_gain: float = 0.1  # guidance g is distilled as classifier-free scale 1 + gain (g - 1)
    variation_amount: float = 0.25
    pool_capacity: int = 400
    pool_start: int = 96
    scenes_per_step: int = 4
    vae_batch: int = 12
    vae_crop: int = 64
    vae_picture: int = 192
    native_side: int = 256
    refine_strength: float = 0.08  # share of the schedule that refines an enlarged picture
    autocast: bool = False


# pictures of every shape, squashed: the engine generates in this square and stretches the result
NATIVE = [([Frame(256, 256, squashed=True)], 1.0)]
# windows of larger pictures, nearly finished: what the second pass of a two-pass generation has to do
REFINE = [
    ([Frame(512, 512, window=(t, l, 192, 192), largest_sigma=0.65) for t in (0, 160, 320) for l in (0, 160, 320)], 0.5),
    ([Frame(1024, 1024, window=(t, l, 192, 192), largest_sigma=0.5) for t in (0, 416, 832) for l in (0, 416, 832)], 0.3),
    (both(384, 640, window=(96, 96, 192, 192), largest_sigma=0.65), 0.2),
]


def weighted(*groups):
    return [(frames, share * weight) for rows, weight in groups for frames, share in rows]


CPU = Preset(
    vae=dict(block_out_channels=[32, 32, 64, 64], layers_per_block=1, norm_num_groups=4),
    text_width=192,
    pooled_width=128,
    t5_length=24,
    t5=dict(d_kv=32, d_ff=384, num_heads=6, num_layers=2),
    clip=dict(num_hidden_layers=2, num_attention_heads=4, intermediate_size=384),
    siglip=dict(hidden_size=192, intermediate_size=576, num_hidden_layers=2, num_attention_heads=6, image_size=128, patch_size=8),
    flux=dict(num_layers=2, num_single_layers=4, attention_head_dim=64, num_attention_heads=3, axes_dims_rope=[8, 28, 28]),
    phases=[
        Phase(0.5, NATIVE),
        Phase(1e9, weighted((NATIVE, 0.82), (REFINE, 0.18))),
    ],
    tokens_per_batch=32 * 152,
    smallest_batch=8,
    learning_rate=8e-4,
    average=0.998,
    hours=8.0,
    distil_from=0.75,
)

GPU = Preset(
    vae=dict(block_out_channels=[32, 64, 64, 96], layers_per_block=1, norm_num_groups=4),
    text_width=192,
    pooled_width=128,
    t5_length=32,
    t5=dict(d_kv=32, d_ff=448, num_heads=6, num_layers=2),
    clip=dict(num_hidden_layers=2, num_attention_heads=4, intermediate_size=384),
    siglip=dict(hidden_size=192, intermediate_size=640, num_hidden_layers=3, num_attention_heads=6, image_size=128, patch_size=8),
    flux=dict(num_layers=2, num_single_layers=4, attention_head_dim=64, num_attention_heads=4, axes_dims_rope=[8, 28, 28]),
    phases=[
        Phase(0.05, NATIVE),
        Phase(1e9, weighted((NATIVE, 0.8), (REFINE, 0.2))),
    ],
    tokens_per_batch=256 * 432,
    smallest_batch=64,
    learning_rate=1e-3,
    average=0.9995,
    hours=0.3,
    distil_from=0.12,
    pool_capacity=6000,
    pool_start=512,
    scenes_per_step=24,
    vae_batch=96,
    vae_crop=128,
    vae_picture=256,
    autocast=True,
)

PRESETS = {"cpu": CPU, "gpu": GPU}
