"""Seconds of a step of FLUX.1-dev's transformer in diffusers on a card, bf16, 1024² with 512 + 729 context tokens, as JSON.

    python3 bench/gpu/diffusers_step.py

Random weights, made on the card; needs torch and diffusers with 24 GB of memory there.
"""

import json
import statistics
import time

import torch
from diffusers import FluxTransformer2DModel


def main():
    with torch.device("cuda"):
        torch.set_default_dtype(torch.bfloat16)
        model = FluxTransformer2DModel(guidance_embeds=True).eval()
        context, image = 512 + 729, 4096
        inputs = {
            "hidden_states": torch.randn(1, image, 64),
            "encoder_hidden_states": torch.randn(1, context, 4096),
            "pooled_projections": torch.randn(1, 768),
            "timestep": torch.tensor([0.5]),
            "guidance": torch.tensor([2.5]),
            "txt_ids": torch.zeros(context, 3),
            "img_ids": torch.zeros(image, 3),
        }
    seconds = []
    with torch.inference_mode():
        for _ in range(8):
            torch.cuda.synchronize()
            start = time.perf_counter()
            model(**inputs)
            torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
    report = {"torch": torch.__version__, "card": torch.cuda.get_device_name(), "step_s": seconds}
    report |= {"median_s": statistics.median(seconds[2:]), "peak_gib": torch.cuda.max_memory_allocated() / 2**30}
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
