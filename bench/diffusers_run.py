"""One measured generation with diffusers, in a process of its own so that its peak memory is its own.

Run by compare_diffusers.py; writes a JSON object with the stage times to --result.
"""

import argparse
import json
import time
from pathlib import Path


def source_picture():
    """A smooth synthetic picture: what is in it does not matter for the time."""
    import numpy as np
    from PIL import Image

    y, x = np.mgrid[0:384, 0:512]
    pixels = np.stack([x % 256, y % 256, (x * y // 512) % 256], 2).astype(np.uint8)
    return Image.fromarray(pixels)


def measure(options):
    """Stage times in milliseconds and seconds per step; the first step is warm-up and is left out."""
    import torch
    from diffusers import FluxPipeline, FluxPriorReduxPipeline

    torch.set_num_threads(options.threads)
    marks = {"start": time.perf_counter()}
    flux = FluxPipeline.from_pretrained(options.base, dtype=torch.float32)
    prior = FluxPriorReduxPipeline.from_pretrained(
        options.redux, text_encoder=flux.text_encoder, tokenizer=flux.tokenizer, text_encoder_2=flux.text_encoder_2,
        tokenizer_2=flux.tokenizer_2, dtype=torch.float32,
    )  # fmt: skip
    marks["loaded"] = time.perf_counter()
    condition = prior(source_picture(), prompt=options.prompt, prompt_2=options.prompt)
    marks["conditioned"] = time.perf_counter()
    steps = []

    def on_step_end(pipeline, index, timestep, arguments):
        steps.append(time.perf_counter())
        return arguments

    latents = flux(
        **condition, height=options.height, width=options.width, num_inference_steps=options.steps, guidance_scale=3.5,
        generator=torch.Generator().manual_seed(0), output_type="latent", callback_on_step_end=on_step_end,
    ).images  # fmt: skip
    marks["denoised"] = time.perf_counter()
    with torch.no_grad():
        latents = flux._unpack_latents(latents, options.height, options.width, flux.vae_scale_factor)
        latents = latents / flux.vae.config.scaling_factor + flux.vae.config.shift_factor
        picture = flux.vae.decode(latents, return_dict=False)[0]
        flux.image_processor.postprocess(picture, output_type="pil")
    marks["decoded"] = time.perf_counter()
    intervals = [later - earlier for earlier, later in zip(steps, steps[1:])]
    return {
        "seconds_per_step": sorted(intervals)[len(intervals) // 2] if intervals else None,
        "step_seconds": intervals,
        "load_ms": 1e3 * (marks["loaded"] - marks["start"]),
        "condition_ms": 1e3 * (marks["conditioned"] - marks["loaded"]),
        "denoise_ms": 1e3 * (marks["denoised"] - marks["conditioned"]),
        "decode_ms": 1e3 * (marks["decoded"] - marks["denoised"]),
        "context_tokens": condition["prompt_embeds"].shape[1],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--redux", type=Path, required=True)
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--height", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt", default="the picture and the sea")
    parser.add_argument("--result", type=Path, required=True)
    options = parser.parse_args()
    options.result.write_text(json.dumps(measure(options)), encoding="utf-8")


if __name__ == "__main__":
    main()
