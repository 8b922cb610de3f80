#!/usr/bin/env python3
"""fixtures/masks.json: what the real VaeImageProcessor and Pillow make of small masks.

    make_masks.py OUT.json

Two runs give the same bytes.
"""

import json
import sys
from pathlib import Path

import diffusers
import numpy as np
import PIL
from diffusers.image_processor import VaeImageProcessor
from PIL import Image, ImageFilter

# as FluxInpaintPipeline makes them for a VAE of four levels
IMAGES = VaeImageProcessor(vae_scale_factor=16, vae_latent_channels=16)
MASKS = VaeImageProcessor(vae_scale_factor=16, vae_latent_channels=16, do_normalize=False, do_binarize=True, do_convert_grayscale=True)


def bits(array):
    return ["".join(str(int(x)) for x in row) for row in array]


def levels(image):
    a = np.asarray(image)
    return a.reshape(a.shape[0], -1).tolist()


def blocks(rng, w, h, side, low, high, bands=()):
    cells = rng.randint(low, high, (-(-h // side), -(-w // side), *bands))
    return np.kron(cells, np.ones((side, side) + (1,) * len(bands), int))[:h, :w].astype(np.uint8)


def prepared(mask, width, height, region, mode):
    return MASKS.preprocess(mask, height=height, width=width, crops_coords=region, resize_mode=mode).numpy()[0, 0]


def mask_entry(name, mask, target, region=None, blur=None):
    mode = "fill" if region else "default"
    given = MASKS.blur(mask, blur) if blur else mask
    result = prepared(given, *target, region, mode)
    entry = {
        "name": name,
        "size": list(mask.size),
        "channels": len(mask.getbands()),
        "levels": levels(mask),
        "blur": blur,
        "target": list(target),
        "region": list(region) if region else None,
        "binary": bits(result),
        "latent": bits(result[::8, ::8]),
    }
    # masks in RGB, as load_image gives them, must come out the same
    assert (prepared(given.convert("RGB"), *target, region, mode) == result).all()
    return entry


def telling(make, right, wrong):
    """The first seed for which no wrong way gives the right result."""
    for seed in range(5000):
        mask = make(np.random.RandomState(seed))
        found = right(mask)
        if all((w(mask) != found).any() for w in wrong):
            return mask
    raise SystemExit("no seed tells the ways apart")


def grey_at(filter, width, height, level=128, first=lambda m: m):
    def way(mask):
        mask = first(mask).resize((width, height), filter)
        return np.asarray(mask.convert("L")) >= level

    return way


def two_steps(width, height, columns_first):
    def way(mask):
        half = (width, mask.height) if columns_first else (mask.width, height)
        return np.asarray(mask.resize(half, Image.Resampling.LANCZOS).resize((width, height), Image.Resampling.LANCZOS).convert("L")) >= 128

    return way


def masks():
    f = Image.Resampling
    grey = lambda w, h, side, low=120, high=136: lambda rng: Image.fromarray(blocks(rng, w, h, side, low, high), "L")
    colour = lambda w, h, side: lambda rng: Image.fromarray(blocks(rng, w, h, side, 0, 256, (3,)), "RGB")
    right = lambda w, h: grey_at(f.LANCZOS, w, h)
    others = lambda w, h: [grey_at(x, w, h) for x in (f.NEAREST, f.BOX, f.BILINEAR, f.BICUBIC)] + [grey_at(f.LANCZOS, w, h, n) for n in (127, 129)]
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    yield mask_entry("every level, nothing to resize", Image.fromarray(ramp, "L"), (16, 16))
    yield mask_entry("enlarged", telling(grey(11, 13, 2), right(32, 32), others(32, 32)), (32, 32))
    yield mask_entry("made smaller; the size is rounded down to 16x16", telling(grey(24, 21, 3), right(16, 16), others(16, 16)), (31, 17))
    yield mask_entry("wide", telling(grey(20, 5, 2), right(16, 32), others(16, 32)), (16, 32))
    tall = telling(grey(16, 24, 2), right(32, 16), [*others(32, 16), two_steps(32, 16, True)])
    assert (right(32, 16)(tall) == two_steps(32, 16, False)(tall)).all()
    yield mask_entry("columns are resized before rows, since more than twice as many rows as columns are dropped", tall, (32, 16))
    other = telling(grey(24, 24, 2), right(20 // 16 * 16, 16), [*others(16, 16), two_steps(16, 16, False)])
    assert (right(16, 16)(other) == two_steps(16, 16, True)(other)).all()
    yield mask_entry("rows are resized before columns", other, (16, 16))
    first = grey_at(f.LANCZOS, 32, 16, first=lambda m: m.convert("L"))
    mean = lambda m: np.asarray(m.resize((32, 16), f.LANCZOS)).mean(2) >= 127.5
    yield mask_entry("colours: resized, then luma", telling(colour(13, 11, 1), right(32, 16), [*others(32, 16), first, mean]), (32, 16))
    hard = Image.new("L", (24, 20), 0)
    hard.paste(255, (5, 4, 17, 13))
    hard.paste(0, (9, 0, 11, 20))
    hard.paste(255, (21, 2, 22, 18))
    yield mask_entry("hard edges, ringing", hard, (32, 16))
    yield mask_entry("blurred before it is resized", hard, (32, 16), blur=2)
    for name, region, target in (
        ("cut, rows filled above and below, one more above", (3, 2, 22, 11), (32, 32)),
        ("cut, columns filled left and right", (4, 1, 11, 19), (32, 32)),
        ("cut, nothing to fill", (4, 3, 20, 11), (32, 16)),
    ):
        mask = telling(
            lambda rng: Image.fromarray(np.where(np.asarray(hard) > 0, blocks(rng, 24, 20, 2, 100, 156), 0).astype(np.uint8), "L"),
            lambda m: prepared(m, *target, region, "fill"),
            [lambda m: prepared(m, *target, region, "default"), lambda m: prepared(m, *target, region, "crop")] if "nothing" not in name else [],
        )
        yield mask_entry(name, mask, target, region)


def fills():
    rng = np.random.RandomState(7)
    for w, h, target in ((9, 4, (12, 10)), (4, 9, (13, 9)), (8, 1, (12, 10)), (1, 6, (9, 8)), (5, 5, (8, 8))):
        image = Image.fromarray(blocks(rng, w, h, 1, 0, 256, (3,)), "RGB")
        yield {"size": [w, h], "levels": levels(image), "target": list(target), "filled": levels(IMAGES._resize_and_fill(image, *target))}


def region(size, box, width, height, pad):
    mask = Image.new("L", size, 0)
    if box:
        mask.paste(1, tuple(box))
    try:
        return list(MASKS.get_crop_region(mask, width, height, pad=pad))
    except ZeroDivisionError:
        return None


def regions():
    rng = np.random.RandomState(11)
    named = [
        (96, 80, 57, 18, 70, 41, 64, 48, 8), (96, 80, 57, 18, 70, 41, 70, 50, 8), (72, 80, 30, 6, 41, 71, 64, 48, 5), (59, 40, 4, 9, 55, 20, 48, 64, 3),
        (64, 64, 0, 0, 64, 64, 64, 64, 0), (64, 64, 0, 0, 64, 64, 96, 64, 4), (64, 64, 0, 0, 1, 1, 64, 64, 0), (64, 64, 63, 63, 64, 64, 64, 64, 0),
        (64, 64, 63, 0, 64, 1, 96, 32, 0), (64, 64, 0, 63, 1, 64, 32, 96, 0), (64, 64, 20, 20, 30, 30, 64, 64, 0), (64, 64, 20, 20, 30, 30, 64, 64, 100),
        (64, 64, 20, 20, 31, 30, 64, 64, 0), (64, 64, 20, 20, 30, 31, 64, 64, 0), (100, 30, 0, 10, 5, 12, 16, 160, 2), (30, 100, 10, 95, 12, 100, 160, 16, 2),
        (1, 1, 0, 0, 1, 1, 16, 16, 0), (1, 50, 0, 20, 1, 30, 64, 48, 3), (50, 1, 20, 0, 30, 1, 64, 48, 3), (1920, 1080, 700, 300, 1000, 333, 1024, 1024, 32),
        (4032, 3024, 3900, 2990, 4032, 3024, 1360, 768, 64), (3024, 4032, 0, 0, 3024, 40, 768, 1360, 0), (1000, 1000, 333, 333, 666, 667, 1008, 752, 17),
    ]  # fmt: skip
    for r in named:
        yield [*r, *region(r[:2], r[2:6], *r[6:9])]
    for _ in range(100):
        w, h = (int(rng.randint(1, 200)) for _ in range(2))
        x, y = int(rng.randint(0, w)), int(rng.randint(0, h))
        x2, y2 = (int(rng.randint(a + 1, min(a + 60, b) + 1)) for a, b in ((x, w), (y, h)))
        width, height, pad = int(rng.randint(16, 160)), int(rng.randint(16, 160)), int(rng.choice([0, 0, 1, 4, 8, 33]))
        yield [w, h, x, y, x2, y2, width, height, pad, *region((w, h), (x, y, x2, y2), width, height, pad)]


def empty():
    """Nothing is masked: what get_crop_region says, and what then comes of the picture."""
    for w, h, width, height, pad in ((64, 48, 64, 48, 8), (64, 64, 64, 64, 32), (64, 48, 48, 64, 40), (64, 48, 64, 48, 24), (64, 48, 64, 48, 100)):
        found = region((w, h), None, width, height, pad)
        fate = "ZeroDivisionError in get_crop_region"
        if found:
            try:
                IMAGES.preprocess(Image.new("RGB", (w, h)), height=height, width=width, crops_coords=tuple(found), resize_mode="fill")
                fate = "runs"
            except (ValueError, ZeroDivisionError) as error:
                fate = f"{type(error).__name__}: {error}"
        yield {"size": [w, h], "target": [width, height], "pad": pad, "region": found, "diffusers": fate}


def blurs():
    rng = np.random.RandomState(3)
    y, x = np.mgrid[0:32, 0:40]
    big = np.where((x - 22) ** 2 + (y - 13) ** 2 < 81, 255, 0)
    big[20:29, 3:15] = 200
    big[2:5, :9] = rng.randint(0, 256, (3, 9))
    big[31, 39] = 255
    for a, radii in ((big, (1, 4, 10)), (rng.randint(0, 256, (3, 5)), (0.5, 1, 2.5, 4, 10))):
        image = Image.fromarray(a.astype(np.uint8), "L")
        yield {
            "size": list(image.size),
            "levels": levels(image),
            "blurred": [{"radius": r, "levels": levels(image.filter(ImageFilter.GaussianBlur(r)))} for r in radii],
        }
        assert (np.asarray(MASKS.blur(image, 4)) == np.asarray(image.filter(ImageFilter.GaussianBlur(4)))).all()


def overlays():
    rng = np.random.RandomState(5)
    for (w, h), (gw, gh), crop in (((12, 9), (8, 8), (3, 1, 10, 8)), ((9, 10), (8, 6), (0, 2, 9, 7)), ((10, 9), (6, 8), (2, 0, 5, 9))):
        picture, made = (Image.fromarray(blocks(rng, *s, 1, 0, 256, (3,)), "RGB") for s in ((w, h), (gw, gh)))
        mask = np.zeros((h, w), np.uint8)
        x1, y1, x2, y2 = crop
        mask[y1:y2, x1:x2] = rng.choice([0, 1, 60, 127, 128, 200, 254, 255, 255], (y2 - y1, x2 - x1))
        mask = Image.fromarray(mask, "L")
        result = IMAGES.apply_overlay(mask, picture, made, crop)
        yield {
            "size": [w, h], "picture": levels(picture), "mask": levels(mask), "made_size": [gw, gh], "made": levels(made), "region": list(crop),
            "result": levels(result),
        }  # fmt: skip


def main():
    fixture = {
        "made_with": {"diffusers": diffusers.__version__, "pillow": PIL.__version__, "by": "make_masks.py"},
        "masks": list(masks()),
        "fills": list(fills()),
        "regions": list(regions()),
        "empty": list(empty()),
        "blurs": list(blurs()),
        "overlays": list(overlays()),
    }
    # one entry a line
    text = "{\n"
    for i, (key, value) in enumerate(fixture.items()):
        dump = lambda v: json.dumps(v, separators=(",", ":"))
        body = dump(value) if isinstance(value, dict) else "[\n" + ",\n".join(dump(v) for v in value) + "\n]"
        text += f"{json.dumps(key)}: {body}{',' if i < len(fixture) - 1 else ''}\n"
    Path(sys.argv[1]).write_text(text + "}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
