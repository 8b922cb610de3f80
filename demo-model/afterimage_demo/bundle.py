"""Writes the trained networks as a bundle in the diffusers layout, bf16: base in the root, Redux in `redux/`."""

import json
import shutil
from pathlib import Path

import torch

from .networks import build_networks, build_vae
from .prompt_tokens import write_json

SCHEDULER = {
    "_class_name": "FlowMatchEulerDiscreteScheduler", "base_image_seq_len": 256, "base_shift": 0.5, "max_image_seq_len": 4096,
    "max_shift": 1.15, "num_train_timesteps": 1000, "shift": 3.0, "use_dynamic_shifting": True,
}  # fmt: skip
FLUX_CLASSES = {
    "_class_name": "FluxPipeline",
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "text_encoder_2": ["transformers", "T5EncoderModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "tokenizer_2": ["transformers", "T5TokenizerFast"],
    "transformer": ["diffusers", "FluxTransformer2DModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
REDUX_CLASSES = {
    "_class_name": "FluxPriorReduxPipeline",
    "feature_extractor": ["transformers", "SiglipImageProcessor"],
    "image_embedder": ["flux", "ReduxImageEncoder"],
    "image_encoder": ["transformers", "SiglipVisionModel"],
}


def preprocessing(side):
    return {
        "do_convert_rgb": True, "do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3, "image_processor_type": "SiglipImageProcessor", "resample": 3, "rescale_factor": 1 / 255,
        "size": {"height": side, "width": side},
    }  # fmt: skip


def two_passes(preset):
    """What Afterimage reads beside diffusers' files: larger pictures are made at the native size, enlarged and refined."""
    return {"enlarge": {"from_pixels": preset.native_side**2, "refine_strength": preset.refine_strength, "square": True}}


def load_trained(preset, folder, average=True):
    """(vae, networks) of a training folder, in f32, for evaluation or export."""
    folder = Path(folder)
    vae, networks = build_vae(preset), build_networks(preset, folder)
    vae.load_state_dict(torch.load(folder / "vae-average.pt", map_location="cpu"))
    state = torch.load(folder / "flow.pt", map_location="cpu", weights_only=False)
    networks.load_state_dict(state["average" if average else "networks"])
    vae.eval().requires_grad_(False)
    networks.eval().requires_grad_(False)
    return vae, networks, {"step": state["step"], "hours": state["hours"]}


def restore_from_bundle(preset, bundle, folder):
    """Make a training folder of a bundle: tokenizers, autoencoder and weights, without the optimiser's state.

    A bundle is what survives when a working folder is lost; training continues from it after a new warm-up.
    """
    from diffusers import AutoencoderKL
    from safetensors.torch import load_file

    folder, bundle = Path(folder), Path(bundle)
    for name in ("tokenizer", "tokenizer_2"):
        shutil.copytree(bundle / name, folder / name, dirs_exist_ok=True)
    vae = AutoencoderKL.from_pretrained(bundle / "vae", dtype=torch.float32)
    torch.save(vae.state_dict(), folder / "vae-average.pt")
    networks = build_networks(preset, folder)
    for name, network in networks.items():
        place = bundle / "redux" / name if name.startswith("image_") else bundle / name
        weights = {key: value.float() for path in place.glob("*.safetensors") for key, value in load_file(path).items()}
        missing, unexpected = network.load_state_dict(weights, strict=False)
        # T5 stores its shared embedding once
        missing = [key for key in missing if key != "encoder.embed_tokens.weight"]
        if missing or unexpected:
            raise ValueError(f"{place}: missing {missing}, unexpected {unexpected}")
    return networks


def write_bundle(preset, folder, bundle):
    """Write the bundle and return its size in bytes."""
    folder, bundle = Path(folder), Path(bundle)
    vae, networks, _ = load_trained(preset, folder)
    scaling = folder / "vae-scaling.json"
    if scaling.exists():
        vae.register_to_config(**json.loads(scaling.read_text(encoding="utf-8")))
    for name in ("tokenizer", "tokenizer_2"):
        shutil.copytree(folder / name, bundle / name, dirs_exist_ok=True)
    vae.bfloat16().save_pretrained(bundle / "vae")
    for name in ("transformer", "text_encoder", "text_encoder_2"):
        networks[name].bfloat16().save_pretrained(bundle / name)
    for name in ("image_encoder", "image_embedder"):
        networks[name].bfloat16().save_pretrained(bundle / "redux" / name)
    for path, value in (
        (bundle / "scheduler/scheduler_config.json", SCHEDULER),
        (bundle / "redux/feature_extractor/preprocessor_config.json", preprocessing(preset.siglip["image_size"])),
        (bundle / "model_index.json", FLUX_CLASSES),
        (bundle / "redux/model_index.json", REDUX_CLASSES),
        (bundle / "afterimage.json", two_passes(preset)),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, value)
    return sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())
