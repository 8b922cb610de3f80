"""FLUX.1-dev's size on a card, of made-up numbers: Redux at 1024², 28 steps, for each type of weights, as JSON.

    python3 bench/gpu/flux.py BINARY FOLDER [--check]

Writes the files with `models synth` (about 24 GB of bf16 at a time, removed afterwards), runs `vary` on them and takes seconds
from its `--json`. With --check the demo model instead, at 64² in two steps.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from full_size import PARTS, base_folder, picture, synth  # noqa: E402

# Weights' type, and --dtype.
RUNS = [("bf16", "bf16"), ("bf16", "fp8"), ("bf16", "int8"), ("q8_0", "auto"), ("q4_k", "auto")]


def main():
    program, work, short = sys.argv[1], Path(sys.argv[2]) / "flux", "--check" in sys.argv
    work.mkdir(exist_ok=True)
    size, steps = ("64x64", "2") if short else ("1024x1024", "28")
    if short:
        # T5-XXL alone takes minutes to write; the rest of the script is the same.
        print(json.dumps(small(program, work, size, steps), indent=1))
        return
    parts = {name: synth(program, work / f"{name}.{'gguf' if name == 't5' else 'safetensors'}", *PARTS[name]) for name in PARTS}
    base = base_folder(work / "base")
    source = picture(work / "source.bmp")
    report = []
    for weights, dtype in RUNS:
        suffix = "safetensors" if weights == "bf16" else "gguf"
        transformer = synth(program, work / f"{weights}.{suffix}", "flux-dev", "bfl", weights)
        command = [program, "vary", source, "--device", "cuda", "--dtype", dtype, "--size", size, "--steps", steps]
        command += ["--base", base, "--transformer", transformer, "--t5", parts["t5"], "--clip", parts["clip"]]
        command += ["--vae", parts["vae"], "--image-encoder", parts["siglip"], "--redux", parts["redux"]]
        start = time.perf_counter()
        run = subprocess.run([*command, "--seed", "1", "--json", "-o", work / "out.png"], stdout=subprocess.PIPE)
        seconds = time.perf_counter() - start
        said = json.loads(run.stdout) if run.returncode == 0 else None
        report.append({"weights": weights, "dtype": dtype, "exit": run.returncode, "wall_s": seconds, "said": said})
        if weights != "bf16" or dtype == "int8":
            transformer.unlink()
    print(json.dumps(report, indent=1))
    shutil.rmtree(work)
    if any(run["exit"] for run in report):
        sys.exit("a run failed")


def small(program, work, size, steps):
    """The demo model through the same command: that the flags exist and the JSON holds what is wanted."""
    command = [program, "vary", Path(__file__).resolve().parents[2] / "docs/photos/lake.jpg", "--device", "cuda"]
    command += ["--size", size, "--steps", steps, "--seed", "1", "--json", "-o", work / "out.png"]
    said = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    assert said["device"].startswith("cuda"), said["device"]
    return [{"weights": "demo", "dtype": "auto", "said": said}]


if __name__ == "__main__":
    main()
