"""The demo model's picture by the card beside the processor's, in f32 and bf16: PSNR and wall seconds, as JSON.

    python3 bench/gpu/pictures.py BINARY FOLDER [--check]

Needs the standard library alone: results are read as BMP would be, from uncompressed PNG rows.
"""

import json
import math
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LEAST = {"f32": 45.0, "bf16": 30.0, "fp8": 25.0, "int8": 25.0}


def pixels(path):
    """All bytes of an 8-bit RGB PNG, filters undone."""
    data = path.read_bytes()
    at, width, height, packed = 8, 0, 0, b""
    while at < len(data):
        (length,), kind = struct.unpack(">I", data[at:at + 4]), data[at + 4:at + 8]
        body = data[at + 8:at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", body[:10])
            assert (depth, colour) == (8, 2), "8-bit RGB"
        elif kind == b"IDAT":
            packed += body
        at += 12 + length
    raw, stride = zlib.decompress(packed), 3 * width
    rows, before = [], bytes(stride)
    for y in range(height):
        start = y * (stride + 1)
        row = bytearray(raw[start + 1:start + 1 + stride])
        kind = raw[start]
        for x in range(stride):
            left, up = row[x - 3] if x >= 3 else 0, before[x]
            corner = before[x - 3] if x >= 3 else 0
            guess = (0, left, up, (left + up) // 2, paeth(left, up, corner))[kind]
            row[x] = (row[x] + guess) & 255
        rows.append(bytes(row))
        before = row
    return b"".join(rows)


def paeth(left, up, corner):
    """PNG's predictor (ISO/IEC 15948, 9.4)."""
    guess = left + up - corner
    return min((left, up, corner), key=lambda value: abs(guess - value))


def psnr(one, other):
    """Decibels; infinite for equal pictures."""
    assert len(one) == len(other)
    mean = sum((a - b) ** 2 for a, b in zip(one, other)) / len(one)
    return math.inf if mean == 0 else 10 * math.log10(255**2 / mean)


def main():
    program, work, short = sys.argv[1], Path(sys.argv[2]), "--check" in sys.argv
    size, steps = ("96x96", "3") if short else ("512x512", "28")
    picture = ROOT / "docs/photos/lake.jpg"

    def vary(device, dtype):
        out = work / f"{device}-{dtype}.png"
        command = [program, "vary", picture, "--device", device, "--dtype", dtype, "--size", size, "--steps", steps]
        start = time.perf_counter()
        subprocess.run([*command, "--seed", "1", "--quiet", "-o", out], check=True)
        return pixels(out), time.perf_counter() - start

    exact, seconds = vary("cpu", "f32")
    report, wrong = {"size": size, "steps": int(steps), "cpu_f32_s": seconds}, []
    for dtype, least in LEAST.items():
        found, seconds = vary("cuda", dtype)
        decibels = psnr(exact, found)
        report[dtype] = {"psnr": None if math.isinf(decibels) else decibels, "seconds": seconds}
        if decibels < least:
            wrong.append(f"{dtype}: {decibels:.1f} dB, expected {least}")
    print(json.dumps(report, indent=1))
    if wrong:
        sys.exit("; ".join(wrong))


if __name__ == "__main__":
    main()
