"""Make the pictures of docs/controls.md and what goes into them, with the built program and the demo model embedded in it.

    python controls.py --binary ../target/release/afterimage

The commands are those that the page prints: they run in the repository's root and read docs/controls/inputs. All seeds are
fixed. Needs numpy and Pillow.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from gallery_photos import PHOTOS, photo
from PIL import Image
from strips import strip

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs/controls"
LAKE = "docs/photos/lake.jpg"
INPUTS = "docs/controls/inputs"
BAY, FRUIT, LEFT, RIGHT, SKY = (f"{INPUTS}/{name}" for name in ("bay.jpg", "fruit.jpg", "left.png", "right.png", "lake-sky.png"))
SMALL, LARGE = "256x192", "512x384"
SKY_SIZE = (512, 384)
LEVELS = ["picture", "more-picture", "even", "more-prompt", "prompt"]


def half(left):
    """A mask that is white in one half, of any size: it is laid over the whole picture."""
    mask = Image.new("L", (480, 480))
    mask.paste(255, (0, 0, 240, 480) if left else (240, 0, 480, 480))
    return mask


def sky():
    """The mask of the lake's sky: the same mountains and trees, painted on light so strong that only sky stays bright."""
    light, width, height = 1000.0, *SKY_SIZE
    y, x = np.mgrid[0 : 2 * height, 0 : 2 * width].astype(np.float32)
    x, y = x / (2 * width), y / (2 * height)
    behind = photo.land(np.full((*x.shape, 3), light, np.float32), x, y)
    behind[y[:, 0] >= photo.HORIZON] = 0
    before = np.full((photo.H, photo.W, 3), light, np.float32)
    for tree in photo.TREES:
        before = photo.conifer(before, *tree)
    free = [
        np.asarray(Image.fromarray(np.clip(layer[..., 0] / light, 0, 1)).resize(SKY_SIZE, Image.BOX), np.float32)
        for layer in (behind, before)
    ]
    return Image.fromarray(np.rint(free[0] * free[1] * 255).astype(np.uint8))


def write_inputs():
    (ROOT / INPUTS).mkdir(parents=True, exist_ok=True)
    for path, name in ((BAY, "bay"), (FRUIT, "fruit")):
        PHOTOS[name]().convert("RGB").save(ROOT / path, quality=90, optimize=True)
    for path, mask in ((LEFT, half(True)), (RIGHT, half(False)), (SKY, sky())):
        mask.save(ROOT / path, optimize=True)


class Controls:
    def __init__(self, binary, scratch):
        self.binary, self.out = str(Path(binary).resolve()), str(Path(scratch) / "made.png")

    def run(self, command, *flags, size=SMALL):
        arguments = [*map(str, flags), "--size", size, "--output", self.out, "--quiet"]
        subprocess.run([self.binary, command, *arguments], check=True, cwd=ROOT)
        return Image.open(self.out).convert("RGB")

    def show(self, name, inputs, results):
        """A strip of files that go in and pictures that came out, both by their labels."""
        given = {label: Image.open(ROOT / path) for label, path in inputs.items()}
        row = [*given.items(), *results.items()]
        strip(FOLDER / f"{name}.jpg", [picture for _, picture in row], [label for label, _ in row], len(given))

    def make(self):
        green = ["vary", BAY, "--prompt", "green", "--seed", 2]
        self.show("balance", {"picture": BAY}, {level: self.run(*green, "--balance", level) for level in LEVELS})
        spans = {
            "1": "1", "1, then 0.4": "1@0:0.3,0.4@0.3:1", "1, then 0": "1@0:0.3,0@0.3:1", "0, then 1": "0@0:0.3,1@0.3:1", "0": "0",
        }  # fmt: skip
        self.show("spans", {"picture": BAY}, {label: self.run(*green, "--redux-strength", value) for label, value in spans.items()})

        fruit = ["vary", FRUIT, "--seed", 5]
        self.show("image-mask", {"picture": FRUIT, "left.png": LEFT, "right.png": RIGHT}, {
            "no mask": self.run(*fruit),
            "left.png": self.run(*fruit, "--image-mask", LEFT),
            "right.png": self.run(*fruit, "--image-mask", RIGHT),
        })  # fmt: skip
        both = self.run("vary", FRUIT, BAY, "--image-mask", f"{LEFT},{RIGHT}", "--seed", 5)
        self.show("two-masks", {"picture 1": FRUIT, "mask 1": LEFT, "picture 2": BAY, "mask 2": RIGHT}, {"result": both})

        start = ["vary", FRUIT, "--init", BAY, "--seed", 4, "--strength"]
        self.show("init", {"picture": FRUIT, "--init": BAY}, {s: self.run(*start, s) for s in ("0.3", "0.65", "0.75", "0.85")})

        paint = ["img2img", LAKE, "--mask", SKY, "--prompt", "night", "--strength", 0.9, "--seed", 5]
        self.show("inpainting", {"picture": LAKE, "mask": SKY}, {
            "as sampled": self.run(*paint, size=LARGE),
            "--keep-outside": self.run(*paint, "--keep-outside", size=LARGE),
            "--mask-blur 4, too": self.run(*paint, "--keep-outside", "--mask-blur", 4, size=LARGE),
        })  # fmt: skip

        near = ["vary", BAY, "--balance", "even", "--seed", 1, "--variation-seed", 9, "--variation-strength"]
        self.show("variation-seed", {"picture": BAY}, {s: self.run(*near, s) for s in ("0", "0.25", "0.5", "0.75", "1")})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "target/release/afterimage"))
    options = parser.parse_args()
    write_inputs()
    with tempfile.TemporaryDirectory() as scratch:
        Controls(options.binary, scratch).make()


if __name__ == "__main__":
    main()
