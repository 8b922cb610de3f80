"""The state of the machine, and time. Standard library only."""

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# What decides how fast numbers are multiplied.
FLAGS = ("avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512_bf16", "avx512_fp16", "avx512_vnni", "amx_tile", "amx_bf16",
         "amx_int8", "asimddp", "i8mm", "bf16", "sve")  # fmt: skip
VERSIONS = ("torch", "diffusers", "transformers", "openvino", "nncf", "stable-diffusion-cpp-python", "gguf", "numpy")
KIBIBYTE_UNIT = 1024 if platform.system() == "Linux" else 1024 * 1024  # of ru_maxrss in a mebibyte


def cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def load():
    return [round(value, 2) for value in os.getloadavg()]


def facts(root, python):
    """Processor, memory, system, versions and commit: what a reader needs to judge figures."""
    name, flags, clock = platform.processor(), [], None
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        fields = [line.split(":", 1) for line in cpuinfo.read_text().splitlines() if ":" in line]
        found = {key.strip(): value.strip() for key, value in reversed(fields)}
        name, clock = found.get("model name", name), found.get("cpu MHz")
        there = set(found.get("flags", found.get("Features", "")).split())
        flags = [flag for flag in FLAGS if flag in there]
    git = lambda *words: subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True).stdout.strip()  # noqa: E731
    code = f"from importlib.metadata import version\nfor n in {VERSIONS!r}:\n try: print(n, version(n))\n except Exception: pass"
    listed = subprocess.run([str(python), "-c", code], capture_output=True, text=True).stdout if python else ""
    return {
        "processor": name, "flags": flags, "cpuinfo_mhz": clock and float(clock), "cores": cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}", "python": platform.python_version(),
        "versions": dict(line.split() for line in listed.splitlines()),
        "commit": git("rev-parse", "--short=12", "HEAD"), "changed_files": len(git("status", "--porcelain", "--untracked-files=no").splitlines()),
        "load_average": load(),
    }  # fmt: skip


def peak_mib():
    """Largest resident memory of this process so far."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIBIBYTE_UNIT)


def own_processor_seconds():
    """User and system time of this process, all threads."""
    return sum(resource.getrusage(resource.RUSAGE_SELF)[:2])


def all_processor_seconds():
    """(used by all programs and taken by the hypervisor for others, used by this process and its finished children) so far."""
    own = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    try:
        fields = [int(part) for part in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except OSError:
        return own, own
    user, nice, system, _, _, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK"), own


class Quiet:
    """How far a measurement had the machine to itself: processor seconds of other programs, as cores."""

    def __init__(self):
        self.start, self.before = time.perf_counter(), all_processor_seconds()

    def others_cores(self):
        wall = time.perf_counter() - self.start
        everyone, own = (after - before for after, before in zip(all_processor_seconds(), self.before))
        return round(max(0.0, everyone - own) / wall, 2)


class Marks:
    """Wall and processor time at each call; `intervals` are the differences."""

    def __init__(self):
        self.times = []

    def mark(self, *_):
        self.times.append((time.perf_counter(), own_processor_seconds()))

    def intervals(self, last):
        pairs = [(b[0] - a[0], b[1] - a[1]) for a, b in zip(self.times, self.times[1:])][-last:]
        return {"wall": [round(wall, 4) for wall, _ in pairs], "processor": [round(cpu, 4) for _, cpu in pairs]}


def timed(function, count):
    """The intervals of `count` calls."""
    marks = Marks()
    marks.mark()
    for _ in range(count):
        function()
        marks.mark()
    return marks.intervals(count)


def call(command, environment=None):
    """(standard output, peak MiB, wall seconds, processor seconds) of a child process; raises RuntimeError when it fails."""
    start = time.perf_counter()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen([str(part) for part in command], stdout=out, stderr=errors, env={**os.environ, **(environment or {})})
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = [(file.seek(0), file.read().decode("utf-8", "replace"))[1] for file in (out, errors)]
    if process.returncode != 0:
        raise RuntimeError(f"exit status {process.returncode} of {' '.join(map(str, command))}\n{texts[1][-1500:]}")
    return texts[0], round(usage.ru_maxrss / KIBIBYTE_UNIT), wall, usage.ru_utime + usage.ru_stime


def emit(cases):
    """The runners' answer: one JSON line, the last one of standard output."""
    print(json.dumps(cases), flush=True)


class Patience:
    """Which cases are measured: those that a smaller one lets expect to be quick enough.

    A program without fast kernels on this machine (torch's bf16 on a processor without such instructions) may take minutes
    for a step. Such a case is reported as skipped, with the seconds that its operations would take at the smaller one's speed.
    """

    def __init__(self, seconds):
        self.seconds, self.speed = seconds, None

    def saw(self, gflop, seconds):
        self.speed = gflop / max(seconds, 1e-6)

    def expected(self, gflop):
        """Seconds, or None where nothing is known."""
        return self.speed and gflop / self.speed

    def is_lost(self, gflop):
        return self.speed is not None and self.expected(gflop) > self.seconds


def warn(text):
    print(text, file=sys.stderr, flush=True)
