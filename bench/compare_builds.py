#!/usr/bin/env python3
"""Measures two builds of the program in turns within one run: a change of structure must not cost speed or memory.

    python3 bench/compare_builds.py BEFORE AFTER --load target/release/examples/load --output bench/results/house.json

BEFORE and AFTER are binaries. Needs only the standard library; the client of the submits is built by
`cargo build --release -p afterimage-server --example load`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "load"))
from run import KEY, Server, processor  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent


def environment():
    return {name: value for name, value in os.environ.items() if not name.startswith("AFTERIMAGE_")}


def run(command):
    """Standard output, wall seconds and peak memory (MiB) of one process."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL, env=environment())
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        if status != 0:
            sys.exit(f"{command} ended with {status}")
        output.seek(0)
        return output.read(), seconds, usage.ru_maxrss / 1024


def bench(binary, side, steps):
    output, _, memory = run(
        [binary, "bench", "--preset", "medium", "--size", f"{side}x{side}", "--steps", str(steps), "--json"]
    )
    return {"report": json.loads(output), "peak_mib": memory}


def vary(binary, folder):
    picture = ROOT / "docs" / "photos" / "lake.jpg"
    command = [binary, "vary", str(picture), "--size", "512x512", "--seed", "1", "--quiet", "-o", f"{folder}/out.png"]
    _, seconds, memory = run(command)
    return {"seconds": seconds, "peak_mib": memory}


def submits(binary, load, folder, seconds):
    with Server(binary, f"{folder}/data", 0) as server:
        server.wait_for("/healthz")
        output = subprocess.run([load, server.url, KEY, "submits", "200", str(seconds)], check=True, stdout=subprocess.PIPE)
        return json.loads(output.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--load", required=True, help="the example `load` of afterimage-server")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--submit-seconds", type=int, default=20)
    parser.add_argument("--only", default="512,1024,vary,submits")
    parser.add_argument("--output")
    options = parser.parse_args()
    builds = {"before": options.before, "after": options.after}
    chosen = options.only.split(",")
    results = {name: {} for name in builds}
    for number in range(options.rounds):
        # The second goes first every other time: what the machine does meanwhile hits both.
        order = list(builds.items())[:: 1 if number % 2 == 0 else -1]
        for what in chosen:
            for name, binary in order:
                with tempfile.TemporaryDirectory() as folder:
                    if what in ("512", "1024"):
                        figures = bench(binary, int(what), 3 if what == "512" else 2)
                    elif what == "vary":
                        figures = vary(binary, folder)
                    else:
                        figures = submits(binary, options.load, folder, options.submit_seconds)
                results[name].setdefault(what, []).append(figures)
                print(number, what, name, json.dumps(figures)[:300], flush=True)
    machine = {"processor": processor(), "cores": os.cpu_count(), "load": os.getloadavg()}
    sizes = {name: os.path.getsize(os.path.realpath(binary)) for name, binary in builds.items()}
    report = {"machine": machine, "binary_bytes": sizes, "summary": summary(results, chosen), "runs": results}
    print(json.dumps(report["summary"], indent=1))
    if options.output:
        Path(options.output).write_text(json.dumps(report, indent=1) + "\n")


def summary(results, chosen):
    """Medians of both builds and the ratio before / after: above 1 the second one is faster or smaller."""
    rows = {}
    for what in chosen:
        if what in ("512", "1024"):
            figures = {
                "step_s": lambda run: statistics.median(run["report"]["step_seconds"]),
                "decode_s": lambda run: run["report"]["decode"]["median"] / 1000,
                "peak_mib": lambda run: run["peak_mib"],
            }
        elif what == "vary":
            figures = {"seconds": lambda run: run["seconds"], "peak_mib": lambda run: run["peak_mib"]}
        else:
            figures = {"p50_ms": lambda run: run["submit"]["p50_ms"], "p99_ms": lambda run: run["submit"]["p99_ms"]}
        for name, of in figures.items():
            before, after = (statistics.median(of(run) for run in results[build][what]) for build in ("before", "after"))
            rows[f"{what} {name}"] = {"before": before, "after": after, "before/after": round(before / after, 3)}
    return rows


if __name__ == "__main__":
    main()
