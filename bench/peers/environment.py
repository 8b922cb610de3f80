"""Everything that the measurements need, made below one folder: a Python environment, stable-diffusion.cpp, the slices, Afterimage."""

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from machine import warn
from shape import MARKER

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# Its CMake leaves the faster kernels out; with them it takes half the time.
SDCPP, SDCPP_OPTIONS = "stable-diffusion-cpp-python==0.4.7", "-DGGML_LLAMAFILE=ON"
OPENVINO = HERE.parent / "requirements-openvino.txt"
TORCH = HERE.parent / "requirements.txt"


class Environment:
    """`python` runs the peers; `missing` names peers that could not be had, and why; `binary` is Afterimage."""

    def __init__(self, work, binary, tiny):
        self.work, self.binary, self.tiny = Path(work), binary, tiny
        self.python = self.work / "venv/bin/python"
        self.missing = {}

    def folder(self, subject):
        return self.work / (f"tiny-{subject}" if self.tiny else subject)

    def prepare(self, programs, subjects):
        self.work.mkdir(parents=True, exist_ok=True)
        if not self.binary:
            self.build()
        if not self.python.exists():
            warn(f"making {self.work / 'venv'}")
            venv.create(self.work / "venv", with_pip=True)
        self.install("torch", ["-r", TORCH])
        if "openvino" in programs:
            self.optional("openvino", ["-r", OPENVINO])
        if "sdcpp" in programs:
            self.optional("sdcpp", ["--no-binary", SDCPP.split("==")[0], SDCPP], {"CMAKE_ARGS": SDCPP_OPTIONS, "CMAKE_BUILD_PARALLEL_LEVEL": str(os.cpu_count())})
        for subject in subjects:
            self.slice(subject)
        if "openvino" in programs and "openvino" not in self.missing and "flux" in subjects:
            for dtype in ("f32", "int8"):
                self.run_script("openvino", "run_openvino.py", ["--folder", self.folder("flux"), "--dtype", dtype, "--convert"])

    def build(self):
        """Afterimage as a clean clone has it."""
        subprocess.run(["cargo", "build", "--release", "-p", "afterimage"], cwd=ROOT, check=True)
        target = Path(os.environ.get("CARGO_TARGET_DIR") or "target")
        self.binary = ROOT / target / "release/afterimage"

    def install(self, name, arguments, environment=None):
        """What pip is asked for, unless it was installed before with the same words."""
        stamp = self.work / "venv" / f"installed-{name}"
        words = [part for argument in arguments for part in (Path(argument).read_text().split() if str(argument).endswith(".txt") else [str(argument)])]
        said = json.dumps([words, environment])
        if stamp.exists() and stamp.read_text() == said:
            return
        warn(f"installing {name}: minutes")
        command = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
        subprocess.run([str(part) for part in command], check=True, env={**os.environ, **(environment or {})}, stdout=sys.stderr)
        stamp.write_text(said)

    def optional(self, name, arguments, environment=None):
        """As `install`; without it the rest goes on."""
        try:
            self.install(name, arguments, environment)
        except (OSError, subprocess.CalledProcessError) as error:
            self.lacks(name, f"could not be installed: {error}")

    def lacks(self, name, why):
        warn(f"{name}: {why}")
        self.missing[name] = why[-300:]

    def run_script(self, peer, script, arguments):
        command = [self.python, HERE / script, *arguments]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        if done.returncode:
            self.lacks(peer, done.stderr.strip()[-300:])

    def slice(self, subject):
        """A model's folder, made unless it is there."""
        folder = self.folder(subject)
        if (folder / MARKER).exists():
            return
        warn(f"writing {folder}: minutes")
        shape = {"flux": "flux", "medium": "medium", "vae": "tiny"}[subject]
        command = [self.python, HERE / "write_slice.py", "--folder", folder, "--shape", "tiny" if self.tiny else shape]
        command += ["--vae", "full"] if subject == "vae" else []
        command += ["--gguf", "q8_0", "q4_k"] if subject == "flux" else []
        subprocess.run([str(part) for part in command], check=True, stdout=sys.stderr)

    def peak_program(self):
        """The compiled peak.c, or None with the reason in `missing`."""
        compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
        program = self.work / "peak"
        if not compiler:
            return self.lacks("peak", "no C compiler")
        done = subprocess.run([compiler, "-O2", "-pthread", HERE / "peak.c", "-o", program], capture_output=True, text=True)
        return program if done.returncode == 0 else self.lacks("peak", f"peak.c does not compile here: {done.stderr.strip()[-200:]}")
