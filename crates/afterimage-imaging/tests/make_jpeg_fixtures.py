"""Makes `fixtures/jpeg/`: a small JPEG of each kind, and the pixels that Pillow (13.0) reads from it.

    python make_jpeg_fixtures.py

Needs `cjpeg` and `jpegtran` (Debian's libjpeg-turbo-progs) beside `requirements.txt`. `one-scan-each-420.jpg` and
`blue-first-444.jpg` were given to the project by others and are kept as they are.
"""

import io
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent / "fixtures" / "jpeg"
GIVEN = ["one-scan-each-420.jpg", "blue-first-444.jpg"]
WIDTH, HEIGHT = 53, 39


def scene():
    """Waves of colour with a hard edge; ends within blocks of 8 and units of 16 and 32 pixels."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    pixels = np.stack([127 + 110 * np.sin(x / 6 + y / 9), 40 + y * 4, 230 - x * 3 + 20 * np.cos(y)], -1)
    pixels[12:25, 20:31] = (230, 40, 60)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def cjpeg(*options, scans=None):
    script = HERE / "scans"
    if scans:
        script.write_text(scans)
        options += ("-scans", str(script))
    header = f"P6 {WIDTH} {HEIGHT} 255\n".encode()
    command = ["cjpeg", "-quality", "60", *options]
    file = subprocess.run(command, input=header + scene().tobytes(), capture_output=True, check=True).stdout
    script.unlink(missing_ok=True)
    return file


def without(file, *markers):
    """The file without its segments of these kinds in front of the first scan."""
    kept, at = file[:2], 2
    while file[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(file[at + 2 : at + 4], "big")
        if file[at + 1] not in markers:
            kept += file[at:end]
        at = end
    return kept + file[at:]


def renamed(file, identifiers):
    """Other identifiers for the components, in the frame and the first scan."""
    file = bytearray(file)
    for marker, first, step in ((b"\xff\xc0", 10, 3), (b"\xff\xda", 5, 2)):
        at = file.index(marker) + first
        for index, identifier in enumerate(identifiers):
            file[at + step * index] = identifier
    return bytes(file)


def cmyk(**options):
    pixels = np.concatenate([scene(), scene()[::-1, :, :1] // 2 + 100], -1)
    output = io.BytesIO()
    Image.frombytes("CMYK", (WIDTH, HEIGHT), pixels.tobytes()).save(output, "JPEG", quality=60, **options)
    return output.getvalue()


def jpegtran(file, *options):
    return subprocess.run(["jpegtran", "-copy", "all", *options], input=file, capture_output=True, check=True).stdout


UNFINISHED = "0 1 2: 0-0, 0, 1;\n0: 1-5, 0, 2;\n2: 1-63, 0, 1;\n0: 1-5, 2, 1;\n"


def fixtures():
    yield "411.jpg", cjpeg("-sample", "4x1")
    yield "410.jpg", cjpeg("-sample", "4x2")
    yield "440.jpg", cjpeg("-sample", "1x2")
    yield "441.jpg", cjpeg("-sample", "1x4")
    yield "luma-smaller.jpg", cjpeg("-sample", "1x1,2x2,1x2")
    yield "chroma-unlike.jpg", cjpeg("-sample", "2x2,1x2,2x1")
    yield "grey-2x2.jpg", cjpeg("-grayscale", "-sample", "2x2")
    yield "rgb-adobe.jpg", cjpeg("-rgb")
    yield "rgb-by-name.jpg", renamed(without(cjpeg("-rgb"), 0xEE), b"RGB")
    yield "scans-of-two.jpg", cjpeg("-sample", "2x1", "-restart", "2B", scans="1;\n0 2;\n")
    yield "motion-jpeg.jpg", without(cjpeg(), 0xC4)
    yield "sixteen-bit-quantizers.jpg", cjpeg("-quality", "1", "-sample", "1x1")
    yield "progressive-restarts.jpg", cjpeg("-progressive", "-restart", "1")
    yield "progressive-means-only.jpg", cjpeg(scans="0 1 2: 0-0, 0, 0;\n")
    yield "progressive-unfinished.jpg", cjpeg(scans=UNFINISHED)
    yield "arithmetic.jpg", cjpeg("-arithmetic")
    yield "arithmetic-restarts.jpg", cjpeg("-arithmetic", "-restart", "3B", "-sample", "2x1")
    yield "arithmetic-progressive.jpg", cjpeg("-arithmetic", "-progressive")
    yield "cmyk-no-marker.jpg", without(cmyk(), 0xEE)
    yield "cmyk-420.jpg", cmyk(subsampling=2)
    yield "cmyk-arithmetic.jpg", jpegtran(cmyk(), "-arithmetic")
    yield "cmyk-progressive.jpg", jpegtran(cmyk(subsampling=1), "-progressive")
    at = cmyk().index(b"Adobe") + 11
    yield "ycck-420.jpg", cmyk(subsampling=2)[:at] + b"\x02" + cmyk(subsampling=2)[at + 1 :]


def main():
    HERE.mkdir(parents=True, exist_ok=True)
    for name, file in [*((name, (HERE / name).read_bytes()) for name in GIVEN), *fixtures()]:
        (HERE / name).write_bytes(file)
        pixels = Image.open(io.BytesIO(file)).convert("RGB")
        # Without the metadata that the file has.
        Image.frombytes("RGB", pixels.size, pixels.tobytes()).save(HERE / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
