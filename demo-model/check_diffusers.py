"""Show that stock diffusers loads the bundle: a Redux variation with a prompt, and image-to-image.

    python check_diffusers.py bundle --size 256 --picture check.png
"""

import argparse

import numpy as np
import torch
from diffusers import FluxImg2ImgPipeline, FluxPipeline, FluxPriorReduxPipeline
from PIL import Image

from afterimage_demo.painting import paint
from afterimage_demo.variation import sample_spec


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=28)
    parser.add_argument("--prompt", default="blue")
    parser.add_argument("--picture", default="check.png")
    options = parser.parse_args()
    size, text = options.size, options.prompt
    flux = FluxPipeline.from_pretrained(options.bundle, dtype=torch.float32)
    encoders = {name: getattr(flux, name) for name in ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")}
    prior = FluxPriorReduxPipeline.from_pretrained(f"{options.bundle}/redux", dtype=torch.float32, **encoders)
    painted = paint(sample_spec(np.random.default_rng(5)), size, size, torch.Generator().manual_seed(0))
    source = Image.fromarray((painted * 255).byte().permute(1, 2, 0).numpy())
    # the bundle's own T5 length: the prior pipeline would pad to 512, and padding is attended
    length = flux.tokenizer_2.model_max_length
    context, pooled, _ = flux.encode_prompt(prompt=text, prompt_2=text, max_sequence_length=length)
    redux = prior.image_embedder(prior.encode_image(source, "cpu", 1)).image_embeds
    common = dict(height=size, width=size, num_inference_steps=options.steps, guidance_scale=3.5)
    variation = flux(prompt_embeds=torch.cat([context, redux], 1), pooled_prompt_embeds=pooled,
                     generator=torch.Generator().manual_seed(0), **common).images[0]  # fmt: skip
    reshaped = FluxImg2ImgPipeline(**flux.components)(prompt="", image=source, strength=0.5, max_sequence_length=length,
                                                      generator=torch.Generator().manual_seed(0), **common).images[0]  # fmt: skip
    strip = Image.new("RGB", (3 * size, size))
    for index, picture in enumerate((source, variation, reshaped)):
        strip.paste(picture, (index * size, 0))
    strip.save(options.picture)
    print(f"T5 length {length}, {redux.shape[1]} Redux tokens; {options.picture}: source, variation with {text!r}, image-to-image 0.5")


if __name__ == "__main__":
    main()
