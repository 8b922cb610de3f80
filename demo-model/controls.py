"""Make the pictures of docs/controls.md, with the built program and the demo model embedded in it.

    python controls.py --binary ../target/release/afterimage

All seeds are fixed and nothing is chosen by hand. Needs numpy and Pillow.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

from gallery_photos import PHOTOS
from PIL import Image, ImageDraw

DOCS = Path(__file__).resolve().parent / "../docs"
LAKE = DOCS / "photos/lake.jpg"
HEIGHT, GAP = 176, 6  # of a strip, in pixels
SIZE = "256x192"
LEVELS = ["picture", "more-picture", "even", "more-prompt", "prompt"]


class Controls:
    def __init__(self, binary, scratch, folder):
        self.binary, self.scratch, self.folder = binary, Path(scratch), folder
        self.sources = {"lake": LAKE}
        for name, render in PHOTOS.items():
            self.sources[name] = self.save(name, render().convert("RGB"))

    def save(self, name, picture):
        path = self.scratch / f"{name}.png"
        picture.save(path)
        return path

    def picture(self, name):
        return Image.open(self.sources[name]).convert("RGB")

    def mask(self, name, paint):
        """A mask over the picture `name`: `paint` draws on it with a width and a height of 1."""
        mask = Image.new("L", self.picture(name).size, 0)
        draw = ImageDraw.Draw(mask)
        paint(lambda left, top, right, bottom: draw.ellipse(
            [left * mask.width, top * mask.height, right * mask.width, bottom * mask.height], fill=255
        ))
        return mask

    def run(self, command, *flags, size=SIZE, count=1):
        out = self.scratch / "made.png"
        arguments = [*map(str, flags), "--num-images", str(count), "--output", str(out), "--quiet"]
        arguments += ["--size", size] if size else []
        subprocess.run([self.binary, command, *arguments], check=True)
        paths = [out] if count == 1 else [self.scratch / f"made-{number + 1}.png" for number in range(count)]
        return [Image.open(path).convert("RGB") for path in paths]

    def strip(self, name, pictures, given=1):
        """Saves pictures side by side; the first `given`, what goes in, stand a little apart."""
        scaled = [p.convert("RGB").resize((max(1, round(p.width * HEIGHT / p.height)), HEIGHT), Image.LANCZOS) for p in pictures]
        gaps = [0] + [3 * GAP if index == given else GAP for index in range(1, len(scaled))]
        strip = Image.new("RGB", (sum(gaps) + sum(p.width for p in scaled), HEIGHT), "white")
        place = 0
        for gap, picture in zip(gaps, scaled, strict=True):
            strip.paste(picture, (place + gap, 0))
            place += gap + picture.width
        strip.save(self.folder / f"{name}.jpg", quality=82, optimize=True)

    def make(self):
        lake, bay, fruit = (self.sources[name] for name in ("lake", "bay", "fruit"))
        restyle = ["--prompt", "green", "--seed", "2"]
        levels = [self.run("vary", bay, *restyle, "--balance", level)[0] for level in LEVELS]
        self.strip("balance", [self.picture("bay"), *levels])

        masks = [self.mask("fruit", lambda oval: oval(-0.5, -1.0, 0.5, 2.0)), self.mask("fruit", lambda oval: oval(0.5, -1.0, 1.5, 2.0))]
        spoken = [self.run("vary", fruit, "--image-mask", self.save("mask", mask), "--seed", "3")[0] for mask in masks]
        whole = self.run("vary", fruit, "--seed", "3")
        self.strip("image-mask", [self.picture("fruit"), masks[0], spoken[0], masks[1], spoken[1], *whole])

        started = [self.run("vary", fruit, "--init", bay, "--strength", s, "--seed", "4")[0] for s in (0.3, 0.6, 0.9)]
        self.strip("init", [self.picture("fruit"), self.picture("bay"), *started], given=2)

        mask = self.mask("lake", lambda oval: oval(0.3, 0.05, 0.9, 0.6))
        paint = [lake, "--mask", self.save("mask", mask), "--prompt", "blue", "--strength", "0.9", "--seed", "5"]
        self.strip("inpainting", [
            self.picture("lake"), mask, *self.run("img2img", *paint), *self.run("img2img", *paint, "--keep-outside"),
            *self.run("img2img", *paint, "--keep-outside", "--mask-blur", "24"),
        ], given=2)

        spans = ["1", "1@0:0.3,0@0.3:1", "0@0:0.3,1@0.3:1", "0"]
        self.strip("spans", [self.picture("bay"), *(self.run("vary", bay, *restyle, "--redux-strength", s)[0] for s in spans)])

        near = ["--seed", "1", "--variation-seed", "9"]
        mixed = [self.run("vary", bay, *near, "--variation-strength", s)[0] for s in (0, 0.1, 0.25, 0.5, 1)]
        self.strip("variation-seed", [self.picture("bay"), *mixed])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(DOCS / "../target/release/afterimage"))
    options = parser.parse_args()
    folder = DOCS / "controls"
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        Controls(options.binary, scratch, folder).make()


if __name__ == "__main__":
    main()
