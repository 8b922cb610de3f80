"""Random JPEGs of all kinds, read by this crate and by Pillow, which must agree.

    cargo build --release -p afterimage-imaging --example decode_pictures
    python compare_jpeg.py --files 100        # short form, in continuous integration
    python compare_jpeg.py --files 2000       # long form

Needs Pillow 13 and NumPy (`requirements.txt`) and `cjpeg`, `jpegtran` (Debian's libjpeg-turbo-progs). Pictures, options,
scan scripts and what is done to a finished file follow from `--seed`. Ends with 1 if a file is read differently by more
than `--levels`, is refused by one and read by the other, or ends the decoder. `--keep` holds such files back.
"""

import argparse
import collections
import io
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, features

ROOT = Path(__file__).resolve().parents[3]

# Factors of the three components: usual ones first, then all that cameras, scanners and test suites have come up with.
USUAL = ["1x1", "2x1", "2x2", "1x2", "4x1"]
RARE = [
    "4x2", "1x4", "2x4", "3x1", "1x3", "3x2", "4x1,2x1,1x1", "2x2,1x2,1x1", "2x2,2x1,2x1", "2x2,2x2,1x1", "2x1,1x1,2x1",
    "1x2,1x1,1x2", "1x1,2x2,1x1", "1x1,1x1,2x1", "1x1,2x1,1x2", "2x2,1x1,2x1", "4x2,1x1,2x1", "4x1,1x1,1x1", "2x2,1x2,2x1",
    "3x3,1x1,1x1", "4x4,1x1,2x2", "4x4,2x4,1x1",
]
# Three samples for two: nobody reads them.
FRACTIONS = ["3x2,2x1,1x1", "3x1,2x1,1x1", "2x3,1x2,1x1", "4x3,2x2,1x1"]


def picture(rng, channels=3):
    """Noise, waves, or edges; sizes around the 8 and 16 where blocks end."""
    levels = np.random.default_rng(rng.getrandbits(32))
    limit = rng.choice([4, 20, 50, 50, 120, 200])
    width, height = rng.randint(1, limit), rng.randint(1, limit)
    y, x = np.mgrid[0:height, 0:width]
    kind = rng.choice(["noise", "waves", "edges"])
    if kind == "noise":
        pixels = levels.integers(0, 256, (height, width, channels))
    elif kind == "waves":
        phases, slopes = levels.uniform(0, 6, channels), levels.uniform(-0.3, 0.3, (channels, 2))
        waves = [np.sin(x * a + y * b + p) for (a, b), p in zip(slopes, phases)]
        pixels = 127 + 120 * np.stack(waves, -1) + levels.normal(0, 4, (height, width, channels))
    else:
        pixels = np.zeros((height, width, channels))
        for _ in range(12):
            left, top = rng.randint(0, width), rng.randint(0, height)
            pixels[top : top + rng.randint(1, 30), left : left + rng.randint(1, 30)] = levels.integers(0, 256, channels)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def sequential_script(rng, components):
    """Components in any order, alone or together."""
    order = rng.sample(range(components), components)
    scans = []
    while order:
        count = rng.choice([1, 1, 2, components])
        # cjpeg wants those of a scan in rising order.
        scans.append(" ".join(map(str, sorted(order[:count]))) + ";")
        order = order[count:]
    return "\n".join(scans)


def progressive_script(rng, components):
    """Bands of each component in steps of accuracy. One in four leaves scans out: such a file is whole all the same."""
    shift = rng.choice([0, 0, 1, 2])
    if rng.random() < 0.6:
        first = [" ".join(map(str, range(components)))]
    else:
        first = [str(index) for index in rng.sample(range(components), components)]
    scans = [f"{members}: 0-0, 0, {shift};" for members in first]
    later = []
    for index in range(components):
        ends = sorted(rng.sample(range(1, 63), rng.choice([0, 1, 2]))) + [63]
        start = 1
        for end in ends:
            low = rng.choice([0, 0, 1, 2, 3])
            chain = [f"{index}: {start}-{end}, 0, {low};"]
            chain += [f"{index}: {start}-{end}, {bit + 1}, {bit};" for bit in reversed(range(low))]
            later.append(chain)
            start = end + 1
    members = " ".join(map(str, range(components)))
    later.append([f"{members}: 0-0, {bit + 1}, {bit};" for bit in reversed(range(shift))])
    # Chains keep their order, and are mixed with one another.
    later = [chain for chain in later if chain]
    mixed = []
    while later:
        chain = rng.choice(later)
        mixed.append(chain.pop(0))
        later = [chain for chain in later if chain]
    if rng.random() < 0.25:
        mixed = mixed[: rng.randint(0, len(mixed))]
    return "\n".join(scans + mixed)


def run(command, data):
    done = subprocess.run(command, input=data, capture_output=True)
    return done.stdout if done.returncode == 0 else None


def coding_options(rng, components, folder):
    """Options that cjpeg and jpegtran share, and their kind."""
    options, kind = [], []
    if rng.random() < 0.25:
        options.append("-arithmetic")
        kind.append("arithmetic")
    elif rng.random() < 0.4:
        options.append("-optimize")
    if rng.random() < 0.3:
        options += ["-restart", rng.choice(["1", "2", "1B", "3B", "17B"])]
        kind.append("restarts")
    order = rng.choice(["one scan", "one scan", "progressive", "progressive script", "scan script"])
    if order == "progressive":
        options.append("-progressive")
    elif order.endswith("script"):
        script = folder / "scans"
        write = progressive_script if order == "progressive script" else sequential_script
        script.write_text(write(rng, components) + "\n")
        options += ["-scans", str(script)]
    return options, " ".join([order] + kind)


def made_by_cjpeg(rng, folder):
    color = rng.choice(["YCbCr", "YCbCr", "YCbCr", "YCbCr", "grey", "RGB"])
    options = ["-quality", rng.choice(["1", "20", "50", "75", "90", "95", "100", "90,40,60"])]
    if options[-1] == "90,40,60":
        options += ["-qslots", "0,1,2"]
    if rng.random() < 0.3:
        options.append("-baseline")
    if color == "grey":
        options.append("-grayscale")
    if color == "RGB":
        options.append("-rgb")
    if color == "YCbCr" or rng.random() < 0.3:
        options += ["-sample", rng.choice(USUAL + USUAL + RARE + (FRACTIONS if rng.random() < 0.2 else []))]
    coding, kind = coding_options(rng, 1 if color == "grey" else 3, folder)
    pixels = picture(rng)
    header = f"P6 {pixels.shape[1]} {pixels.shape[0]} 255\n".encode()
    return run(["cjpeg", *options, *coding], header + pixels.tobytes()), f"{color}, {kind}"


def made_by_pillow(rng, folder):
    """Four components, which cjpeg cannot write, passed through jpegtran."""
    output = io.BytesIO()
    Image.fromarray(picture(rng, 4), mode="CMYK").save(
        output, "JPEG", quality=rng.choice([30, 75, 95]), subsampling=rng.choice([0, 1, 2])
    )
    coding, kind = coding_options(rng, 4, folder)
    file = run(["jpegtran", "-copy", "all", *coding], output.getvalue())
    color = rng.choice(["CMYK", "CMYK without marker", "YCCK"])
    at = file.find(b"\xff\xee\x00\x0eAdobe") if file else -1
    if at >= 0 and color == "YCCK":
        file = file[: at + 15] + b"\x02" + file[at + 16 :]
    if at >= 0 and color == "CMYK without marker":
        file = file[:at] + file[at + 16 :]
    return file, f"{color}, {kind}"


def segments(file):
    """Places of the segments up to the first scan: marker, start, end."""
    at = 2
    while file[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(file[at + 2 : at + 4], "big")
        yield file[at + 1], at, end
        at = end


def altered(rng, file, kind):
    """Does to one file in five what writers, cameras and downloads do to files."""
    change = rng.choice(["filled", "trailing", "no JFIF", "Motion JPEG", "cut", "cut and ended"])
    if rng.random() > 0.2:
        return file, kind
    found = list(segments(file))
    if change == "filled":
        _, start, _ = rng.choice(found)
        file = file[:start] + b"\xff" * rng.randint(1, 5) + file[start:]
    elif change == "trailing":
        file += bytes(rng.getrandbits(8) for _ in range(rng.randint(1, 300)))
    elif change == "no JFIF":
        for marker, start, end in found:
            if marker == 0xE0:
                file = file[:start] + file[end:]
    elif change == "Motion JPEG" and "one scan" in kind and "arithmetic" not in kind:
        if b"\x7d\x01\x02\x03\x00\x04\x11" in file:  # the standard tables
            for marker, start, end in reversed(found):
                if marker == 0xC4:
                    file = file[:start] + file[end:]
    elif change.startswith("cut"):
        file = file[: rng.randint(2, len(file) - 1)]
        file += b"\xff\xd9" if change == "cut and ended" else b""
    return file, f"{kind}, {change}"


def random_file(rng, folder):
    while True:
        file, kind = (made_by_pillow if rng.random() < 0.15 else made_by_cjpeg)(rng, folder)
        # Some combinations cannot be written: too many blocks together.
        if file:
            return altered(rng, file, kind)


def read_by_pillow(file):
    try:
        return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))
    except Exception as error:  # noqa: BLE001 -- Pillow raises half a dozen kinds
        return str(error)


class Decoder:
    """The crate, as a process that is asked for one file after another."""

    def __init__(self, command):
        self.process = subprocess.Popen([command], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def read(self, path):
        self.process.stdin.write(f"{path}\n".encode())
        self.process.stdin.flush()
        line = self.process.stdout.readline().decode().rstrip("\n")
        if not line:
            sys.exit(f"the decoder ended at {path}")
        if line.startswith("- "):
            return line[2:]
        width, height, _ = map(int, line.split())
        return np.frombuffer(self.process.stdout.read(3 * width * height), np.uint8).reshape(height, width, 3)


def verdict(ours, theirs, levels, kind, size):
    """What became of a file of `size` bytes, and whether that is right."""
    if isinstance(ours, str) and isinstance(theirs, str):
        return "refused by both", True
    if isinstance(theirs, str):
        # Pillow hands libjpeg 64 KiB at a time, and arithmetic coding cannot wait for more.
        return "read, refused by Pillow", "arithmetic" in kind and size > 65536
    if isinstance(ours, str):
        # Pillow makes up what is missing, in grey, where a file has an end.
        return "refused, read by Pillow", kind.endswith("cut and ended")
    if ours.shape != theirs.shape:
        return "another size", False
    difference = int(np.abs(ours.astype(int) - theirs).max())
    if difference == 0:
        return "equal", True
    return ("within the levels", True) if difference <= levels else ("different", False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--levels", type=int, default=2)
    parser.add_argument("--decoder", type=Path, default=ROOT / "target/release/examples/decode_pictures")
    parser.add_argument("--keep", type=Path, help="folder for files that were read wrongly")
    arguments = parser.parse_args()

    decoder = Decoder(arguments.decoder)
    table, wrong = collections.defaultdict(collections.Counter), 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "picture.jpg"
        for index in range(arguments.files):
            # Each file follows from its number alone.
            file, kind = random_file(random.Random(f"{arguments.seed} {index}"), folder)
            path.write_bytes(file)
            ours, theirs = decoder.read(path), read_by_pillow(file)
            result, is_right = verdict(ours, theirs, arguments.levels, kind, len(file))
            table[kind.split(",")[0]][result] += 1
            table["all"][result] += 1
            if not is_right:
                wrong += 1
                detail = next((text for text in (ours, theirs) if isinstance(text, str)), "")
                print(f"file {index} ({kind}): {result} {detail}")
                if arguments.keep:
                    arguments.keep.mkdir(parents=True, exist_ok=True)
                    (arguments.keep / f"{arguments.seed}-{index}.jpg").write_bytes(file)

    print(f"\nPillow {Image.__version__}, libjpeg-turbo {features.version('libjpeg_turbo')}, seed {arguments.seed}")
    results = sorted(table["all"])
    print(" | ".join(["colour".ljust(20), *results]))
    for color, counts in table.items():
        print(" | ".join([color.ljust(20), *(str(counts[result]).rjust(len(result)) for result in results)]))
    print(f"{wrong} of {arguments.files} files wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
