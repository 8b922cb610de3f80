"""What narrow numbers and cached steps do to pictures: measures, and writes the tables of docs/speed.md.

    python3 bench/quality.py            measure (the engine's ignored test `quality`), then write the tables
    python3 bench/quality.py --tables   write the tables of the figures in bench/results/quality.json
    python3 bench/quality.py --check    fail when the page's tables are not those of the figures

Needs nothing but Python and cargo. Ctrl-C ends a measurement early and keeps the pictures that are finished. Figures go to bench/results/quality.json.
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

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "bench/results/quality.json"
PAGE = ROOT / "docs/speed.md"
TEST = "pipeline::quality::quality"
COMMAND = ["cargo", "test", "--release", "-p", "afterimage-engine", "--lib", "--", TEST, "--exact", "--ignored", "--nocapture"]
NARROW = {
    "bf16 weights": "`bf16`, products in f32 (processors without bf16 instructions)",
    "bf16 products": "`bf16`, products of bf16",
    "int8": "`int8`",
    "int8, bf16 elsewhere": "`int8`, the other matrices in bf16",
}


def machine():
    """What a reader needs to judge the times."""
    names = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {"processor": names[0] if names else platform.processor(), "cores": os.cpu_count(), "load_average": os.getloadavg()}


def measure():
    before = machine()
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "figures.json"
        try:
            subprocess.run(COMMAND, cwd=ROOT, env={**os.environ, "AFTERIMAGE_QUALITY_OUTPUT": str(output)}, check=True)
        except KeyboardInterrupt:
            print("interrupted: the figures are those of the pictures that were finished")
        figures = json.loads(output.read_text())
    record = {"date": datetime.date.today().isoformat(), "machine": before, "load_average_after": os.getloadavg(), **figures}
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps(record, indent=1) + "\n")


def sides(record):
    return sorted({row["side"] for row in record["pictures"]})


def rows_of(record, side, name):
    return [row["figures"] for row in record["pictures"] if row["side"] == side and row["figures"]["name"] == name]


def decibels(rows):
    """Median and least of the pictures that differ at all."""
    values = [row["psnr"] for row in rows if row["psnr"] is not None]
    return f"{statistics.median(values):.1f}, {min(values):.1f}" if values else "equal"


def distances(rows):
    values = [row["distance"] for row in rows]
    return f"{statistics.median(values):.4f}, {max(values):.4f}"


def table(head, rows):
    lines = [" | ".join(head), " | ".join("---" for _ in head)] + [" | ".join(row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def pictures(record, names, shown):
    """PSNR (median, least) and distance (median, largest) at both sizes."""
    counts = {side: len(rows_of(record, side, names[0])) for side in sides(record)}
    head = [""] + [f"{side}² (pictures: {count}), {what}" for side, count in counts.items() for what in ("dB", "distance")]
    rows = []
    for name in names:
        sizes = [rows_of(record, side, name) for side in counts]
        rows.append([shown.get(name, name)] + [text(rows) for rows in sizes for text in (decibels, distances)])
    return table(head, rows)


def cached(record, names):
    # Beside other work even medians of ratios say nothing.
    is_quiet = record["machine"]["load_average"][0] < 1
    head = ["`--cache-threshold`", "", "steps skipped of 28"] + ["time of the steps / f32"] * is_quiet + ["dB", "distance"]
    rows = []
    for name in names:
        for side in sides(record):
            found = rows_of(record, side, name)
            skipped = [row["cached_steps"] for row in found]
            times = [f"{statistics.median(row['denoise_ms'] / row['f32_denoise_ms'] for row in found):.2f}"] * is_quiet
            rows.append([name.removeprefix("cache "), f"{side}²", f"{statistics.median(skipped):.0f} ({min(skipped)} to {max(skipped)})",
                         *times, decibels(found), distances(found)])  # fmt: skip
    return table(head, rows)


def layers(record):
    """Relative errors of the stream behind each block, in thousandths, of each variant at each step."""
    found = record["layers"]
    columns = [(variant["name"], step) for variant in found["variants"] for step in variant["steps"]]
    head = ["10⁻³ behind"] + [f"{name}, step {step['step'] + 1}" for name, step in columns]
    names = ["the input"] + [f"double block {index}" for index in range(found["double_blocks"])]
    names += [f"single block {index}" for index in range(found["single_blocks"])]
    rows = [[name] + [f"{1e3 * step['streams'][at]:.2f}" for _, step in columns] for at, name in enumerate(names)]
    rows.append(["**velocity**"] + [f"{1e3 * step['velocity']:.2f}" for _, step in columns])
    return table(head, rows)


def tables(record):
    known = ["JPEG, quality 90", "JPEG, quality 50", "blur of 1 pixel", "another seed"]
    cache_names = list(dict.fromkeys(row["figures"]["name"] for row in record["pictures"] if row["figures"]["name"].startswith("cache ")))
    return {
        "narrow": pictures(record, list(NARROW), NARROW),
        "known": pictures(record, known, {"another seed": "another seed of the same photograph"}),
        "cache": cached(record, cache_names),
        "layers": layers(record),
    }


def filled(page, record):
    """The page with its tables between `<!-- NAME -->` and `<!-- end -->`."""
    for name, text in tables(record).items():
        before, rest = page.split(f"<!-- {name} -->\n", 1)
        after = rest.split("<!-- end -->", 1)[1]
        page = f"{before}<!-- {name} -->\n{text}\n<!-- end -->{after}"
    return page


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--tables", action="store_true", help="write the tables of the figures that there are")
    what.add_argument("--check", action="store_true", help="fail when the page says something else")
    options = parser.parse_args()
    if not (options.tables or options.check):
        measure()
    page = PAGE.read_text()
    expected = filled(page, json.loads(FIGURES.read_text()))
    if options.check and page != expected:
        sys.exit(f"{PAGE.relative_to(ROOT)}: its tables are not those of {FIGURES.relative_to(ROOT)}; run python3 bench/quality.py --tables")
    if not options.check:
        PAGE.write_text(expected)


if __name__ == "__main__":
    main()
