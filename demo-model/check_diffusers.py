"""Show that stock diffusers loads the bundle and makes the same pictures as the program that embeds it.

    python check_diffusers.py ../crates/afterimage-demo/bundle --binary ../target/release/afterimage --picture check.png

Redux variations with and without a prompt and image-to-image, in f32 with the same seeds; fails below 45 dB. Without
`--binary` only diffusers runs.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from diffusers import FluxImg2ImgPipeline, FluxPipeline, FluxPriorReduxPipeline
from PIL import Image

REQUIRED_DB = 45
PHOTO = Path(__file__).parent / "../docs/photos/lake.jpg"
# name, size, seed, prompt, strength of image-to-image
CASES = [
    ("variation", (256, 256), 1, "", None),
    ("restyled", (320, 192), 2, "blue", None),
    ("image-to-image", (256, 192), 3, "night", 0.6),
]


class Diffusers:
    def __init__(self, bundle, steps):
        self.steps = steps
        self.flux = FluxPipeline.from_pretrained(bundle, dtype=torch.float32)
        encoders = {name: getattr(self.flux, name) for name in ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")}
        self.prior = FluxPriorReduxPipeline.from_pretrained(f"{bundle}/redux", dtype=torch.float32, **encoders)
        self.reshaping = FluxImg2ImgPipeline(**self.flux.components)
        # the bundle's own T5 length: the pipelines would pad to 512, and padding is attended
        self.length = self.flux.tokenizer_2.model_max_length

    def make(self, source, size, seed, prompt, strength):
        common = {
            "width": size[0], "height": size[1], "num_inference_steps": self.steps, "guidance_scale": 3.5,
            "generator": torch.Generator().manual_seed(seed),
        }  # fmt: skip
        if strength is not None:
            return self.reshaping(prompt=prompt, image=source, strength=strength, max_sequence_length=self.length, **common).images[0]
        context, pooled, _ = self.flux.encode_prompt(prompt=prompt, prompt_2=prompt, max_sequence_length=self.length)
        redux = self.prior.image_embedder(self.prior.encode_image(source, "cpu", 1)).image_embeds
        return self.flux(prompt_embeds=torch.cat([context, redux], 1), pooled_prompt_embeds=pooled, **common).images[0]


def make_with_binary(binary, photo, steps, size, seed, prompt, strength):
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/made.png"
        command = [binary, "vary" if strength is None else "img2img", photo, "--output", path, "--quiet", "--dtype", "f32",
                   "--device", "cpu", "--enlarge", "off", "--size", f"{size[0]}x{size[1]}", "--steps", str(steps),
                   "--seed", str(seed), "--prompt", prompt]  # fmt: skip
        if strength is not None:
            command += ["--strength", str(strength)]
        subprocess.run(command, check=True)
        return Image.open(path).convert("RGB")


def psnr(first, second):
    difference = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    return 10 * np.log10(255**2 / max(np.mean(difference**2), 1e-9))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("--binary", help="the built program, to compare with")
    parser.add_argument("--photo", type=Path, default=PHOTO)
    parser.add_argument("--steps", type=int, default=28)
    parser.add_argument("--picture", help="where to write all pictures side by side")
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    diffusers = Diffusers(options.bundle, options.steps)
    source = Image.open(options.photo).convert("RGB")
    row, worst = [source], float("inf")
    print(f"loaded by diffusers; T5 length {diffusers.length}")
    for name, *case in CASES:
        expected = diffusers.make(source, *case)
        row.append(expected)
        if options.binary:
            made = make_with_binary(options.binary, options.photo, options.steps, *case)
            row.append(made)
            worst = min(worst, psnr(made, expected))
            print(f"{name}: {psnr(made, expected):.1f} dB")
    if options.picture:
        strip = Image.new("RGB", (256 * len(row), 256))
        for index, picture in enumerate(row):
            strip.paste(picture.resize((256, 256), Image.LANCZOS), (index * 256, 0))
        strip.save(options.picture)
    if worst < REQUIRED_DB:
        sys.exit(f"{worst:.1f} dB; at least {REQUIRED_DB} are required")


if __name__ == "__main__":
    main()
