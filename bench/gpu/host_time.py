"""What the host takes of a step: everything that is not the card, on the stand-in driver, whose launches do nothing.

    cargo build --release
    python3 bench/gpu/host_time.py target/release
    python3 bench/gpu/host_time.py target/release --full /tmp/full-size

Runs `bench` with the demo model; the stand-in runs the self-test and skips what comes after it. The host's time depends on the number of
launches, not on the sizes: FLUX.1-dev's number is reckoned from its blocks. With --full it is measured: made-up weights of its size
(11 GB in the folder; what is there already is used again), 50 steps of 1024² with Redux. Without it also with
cuBLASLt, which the stand-in pretends. Prints JSON.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "bench"))
from full_size import PARTS, base_folder, synth  # noqa: E402

# The demo model's blocks, and FLUX.1-dev's: double, single.
DEMO, FLUX = (2, 4), (19, 38)
STEPS = (2, 6)


class Machine:
    """A stand-in driver in a folder, and what was asked of it."""

    def __init__(self, build, folder, with_library=False):
        self.build, self.folder = build, folder
        driver = folder / "driver"
        driver.mkdir()
        shutil.copy(build / "libafterimage_cuda_standin.so", driver / "libcuda.so.1")
        # The same file under other names, so that it is loaded once.
        os.link(driver / "libcuda.so.1", driver / "libcuda.so")
        if with_library:
            os.link(driver / "libcuda.so.1", driver / "libcublasLt.so.13")

    def run(self, settings, *arguments):
        """What the program said, and how many launches and products of the library there were."""
        report = self.folder / "report.json"
        environment = dict(os.environ, LD_LIBRARY_PATH=str(self.folder / "driver"), CUDA_STANDIN=settings)
        environment["CUDA_STANDIN_TABLE"] = str(ROOT / "crates/afterimage-cuda/kernels/table.json")
        environment["CUDA_STANDIN_REPORT"] = str(report)
        # Every run tries its kernels: launches are counted from there.
        environment["XDG_CACHE_HOME"] = os.devnull
        said = subprocess.run([self.build / "afterimage", *arguments], env=environment, check=True, stdout=subprocess.PIPE)
        return json.loads(said.stdout), sum(json.loads(report.read_text())["launches"].values())


def demo(build, with_library):
    """FLUX.1-dev's host time, reckoned from the demo model's."""
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(build, Path(folder), with_library)
        _, tested = machine.run("", "doctor", "--json")
        photo = ROOT / "docs/photos/lake.jpg"
        small = ["vary", photo, "--device", "cuda", "--size", "64x64", "--enlarge", "off", "--json", "-o", Path(folder) / "out.png"]
        few, many = (machine.run("", *small, "--replace", "--steps", str(steps))[1] for steps in STEPS)
        arguments = ["bench", "--device", "cuda", "--preset", "demo", "--size", "256x256", "--steps", "50", "--json"]
        said, _ = machine.run(f"skip_after={tested}", *arguments)
    launches = (many - few) / (STEPS[1] - STEPS[0])
    step_ms = said["step"]["median"]
    # A double block has two streams, each of what a single one has.
    blocks = 2 * FLUX[0] + FLUX[1]
    ratio = blocks / (2 * DEMO[0] + DEMO[1])
    return {
        "launches_a_step": launches, "step_ms": step_ms, "us_a_launch": 1000 * step_ms / launches,
        "flux_launches": launches * ratio, "flux_step_ms": step_ms * ratio,
    }


def full(build, work, weights):
    """A step of FLUX.1-dev's size, measured."""
    work.mkdir(exist_ok=True)
    program = build / "afterimage"
    types = {**PARTS, "t5": ("t5", "llama-cpp", "q4_0")}
    parts = {name: synth(program, work / f"{name}.{'gguf' if name == 't5' else 'safetensors'}", *types[name]) for name in types}
    suffix = "gguf" if weights.startswith("q") else "safetensors"
    transformer = synth(program, work / f"transformer-{weights}.{suffix}", "flux-dev", "bfl", weights)
    command = ["bench", "--device", "cuda", "--size", "1024x1024", "--steps", "50", "--json"]
    command += ["--base", base_folder(work / "base"), "--transformer", transformer, "--t5", parts["t5"], "--clip", parts["clip"]]
    command += ["--vae", parts["vae"], "--image-encoder", parts["siglip"], "--redux", parts["redux"]]
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(build, Path(folder))
        _, tested = machine.run("", "doctor", "--json")
        said, _ = machine.run(f"memory=80GiB,skip_after={tested}", *command)
    tokens = {name: said[name] for name in ("context_tokens", "image_tokens")}
    return {"model": "FLUX.1-dev's size, Redux", "size": "1024x1024", "weights": weights, **tokens, "step_ms": said["step"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path)
    parser.add_argument("--full", type=Path)
    parser.add_argument("--weights", default="q4_0")
    arguments = parser.parse_args()
    build = arguments.build.resolve()
    if arguments.full:
        found = full(build, arguments.full.resolve(), arguments.weights)
    else:
        found = {"own_kernels": demo(build, False), "with_cublaslt": demo(build, True)}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
