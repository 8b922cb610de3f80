"""Runs `vary` on full-size FLUX.1-dev files of made-up numbers: how much memory, how long to load.

    cargo build --release
    python3 bench/full_size.py --work /tmp/full-size --dtype q8_0
    python3 bench/full_size.py --work /tmp/full-size --dtype q4_0
    python3 bench/full_size.py --work /tmp/full-size --dtype q4_0 --memory-budget 4
    python3 bench/full_size.py --work /tmp/full-size --preset srpo --dtype f32

Writes the transformer in the given type, a T5 encoder in Q8_0, CLIP, SigLIP, Redux and the VAE into the work folder (about 20 GB
for q8_0; what is there already is used again), a base folder with tokenizers and no weights beside them, and makes one picture of
256x256 in one step. Prints one JSON object. Exit status 1 when the process took more memory than its files and 2 GB or than its budget, or
loading with the files in the system's cache took longer than 10 seconds. Not for CI: it reads 20 GB. Python's standard
library is enough; the peak is what Linux's `getrusage` says of the process, mapped pages of the weights included.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = {"t5": ("t5", "llama-cpp", "q8_0"), "clip": ("clip", "bfl", "f16"), "siglip": ("siglip", "bfl", "f16"),
         "redux": ("redux", "bfl", "bf16"), "vae": ("vae", "bfl", "f32")}
# SRPO is published in f32 under diffusers' names.
LAYOUTS = {"flux-dev": "bfl", "srpo": "diffusers"}
GB = 1e9


def synth(program: Path, path: Path, preset: str, layout: str, dtype: str) -> Path:
    """The file, made unless it is there."""
    if not path.exists():
        part = path.with_name(path.name + ".part")
        part.unlink(missing_ok=True)
        command = [program, "models", "synth", part, "--preset", preset, "--layout", layout, "--dtype", dtype]
        subprocess.run(command, check=True, stdout=sys.stderr)
        part.rename(path)
    return path


def base_folder(path: Path) -> Path:
    """Tokenizers and a scheduler, as a base folder without weights."""
    demo = ROOT / "crates/afterimage-demo/bundle"
    for name in ("tokenizer", "tokenizer_2", "scheduler"):
        shutil.copytree(demo / name, path / name, dirs_exist_ok=True)
    # The demo's vocabulary is small, so the end token is not CLIP's 49407: 2 stands for the largest id.
    config = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "eos_token_id": 2}
    (path / "text_encoder").mkdir(exist_ok=True)
    (path / "text_encoder/config.json").write_text(json.dumps(config))
    return path


def picture(path: Path) -> Path:
    """A PPM needs no library; the program reads PNG, JPEG and others, so a BMP of one colour gradient."""
    side = 64
    rows = b"".join(bytes((x * 4, y * 4, 128)) for y in range(side) for x in range(side))
    size = 54 + len(rows)
    header = b"BM" + size.to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little")
    header += (40).to_bytes(4, "little") + side.to_bytes(4, "little") * 2 + (1).to_bytes(2, "little")
    header += (24).to_bytes(2, "little") + bytes(24)
    path.write_bytes(header + rows)
    return path


def warm(paths: list[Path]) -> None:
    """Brings files into the system's cache."""
    for path in paths:
        with path.open("rb") as file:
            while file.read(1 << 24):
                pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--dtype", default="q8_0")
    parser.add_argument("--preset", choices=LAYOUTS, default="flux-dev", help="the transformer: its shapes and names")
    parser.add_argument("--steps", default="1")
    parser.add_argument("--size", default="256x256")
    parser.add_argument("--memory-budget", type=float, metavar="GB", help="what the program is told to keep within")
    parser.add_argument("--program", type=Path, default=ROOT / "target/release/afterimage")
    arguments = parser.parse_args()
    work, dtype = arguments.work, arguments.dtype
    work.mkdir(parents=True, exist_ok=True)
    files = {name: synth(arguments.program, work / name, *what) for name, what in PARTS.items()}
    preset = arguments.preset
    name = f"transformer-{dtype}" if preset == "flux-dev" else f"{preset}-{dtype}"
    files["transformer"] = synth(arguments.program, work / name, preset, LAYOUTS[preset], dtype)
    base = base_folder(work / "base")
    command = [arguments.program, "vary", picture(work / "in.bmp"), "--base", base, "--transformer", files["transformer"],
               "--t5", files["t5"], "--clip", files["clip"], "--vae", files["vae"], "--redux", files["redux"],
               "--image-encoder", files["siglip"], "--size", arguments.size, "--steps", arguments.steps, "--seed", "1",
               "--prompt", "a lake", "--safety", "off", "--output", work / "out.png", "--json", "--quiet"]
    if arguments.memory_budget:
        command += ["--memory-budget", f"{arguments.memory_budget}GB"]
    warm(list(files.values()))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AFTERIMAGE_")}
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    seconds = time.monotonic() - start
    if done.returncode != 0:
        sys.exit(f"exit status {done.returncode}: {done.stderr.strip()}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    size = sum(path.stat().st_size for path in files.values())
    timings = json.loads(done.stdout)["timings"]
    report = {"preset": preset, "dtype": dtype, "files_gb": round(size / GB, 2), "peak_gb": round(peak / GB, 2),
              "over_files_gb": round((peak - size) / GB, 2), "seconds": round(seconds, 1), "timings": timings}
    if arguments.memory_budget:
        report["memory_budget_gb"] = arguments.memory_budget
    print(json.dumps(report))
    if arguments.memory_budget and peak > arguments.memory_budget * GB:
        sys.exit(1)
    if peak > size + 2 * GB or timings["load_ms"] > 10_000:
        sys.exit(1)


if __name__ == "__main__":
    main()
