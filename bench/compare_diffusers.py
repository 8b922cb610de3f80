"""The same random weights through diffusers and through afterimage: stage times, seconds per step, peak memory, ratios.

    python compare_diffusers.py --afterimage ../target/release/afterimage --repeat 3

Every measurement is a process of its own, whose peak memory is read from outside; the two programs take turns, so that
a slow spell of the machine hits both. Results go to bench/results/ as JSON.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEFAULT_STEPS = {512: 4, 1024: 2}  # counted steps; one warm-up step is added

# our name -> places in the JSON of `afterimage bench --json` to look at, first match wins; dots go into objects
AFTERIMAGE_FIELDS = {
    "seconds_per_step": ["seconds_per_step", "denoise.seconds_per_step"],
    "step_seconds": ["step_seconds", "denoise.step_seconds"],
    "load_ms": ["load_ms", "stages.load_ms"],
    "condition_ms": ["condition_ms", "conditioning_ms", "stages.condition_ms", "encode_ms"],
    "denoise_ms": ["denoise_ms", "stages.denoise_ms"],
    "decode_ms": ["decode_ms", "stages.decode_ms"],
    "context_tokens": ["context_tokens"],
}
COMPARED = [("seconds_per_step", "s/step", 1.0), ("load_ms", "load s", 1e3), ("condition_ms", "encode s", 1e3),
            ("decode_ms", "decode s", 1e3), ("peak_mib", "peak GiB", 1024.0)]  # fmt: skip


def find(record, places):
    """The first of several dotted paths that exists in nested objects, or None."""
    for place in places:
        value = record
        for key in place.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            return value
    return None


def run(command, environment=None):
    """(stdout, peak resident memory in MiB, wall seconds) of a command; its failure ends the comparison."""
    begin = datetime.datetime.now()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=out, env={**os.environ, **(environment or {})})
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"exit status {process.returncode}: {' '.join(map(str, command))}")
        out.seek(0)
        text = out.read().decode("utf-8", "replace")
    # ru_maxrss counts KiB on Linux, bytes on macOS
    unit = 1024 if platform.system() == "Linux" else 1024 * 1024
    return text, usage.ru_maxrss / unit, (datetime.datetime.now() - begin).total_seconds()


def run_diffusers(options, base, redux, side, steps):
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, HERE / "diffusers_run.py", "--base", base, "--redux", redux, "--width", str(side), "--height",
                   str(side), "--steps", str(steps), "--threads", str(options.threads), "--result", result]  # fmt: skip
        _, peak, wall = run(command, {"OMP_NUM_THREADS": str(options.threads)})
        record = json.loads(result.read_text(encoding="utf-8"))
    return {**record, "peak_mib": peak, "wall_seconds": wall}


def run_afterimage(options, base, redux, side, steps):
    command = [options.afterimage, "bench", "--base", base, "--redux", redux, "--size", f"{side}x{side}", "--steps", str(steps),
               "--json", *options.afterimage_arguments]  # fmt: skip
    text, peak, wall = run(command)
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        sys.exit(f"`afterimage bench --json` did not print one JSON value: {error}")
    record = {name: find(raw, places) for name, places in AFTERIMAGE_FIELDS.items()}
    return {**record, "raw": raw, "peak_mib": peak, "wall_seconds": wall}


def machine():
    """What a reader needs to judge the figures: processor, cores, memory, load and versions."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0] if names else model
    from importlib.metadata import version

    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "load_average": os.getloadavg(),
        "versions": {name: version(name) for name in ("torch", "diffusers", "transformers")},
        "python": platform.python_version(),
    }


def median(records, name):
    values = [record[name] for record in records if record.get(name) is not None]
    return statistics.median(values) if values else None


def table(results):
    """Medians per size; the ratio is diffusers / afterimage, so above 1 means that afterimage needs less."""
    lines = ["| size | program | " + " | ".join(title for _, title, _ in COMPARED) + " |"]
    lines.append("|---" * (len(COMPARED) + 2) + "|")
    for side, programs in results.items():
        medians = {p: {name: median(records, name) for name, _, _ in COMPARED} for p, records in programs.items()}
        for program, values in medians.items():
            cells = ["–" if values[n] is None else f"{values[n] / unit:.3g}" for n, _, unit in COMPARED]
            lines.append(f"| {side}² | {program} | " + " | ".join(cells) + " |")
        if len(medians) == 2:
            theirs, ours = medians["diffusers"], medians["afterimage"]
            cells = [f"{theirs[n] / ours[n]:.2f}" if theirs[n] and ours[n] else "–" for n, _, _ in COMPARED]
            lines.append(f"| {side}² | ratio | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--afterimage", type=Path, default=HERE.parent / "target/release/afterimage", help="the binary")
    parser.add_argument("--afterimage-arguments", nargs="*", default=[], help="more arguments for `afterimage bench`")
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024])
    parser.add_argument("--steps", type=int, help="denoising steps that count (4 at 512², 2 at 1024²); one warm-up step is added")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="threads of diffusers")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32", help="number format of the stored weights")
    parser.add_argument("--only", choices=["diffusers", "afterimage"])
    parser.add_argument("--work", type=Path, help="keep the bundle here and use it again")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="folder for the raw results; - for none")
    return parser.parse_args()


def compare(options, work):
    from medium_bundle import ensure_bundle

    base, redux = ensure_bundle(work, options.dtype)
    runners = {"diffusers": run_diffusers, "afterimage": run_afterimage}
    if options.only:
        runners = {options.only: runners[options.only]}
    results = {}
    for side in options.sizes:
        programs = results.setdefault(side, {name: [] for name in runners})
        steps = (options.steps or DEFAULT_STEPS.get(side, 2)) + 1
        for _ in range(options.repeat):
            for name, runner in runners.items():
                record = runner(options, base, redux, side, steps)
                programs[name].append(record)
                per_step = record["seconds_per_step"]
                shown = "–" if per_step is None else f"{per_step:.3f} s/step"
                print(f"{side} {name}: {shown}, peak {record['peak_mib']:.0f} MiB", file=sys.stderr, flush=True)
    return results


def main():
    options = arguments()
    if options.work:
        options.work.mkdir(parents=True, exist_ok=True)
        results = compare(options, options.work)
    else:
        with tempfile.TemporaryDirectory() as folder:
            results = compare(options, Path(folder))
    print(table(results))
    if str(options.results) != "-":
        options.results.mkdir(parents=True, exist_ok=True)
        stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%d-%H%M%S")
        path = options.results / f"compare-{stamp}.json"
        record = {"machine": machine(), "dtype": options.dtype, "threads": options.threads, "results": results}
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(f"written: {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
