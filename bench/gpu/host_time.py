"""What the host takes of a step: everything that is not the card, on the stand-in driver, whose launches do nothing.

    cargo build --release -p afterimage -p afterimage-cuda-standin
    python3 bench/gpu/host_time.py target/release

Runs `bench` with the demo model; the stand-in runs the self-test and skips what comes after it. The host's time depends on the number of
launches, not on the sizes: FLUX.1-dev's number is reckoned from its blocks. Prints JSON.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
# The demo model's blocks, and FLUX.1-dev's: double, single.
DEMO, FLUX = (2, 4), (19, 38)
STEPS = (2, 6)


def main():
    build = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        driver = Path(folder) / "driver"
        driver.mkdir()
        for name in ("libcuda.so", "libcuda.so.1"):
            shutil.copy(build / "libafterimage_cuda_standin.so", driver / name)
        report = Path(folder) / "report.json"

        def run(settings, *arguments):
            environment = dict(os.environ, LD_LIBRARY_PATH=str(driver), CUDA_STANDIN=settings)
            environment["CUDA_STANDIN_TABLE"] = str(ROOT / "crates/afterimage-cuda/kernels/table.json")
            environment["CUDA_STANDIN_REPORT"] = str(report)
            # Every run tries its kernels: launches are counted from there.
            environment["XDG_CACHE_HOME"] = os.devnull
            said = subprocess.run([build / "afterimage", *arguments], env=environment, check=True, stdout=subprocess.PIPE)
            return json.loads(said.stdout), json.loads(report.read_text())["calls"]["cuLaunchKernel"]

        _, tested = run("", "doctor", "--json")
        photo = ROOT / "docs/photos/lake.jpg"
        small = ["vary", photo, "--device", "cuda", "--size", "64x64", "--enlarge", "off", "--json", "-o", Path(folder) / "out.png"]
        few, many = (run("", *small, "--steps", str(steps))[1] for steps in STEPS)
        arguments = ["bench", "--device", "cuda", "--preset", "demo", "--size", "256x256", "--steps", "50", "--json"]
        said, _ = run(f"skip_after={tested}", *arguments)
    launches = (many - few) / (STEPS[1] - STEPS[0])
    step_ms = said["step"]["median"]
    # A double block has two streams, each of what a single one has.
    blocks = 2 * FLUX[0] + FLUX[1]
    ratio = blocks / (2 * DEMO[0] + DEMO[1])
    print(json.dumps({
        "launches_a_step": launches, "step_ms": step_ms, "us_a_launch": 1000 * step_ms / launches,
        "flux_launches": launches * ratio, "flux_step_ms": step_ms * ratio,
    }, indent=1))


if __name__ == "__main__":
    main()
