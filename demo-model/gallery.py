"""Make the gallery: docs/gallery.md and its pictures, with the built program and the demo model embedded in it.

    python gallery.py --binary ../target/release/afterimage

Sources are held out: painted by seeds that training never uses, or computed by other programs. All seeds are fixed and
nothing is chosen by hand, so the gallery shows what the embedded weights do.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from afterimage_demo import families, landscapes
from afterimage_demo.painting import paint
from gallery_photos import PHOTOS
from strips import strip

DOCS = Path(__file__).resolve().parent / "../docs"
LAKE = DOCS / "photos/lake.jpg"
NATIVE_PIXELS = 256 * 256
LARGEST_BYTES = 1_500_000
# name, painter, its seed
PAINTED = [
    ("landscape", landscapes.landscape, 77001),
    ("landscape-2", landscapes.landscape, 77002),
    ("shapes", families.counted_shapes, 77003),
    ("shapes-2", families.counted_shapes, 77004),
    ("leaves", families.dead_leaves, 77005),
    ("out-of-focus", families.out_of_focus, 77006),
]
RESTYLED = [("bay", ["red", "green", "night", "sunset"]), ("fruit", ["blue", "black and white", "sketch", "winter"])]
RESHAPED = [("dunes", "blue", [0.3, 0.6, 0.9]), ("lake", "night", [0.3, 0.6, 0.9])]
MIXED = [("bay", "fruit"), ("dunes", "lake")]
LARGE = [("lake", (0, 0.4)), ("fruit", (0.5, 0.44))]  # and the upper left corner of the part that is shown enlarged
BANNER = "bay"


class Gallery:
    def __init__(self, binary, scratch, folder):
        self.binary, self.scratch, self.folder = binary, Path(scratch), folder
        self.sources, self.page = {}, []

    def add_source(self, name, picture):
        path = self.scratch / f"{name}.png"
        picture.convert("RGB").save(path)
        self.sources[name] = path

    def picture(self, name):
        return Image.open(self.sources[name])

    def native_size(self, name, scale=1):
        """The shape of the source at the native number of pixels, as multiples of 16."""
        width, height = self.picture(name).size
        unit = (NATIVE_PIXELS / (width * height)) ** 0.5 / 16
        return f"{round(width * unit) * 16 * scale}x{round(height * unit) * 16 * scale}"

    def run(self, command, names, *flags, count=1, scale=1):
        """The program's pictures of one call."""
        out = self.scratch / "out"
        out.mkdir(exist_ok=True)
        inputs = [str(self.sources[name]) for name in names]
        size = self.native_size(names[0], scale)
        arguments = [*inputs, "--size", size, "--num-images", str(count), "--output", str(out / "made.png"), "--quiet", *flags]
        subprocess.run([self.binary, command, *arguments], check=True)
        paths = [out / "made.png"] if count == 1 else [out / f"made-{number + 1}.png" for number in range(count)]
        return [Image.open(path).convert("RGB") for path in paths]

    def strip(self, name, pictures, **how):
        strip(self.folder / f"{name}.jpg", pictures, **how)

    def section(self, title, text):
        self.page += ["", f"## {title}", "", text]

    def show(self, name, caption, pictures, **how):
        self.strip(name, pictures, **how)
        self.page += ["", f"![{caption}](gallery/{name}.jpg)", "", f"*{caption}*"]


def part(picture, left, top):
    """A quarter of each side: in results of all sizes the same part of the picture."""
    width, height = picture.size
    return picture.crop([round(edge) for edge in (left * width, top * height, (left + 0.25) * width, (top + 0.25) * height)])


def paint_source(painter, seed):
    painted = paint(painter(np.random.default_rng(seed)), 256, 320, torch.Generator().manual_seed(seed))
    return Image.fromarray((painted.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy())


def make(gallery):
    for name, painter, seed in PAINTED:
        gallery.add_source(name, paint_source(painter, seed))
    gallery.add_source("lake", Image.open(LAKE))
    for name, render in PHOTOS.items():
        gallery.add_source(name, render())
    gallery.page += [
        "# Gallery", "",
        "Made by [`demo-model/gallery.py`](../demo-model/gallery.py) with the embedded demo model: 28 steps, guidance 3.5, fixed",
        "seeds, nothing chosen by hand. The first picture of each row is the source. What the model can and cannot do is in its",
        "[model card](../demo-model/README.md); full-size FLUX.1 makes other pictures with the same commands.",
    ]  # fmt: skip
    gallery.section("Variations of painted pictures", "Held-out pictures of the kind it was trained on: `afterimage vary PICTURE --num-images 4 --seed 1`.")
    for name, _, _ in PAINTED:
        gallery.show(name, name.split("-2")[0].replace("-", " "), [gallery.picture(name), *gallery.run("vary", [name], "--seed", "1", count=4)])
    gallery.section("Variations of photograph-like pictures", "Computed pictures of a kind it never saw.")
    for name in ("lake", *PHOTOS):
        made = gallery.run("vary", [name], "--seed", "1", count=4)
        gallery.show(name, name, [gallery.picture(name), *made])
        if name == BANNER:
            gallery.strip("banner", [gallery.picture(name), *made], height=224)
    gallery.section("With a prompt", "`afterimage vary PICTURE --prompt WORDS --seed 2`.")
    for name, prompts in RESTYLED:
        made = [gallery.run("vary", [name], "--seed", "2", "--prompt", prompt)[0] for prompt in prompts]
        gallery.show(f"{name}-restyled", ", ".join(prompts), [gallery.picture(name), *made])
    gallery.section("Image-to-image", "`afterimage img2img PICTURE --prompt WORDS --strength F --seed 3`.")
    for name, prompt, strengths in RESHAPED:
        made = [gallery.run("img2img", [name], "--seed", "3", "--prompt", prompt, "--strength", str(s))[0] for s in strengths]
        gallery.show(f"{name}-reshaped", f"{prompt}; strength {', '.join(map(str, strengths))}", [gallery.picture(name), *made])
    gallery.section("Two sources", "`afterimage vary FIRST SECOND --num-images 3 --seed 4`; both sources, then what comes of them.")
    for first, second in MIXED:
        made = gallery.run("vary", [first, second], "--seed", "4", count=3)
        gallery.show(f"{first}-{second}", f"{first} and {second}", [gallery.picture(first), gallery.picture(second), *made], given=2)
    gallery.section("Larger than native", "\n".join([
        "Made small, enlarged and refined: twice and four times the native side, `--seed 5`. After the source the result of the",
        "native side as a whole, then the same part of all three, each enlarged to the same size.",
    ]))  # fmt: skip
    for name, corner in LARGE:
        made = [gallery.run("vary", [name], "--seed", "5", scale=scale)[0] for scale in (1, 2, 4)]
        sizes = ", ".join(f"{picture.width}x{picture.height}" for picture in made)
        gallery.show(f"{name}-large", sizes, [gallery.picture(name), made[0], *(part(picture, *corner) for picture in made)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(DOCS / "../target/release/afterimage"))
    options = parser.parse_args()
    folder = DOCS / "gallery"
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.jpg"):
        path.unlink()
    with tempfile.TemporaryDirectory() as scratch:
        gallery = Gallery(options.binary, scratch, folder)
        make(gallery)
    (DOCS / "gallery.md").write_text("\n".join(gallery.page) + "\n", encoding="utf-8")
    size = sum(path.stat().st_size for path in folder.glob("*.jpg"))
    print(f"{folder}: {size:,} bytes")
    if size > LARGEST_BYTES:
        raise SystemExit(f"more than {LARGEST_BYTES:,} bytes")


if __name__ == "__main__":
    main()
