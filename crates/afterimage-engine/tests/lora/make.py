#!/usr/bin/env python3
"""Makes the LoRA files of this folder and what PEFT computes with them.

    pip install torch "diffusers==0.42.1" peft transformers safetensors
    python3 make.py

The tiny dev-like model of tests/parity gets adapters by PEFT's own layers (`inject_adapter_in_model`); the velocity and
the encoders' outputs with each of them are recorded in f32. The files hold the same numbers under the names of each form.
diffusers' converters take no part: they drop layers outside the blocks and `lora_te3`, and divide alpha by rank in f16.
The first file is written by diffusers itself, with alpha in the header.
"""
import math
from pathlib import Path

import torch
from diffusers import FluxPipeline, FluxTransformer2DModel
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import save_file
from transformers import CLIPTextModel, T5EncoderModel

HERE = Path(__file__).parent
BASE = HERE.parent / "parity/bundles/dev/base"
RANK = 2
torch.manual_seed(16)


def numbers(*shape, scale=0.12):
    """Numbers that bf16 holds exactly."""
    return (torch.randn(*shape) * scale).bfloat16().float()


def inject(model, names, alpha, bias=False, rank=RANK):
    """`model` with an adapter on the modules `names`; returns module -> (A, B, bias)."""
    pattern = "|".join(name.replace(".", r"\.") for name in names)
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=f"({pattern})", lora_bias=bias)
    inject_adapter_in_model(config, model)
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, LoraLayer):
            down, up = module.lora_A["default"], module.lora_B["default"]
            down.weight.data = numbers(*down.weight.shape)
            up.weight.data = numbers(*up.weight.shape)
            if bias:
                up.bias.data = numbers(*up.bias.shape)
            found[name] = module
    assert sorted(found) == sorted(names), set(names) ^ set(found)
    return found, config


def share(found, *groups):
    """Gives the modules of each group one `lora_A`, as adapters of fused layers have."""
    for group in groups:
        first = found[group[0]].lora_A["default"].weight
        for name in group[1:]:
            found[name].lora_A["default"].weight.data = first.data.clone()


OUTSIDE = {
    "x_embedder": "img_in", "context_embedder": "txt_in", "proj_out": "final_layer.linear",
    "norm_out.linear": "final_layer.adaLN_modulation.1",
    "time_text_embed.timestep_embedder.linear_1": "time_in.in_layer",
    "time_text_embed.timestep_embedder.linear_2": "time_in.out_layer",
    "time_text_embed.guidance_embedder.linear_1": "guidance_in.in_layer",
    "time_text_embed.guidance_embedder.linear_2": "guidance_in.out_layer",
    "time_text_embed.text_embedder.linear_1": "vector_in.in_layer",
    "time_text_embed.text_embedder.linear_2": "vector_in.out_layer",
}
DOUBLE = {
    "norm1.linear": "img_mod.lin", "norm1_context.linear": "txt_mod.lin", "attn.to_out.0": "img_attn.proj",
    "attn.to_add_out": "txt_attn.proj", "ff.net.0.proj": "img_mlp.0", "ff.net.2": "img_mlp.2",
    "ff_context.net.0.proj": "txt_mlp.0", "ff_context.net.2": "txt_mlp.2",
}
QKV = {"img_attn.qkv": ["attn.to_q", "attn.to_k", "attn.to_v"],
       "txt_attn.qkv": ["attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"]}
SINGLE = {"norm.linear": "modulation.lin", "proj_out": "linear2"}
LINEAR1 = ["attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"]


def modules(doubles, singles, outside=True):
    """diffusers' modules, and BFL's fused ones: BFL name -> diffusers names."""
    plain = {bfl: [name] for name, bfl in OUTSIDE.items()} if outside else {}
    for n in doubles:
        plain |= {f"double_blocks.{n}.{bfl}": [f"transformer_blocks.{n}.{name}"] for name, bfl in DOUBLE.items()}
        plain |= {f"double_blocks.{n}.{bfl}": [f"transformer_blocks.{n}.{name}" for name in names]
                  for bfl, names in QKV.items()}
    for n in singles:
        block = f"single_transformer_blocks.{n}"
        plain |= {f"single_blocks.{n}.{bfl}": [f"{block}.{name}"] for name, bfl in SINGLE.items()}
        plain[f"single_blocks.{n}.linear1"] = [f"{block}.{name}" for name in LINEAR1]
    return plain


def exchanged(name, tensor):
    """diffusers' norm_out has scale first, BFL's final layer shift."""
    return torch.cat(tensor.chunk(2)[::-1]) if name == "norm_out.linear" else tensor


def fused(found, layers):
    """BFL name -> (A, B, bias) of layers with one A."""
    out = {}
    for bfl, names in layers.items():
        down = found[names[0]].lora_A["default"].weight
        ups = [exchanged(name, found[name].lora_B["default"].weight) for name in names]
        biases = [found[name].lora_B["default"].bias for name in names]
        bias = None if biases[0] is None else torch.cat([exchanged(n, b) for n, b in zip(names, biases)])
        out[bfl] = (down, torch.cat(ups), bias)
    return out


GRID = (3, 2)
INPUTS = {
    "latents": numbers(GRID[0] * GRID[1], 64, scale=1), "context": numbers(5, 48, scale=1),
    "pooled": numbers(32, scale=1), "timestep": torch.tensor([0.7]), "guidance": torch.tensor([3.5]),
}
ids = torch.tensor([[0.0, r, c] for r in range(GRID[0]) for c in range(GRID[1])])
recorded = dict(INPUTS)


@torch.no_grad()
def velocity(model):
    return model(
        hidden_states=INPUTS["latents"][None], encoder_hidden_states=INPUTS["context"][None],
        pooled_projections=INPUTS["pooled"][None], timestep=INPUTS["timestep"], guidance=INPUTS["guidance"],
        img_ids=ids, txt_ids=torch.zeros(5, 3), return_dict=False)[0][0]


def transformer():
    return FluxTransformer2DModel.from_pretrained(BASE / "transformer", torch_dtype=torch.float32).eval()


def record(name, model):
    recorded[f"velocity.{name}"] = velocity(model)
    change = (recorded[f"velocity.{name}"] - recorded["velocity"]).abs().max() / recorded["velocity"].abs().max()
    print(f"{name}: the velocity changes by {change:.2f}")
    assert 0.05 < change < 50


def save(name, tensors, metadata=None):
    tensors = {key: value.detach().bfloat16().contiguous().clone() for key, value in tensors.items()}
    save_file(tensors, HERE / f"{name}.safetensors", metadata=metadata)


recorded["velocity"] = velocity(transformer())

# diffusers, written by diffusers: every layer, separate projections, alpha in the header.
every = modules([0, 1], [0, 1])
names = [name for names in every.values() for name in names]
model = transformer()
found, config = inject(model, names, alpha=3)
record("peft", model)
model.peft_config = {"default": config}
state = {key: value.bfloat16() for key, value in get_peft_model_state_dict(model).items()}
metadata = {key: sorted(value) if isinstance(value, set) else value for key, value in config.to_dict().items()}
FluxPipeline.save_lora_weights(HERE, transformer_lora_layers=state, weight_name="peft.safetensors",
                               transformer_lora_adapter_metadata=metadata)

# The forms that name fused layers.
some = modules([1], [0])
FUSED = {
    "kohya": (1.0, lambda bfl: "lora_unet_" + bfl.replace(".", "_"), ".lora_down.weight", ".lora_up.weight", True),
    "comfyui": (5.0, lambda bfl: f"diffusion_model.{bfl}", ".lora_A.weight", ".lora_B.weight", True),
    "bfl": (RANK, lambda bfl: bfl, ".lora_A.weight", ".lora_B.weight", False),
    "fal": (RANK, lambda bfl: f"base_model.model.{bfl}", ".lora_A.weight", ".lora_B.weight", False),
}
for form, (alpha, name_of, down, up, with_alpha) in FUSED.items():
    model = transformer()
    names = [name for names in some.values() for name in names]
    found, _ = inject(model, names, alpha=alpha, bias=form == "bfl")
    share(found, *[names for names in some.values() if len(names) > 1])
    record(form, model)
    tensors = {}
    for bfl, (a, b, bias) in fused(found, some).items():
        tensors |= {name_of(bfl) + down: a, name_of(bfl) + up: b}
        if with_alpha:
            tensors[name_of(bfl) + ".alpha"] = torch.tensor(alpha)
        if bias is not None:
            tensors[name_of(bfl) + ".lora_B.bias"] = bias
    save(form, tensors)

# ai-toolkit: diffusers' modules with underscores, separate projections.
model = transformer()
names = [name for names in some.values() for name in names]
found, _ = inject(model, names, alpha=1.5)
record("ai-toolkit", model)
tensors = {}
for name, module in found.items():
    key = "lora_transformer_" + name.replace(".", "_")
    tensors |= {f"{key}.lora_down.weight": module.lora_A["default"].weight,
                f"{key}.lora_up.weight": module.lora_B["default"].weight, f"{key}.alpha": torch.tensor(1.5)}
save("ai-toolkit", tensors)

# XLabs: attention only; a single block's projection is its whole second layer.
layers = {}
for n in (0, 1):
    block = f"transformer_blocks.{n}"
    layers |= {f"double_blocks.{n}.processor.qkv_lora1": [f"{block}.{name}" for name in QKV["img_attn.qkv"]],
               f"double_blocks.{n}.processor.qkv_lora2": [f"{block}.{name}" for name in QKV["txt_attn.qkv"]],
               f"double_blocks.{n}.processor.proj_lora1": [f"{block}.attn.to_out.0"],
               f"double_blocks.{n}.processor.proj_lora2": [f"{block}.attn.to_add_out"]}
layers |= {"single_blocks.1.processor.qkv_lora": [f"single_transformer_blocks.1.{name}" for name in LINEAR1[:3]],
           "single_blocks.1.processor.proj_lora": ["single_transformer_blocks.1.proj_out"]}
model = transformer()
found, _ = inject(model, [name for names in layers.values() for name in names], alpha=RANK)
share(found, *[names for names in layers.values() if len(names) > 1])
record("xlabs", model)
tensors = {}
for name, (a, b, _) in fused(found, layers).items():
    tensors |= {f"{name}.down.weight": a, f"{name}.up.weight": b}
save("xlabs", tensors)

# Text encoders, in kohya's and in diffusers' names.
clip_ids = torch.tensor([[0, 5, 9, 3, 1]])
t5_ids = torch.tensor([[7, 3, 11, 4, 1]])
recorded |= {"clip_ids": clip_ids.float(), "t5_ids": t5_ids.float()}


def encoders():
    clip = CLIPTextModel.from_pretrained(BASE / "text_encoder", torch_dtype=torch.float32).eval()
    t5 = T5EncoderModel.from_pretrained(BASE / "text_encoder_2", torch_dtype=torch.float32).eval()
    return clip, t5


for form, alpha in (("kohya", 1.0), ("peft", RANK)):
    clip, t5 = encoders()
    of_clip = [name for name, module in clip.named_modules()
               if isinstance(module, torch.nn.Linear) and "encoder.layers" in name]
    of_t5 = [name for name, module in t5.named_modules() if isinstance(module, torch.nn.Linear)]
    tensors = {}
    for model, names, kohya, peft in ((clip, of_clip, "lora_te1_", "text_encoder."),
                                      (t5, of_t5, "lora_te3_", "text_encoder_2.")):
        found, _ = inject(model, names, alpha=alpha)
        for name, module in found.items():
            a, b = module.lora_A["default"].weight, module.lora_B["default"].weight
            if model is clip and not name.startswith("text_model."):
                name = f"text_model.{name}"
            if form == "kohya":
                key = kohya + name.replace(".", "_")
                tensors |= {f"{key}.lora_down.weight": a, f"{key}.lora_up.weight": b, f"{key}.alpha": torch.tensor(alpha)}
            else:
                tensors |= {f"{peft}{name}.lora_A.weight": a, f"{peft}{name}.lora_B.weight": b}
    save(f"text-{form}", tensors)
    with torch.no_grad():
        recorded[f"clip.{form}"] = clip(clip_ids).last_hidden_state[0]
        recorded[f"t5.{form}"] = t5(t5_ids).last_hidden_state[0]
with torch.no_grad():
    clip, t5 = encoders()
    recorded |= {"clip": clip(clip_ids).last_hidden_state[0], "t5": t5(t5_ids).last_hidden_state[0]}

save_file({key: value.contiguous().clone() for key, value in recorded.items()}, HERE / "recorded.safetensors")
