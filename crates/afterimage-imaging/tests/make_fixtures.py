"""Makes the fixtures of this crate's tests with Pillow (13.0), which is what they compare with.

    python make_fixtures.py

Writes `fixtures/decode/` (files in all accepted formats), `fixtures/expected/` (the pixels Pillow reads from them, alpha
flattened onto white) and `fixtures/resize/` (resized noise, and hashes of many more sizes).
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

HERE = Path(__file__).parent / "fixtures"
WIDTH, HEIGHT = 45, 37


def noise(width, height, seed):
    """The same generator as in `resizing.rs`."""
    state, levels = seed, np.empty(width * height * 3, np.uint8)
    for index in range(levels.size):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        levels[index] = state >> 24
    return Image.fromarray(levels.reshape(height, width, 3))


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def scene():
    """Smooth colours with texture and a hard edge; no two corners look alike."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    levels = np.stack([40 + x * 4, 30 + y * 5, 220 - x * 2 - y * 2], -1)
    levels = levels + np.random.default_rng(0).integers(-12, 13, levels.shape)
    levels[8:20, 5:15] = (230, 40, 60)
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))


def flattened(image):
    """Pillow's RGB pixels on white; 16-bit grey by its upper byte, where Pillow itself would clip."""
    image = ImageOps.exif_transpose(image)
    if image.mode == "I;16":
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "P" and "transparency" in image.info or image.mode in ("LA", "PA", "RGBA"):
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        return white
    return image.convert("RGB")


def decode_fixtures():
    rgb = scene()
    grey = rgb.convert("L")
    alpha = Image.fromarray(np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1)))
    rgba = rgb.copy()
    rgba.putalpha(alpha)
    grey_alpha = grey.copy()
    grey_alpha.putalpha(alpha)
    grey16 = Image.fromarray(np.asarray(grey).astype(np.uint16) * 251 + 77)
    palette = rgb.quantize(16)
    other = ImageOps.invert(rgb)

    files = {}

    def add(name, image, **options):
        buffer = io.BytesIO()
        kind = {"jpg": "JPEG", "tif": "TIFF"}.get(name.rsplit(".")[-1], name.rsplit(".")[-1].upper())
        image.save(buffer, kind, **options)
        files[name] = buffer.getvalue()

    def orientation(value):
        exif = Image.Exif()
        exif[0x0112] = value
        return exif

    add("444.jpg", rgb, quality=90, subsampling=0)
    add("422.jpg", rgb, quality=90, subsampling=1)
    add("420.jpg", rgb, quality=90, subsampling=2)
    add("progressive.jpg", rgb, quality=90, subsampling=2, progressive=True)
    add("restarts.jpg", rgb, quality=90, restart_marker_blocks=2)
    add("grey.jpg", grey, quality=90)
    add("cmyk.jpg", rgb.convert("CMYK"), quality=90)
    # Pillow writes CMYK with Adobe transform 0; declaring 2 makes the same samples YCCK.
    at = files["cmyk.jpg"].index(b"Adobe") + 11
    files["ycck.jpg"] = files["cmyk.jpg"][:at] + b"\x02" + files["cmyk.jpg"][at + 1 :]
    for value in range(1, 9):
        add(f"orientation-{value}.jpg", rgb.resize((16, 12)), quality=95, subsampling=0, exif=orientation(value))

    add("rgb.png", rgb)
    add("rgba.png", rgba)
    add("grey-alpha.png", grey_alpha)
    add("grey-16.png", grey16)
    add("one-bit.png", grey.convert("1"))
    add("palette.png", palette)
    add("palette-transparent.png", palette, transparency=bytes(range(0, 256, 16)))
    add("orientation-6.png", rgb, exif=orientation(6))
    add("animated.png", rgb, save_all=True, append_images=[other])

    add("lossy.webp", rgb, quality=80)
    add("lossless.webp", rgb, lossless=True)
    add("lossy-alpha.webp", rgba, quality=80)
    add("lossless-alpha.webp", rgba, lossless=True)
    add("animated.webp", rgb, save_all=True, append_images=[other], lossless=True)
    add("orientation-8.webp", rgb, lossless=True, exif=orientation(8))

    add("still.gif", palette)
    add("transparent.gif", palette, transparency=3)
    add("animated.gif", palette, save_all=True, append_images=[other.quantize(16)])

    add("rgb.bmp", rgb)
    add("palette.bmp", palette)
    add("grey.bmp", grey)
    add("one-bit.bmp", grey.convert("1"))

    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        add(f"{compression.removeprefix('tiff_')}.tif", rgb, compression=compression)
    add("rgba.tif", rgba)
    add("grey-16.tif", grey16)
    add("one-bit-fax.tif", grey.convert("1"), compression="group4")
    add("cmyk.tif", rgb.convert("CMYK"))
    add("orientation-3.tif", rgb, tiffinfo={274: 3})

    for folder in ("decode", "expected"):
        (HERE / folder).mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (HERE / "decode" / name).write_bytes(data)
        pixels = flattened(Image.open(io.BytesIO(data)))
        Image.frombytes("RGB", pixels.size, pixels.tobytes()).save(HERE / "expected" / f"{name}.png", optimize=True)


def resize_fixtures():
    folder = HERE / "resize"
    folder.mkdir(parents=True, exist_ok=True)
    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}
    # Kept as pictures too, so that a failure can be looked at.
    shown = [((64, 48), (20, 20)), ((20, 60), (30, 24)), ((9, 7), (32, 24)), ((50, 30), (50, 12))]
    for (width, height), (to_width, to_height) in shown:
        for name, resample in filters.items():
            resized = noise(width, height, width * 7919 + height).resize((to_width, to_height), resample)
            resized.save(folder / f"{width}x{height}-{to_width}x{to_height}-{name}.png", optimize=True)

    sources = [(1, 1), (1, 9), (9, 1), (2, 3), (3, 2), (13, 17), (31, 64), (100, 63), (150, 97), (3, 400), (600, 2)]
    targets = [(1, 1), (2, 2), (1, 20), (20, 1), (16, 16), (33, 71), (100, 63), (384, 384), (120, 5), (5, 120)]
    # Next to the threshold at which Pillow 13 begins with the columns: more than twice as many dropped.
    pairs = [(source, target) for source in sources for target in targets]
    pairs += [((40, 60 + extra), (20, 20)) for extra in range(3)]
    pairs += [((100, 22 + extra), (99, 20)) for extra in range(3)]
    pairs += [((100, 200), (120, 200 - extra)) for extra in range(3)]
    lines = []
    for (width, height), (to_width, to_height) in pairs:
        source = noise(width, height, width * 7919 + height)
        for name, resample in filters.items():
            digest = fnv1a(source.resize((to_width, to_height), resample).tobytes())
            lines.append(f"{width}x{height} {to_width}x{to_height} {name} {digest:016x}")
    (folder / "hashes.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    decode_fixtures()
    resize_fixtures()
