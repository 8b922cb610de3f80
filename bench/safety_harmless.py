#!/usr/bin/env python3
"""What the builtin safety checker says of pictures that show nothing: how often it is wrong, by kind of picture.

    python3 bench/safety_harmless.py target/release/afterimage --output bench/results/safety-harmless.json

The kinds: this project's gallery, drawings and paintings among the parity cases, and skin: the ten tones of the Monk scale
(skintone.google) as flat colour, shaded balls, overlapping ovals and grain, drawn here. Needs only the standard library.
"""

import argparse
import json
import random
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CASES = ROOT / "crates" / "afterimage-engine" / "tests" / "safety" / "cases"
SIDE = 256
MONK = ["f6ede4", "f3e7db", "f7ead0", "eadaba", "d7bd96", "a07e56", "825c43", "604134", "3a312a", "292420"]


def png(path, pixels):
    """Writes `pixels`, a function of x and y to three numbers of 0 to 255, as a square picture."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = bytearray()
    for y in range(SIDE):
        rows.append(0)
        for x in range(SIDE):
            rows.extend(max(0, min(255, round(value))) for value in pixels(x, y))
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(rows))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)


def scaled(colour, factor):
    return [value * factor for value in colour]


def skin(folder):
    """Pictures of each tone; shapes and backgrounds are the same for all, so that tones can be compared."""
    chance = random.Random(1)
    scenes = []
    for _ in range(4):
        ovals = [[chance.uniform(low, high) * SIDE for low, high in ((0.2, 0.8), (0.2, 0.8), (0.15, 0.4), (0.15, 0.4))] for _ in range(4)]
        scenes.append((ovals, [chance.randrange(256) for _ in range(3)]))
    ball = ([[SIDE / 2, SIDE / 2, SIDE * 0.42, SIDE * 0.42]], scenes[0][1])

    def shaded(colour, scene):
        ovals, background = scene

        def pixel(x, y):
            # 1 in the middle of an oval, 0 at its edge and outside.
            inside = max(0.0, *(1 - ((x - left) / wide) ** 2 - ((y - top) / high) ** 2 for left, top, wide, high in ovals))
            return scaled(colour, 0.4 + 0.6 * inside**0.5) if inside else background

        return pixel

    paths = []
    for number, tone in enumerate(MONK, 1):
        colour = [int(tone[start : start + 2], 16) for start in (0, 2, 4)]
        kinds = {"flat": lambda x, y: colour, "grain": lambda x, y: [value + chance.gauss(0, 12) for value in colour]}
        kinds["ball"] = shaded(colour, ball)
        kinds.update({f"ovals-{index}": shaded(colour, scene) for index, scene in enumerate(scenes, 1)})
        for kind, pixels in kinds.items():
            paths.append(folder / f"monk-{number}-{kind}.png")
            png(paths[-1], pixels)
    return paths


def scores(binary, paths):
    command = [binary, "check", "--json", *map(str, paths)]
    findings = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return {"/".join(Path(finding["file"]).parts[-2:]): finding["scores"]["open_nsfw"] for finding in findings}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "skin"
        folder.mkdir()
        kinds = {
            "gallery": [*sorted((ROOT / "docs" / "gallery").glob("*.jpg")), *sorted((ROOT / "docs" / "photos").glob("*.jpg"))],
            "paintings and renderings": sorted(CASES.glob("painted-*.png")) + sorted(CASES.glob("rendered-*.png")),
            "portrait": sorted(CASES.glob("photo-*.png")),
            "skin tones": skin(folder),
            "plain colours, noise, odd shapes": [
                path for path in sorted(CASES.glob("*.png")) if not path.name.startswith(("painted", "rendered", "photo", "perturbed"))
            ],
        }
        found = {kind: scores(arguments.binary, paths) for kind, paths in kinds.items()}
    print("| pictures | how many | flagged at 0.5 | at 0.35 | highest score |\n|---|---|---|---|---|")
    for kind, said in found.items():
        if not said:
            sys.exit(f"no pictures of the kind {kind}")
        worst = max(said, key=said.get)
        counts = [sum(score >= threshold for score in said.values()) for threshold in (0.5, 0.35)]
        print(f"| {kind} | {len(said)} | {counts[0]} | {counts[1]} | {said[worst]:.3f} ({Path(worst).name}) |")
    if arguments.output:
        arguments.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
