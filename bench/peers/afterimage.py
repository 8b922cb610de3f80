"""Afterimage in processes of its own: steps and decodes from `afterimage bench --json`, and whole variations."""

import json

from machine import Quiet, call, load
from shape import decode_gflop, image_tokens, shape_of, step_gflop

# Of the report: what the table takes.
KEPT = ("dtype", "threads", "instructions", "image_tokens", "context_tokens", "load_ms", "step_seconds", "step_processor_seconds", "step_gflop",
        "step_gflops_per_second", "product_gflops_per_second", "attention_gflops_per_second", "gemm_gflops_per_second",
        "gemm_f32_gflops_per_second", "gemm_bf16_gflops_per_second", "gemm_int8_gflops_per_second", "copy_gbytes_per_second",
        "peak_memory_bytes")  # fmt: skip
# Above this side the only step counts: its first use of the weights is nothing beside its length.
WARM_SIDE = 512


def bench(program, folder, side, arguments, threads):
    command = [program, "bench", "--base", folder, "--size", f"{side}x{side}", "--threads", threads, "--device", "cpu", "--json", *arguments]
    out, *_ = call(command)
    return json.loads(out)


def case_of(report, side, before, quiet, gflop, wall, processor):
    return {
        "side": side, "gflop": round(gflop, 1), "load_before": before, "wall": wall, "processor": processor, "others_cores": quiet.others_cores(),
        "peak_mib": (report["peak_memory_bytes"] or 0) >> 20, "report": {name: report[name] for name in KEPT},
    }  # fmt: skip


def step(program, folder, variant, side, context, spared, threads, count):
    """`count` steps at `side`; `spared` of the context tokens are left out, since the first stands for them."""
    arguments = ["--steps", count + 1 if side <= WARM_SIDE else 1, "--context-tokens", context - spared, "--repeated-tokens", spared + 1]
    gguf = variant in ("q8_0", "q4_k")
    arguments += ["--transformer", folder / f"flux-{variant}.gguf"] if gguf else ["--dtype", variant]
    before, quiet = load(), Quiet()
    report = bench(program, folder, side, arguments, threads)
    counted = slice(1 if side <= WARM_SIDE else 0, None)
    wall, processor = report["step_seconds"][counted], report["step_processor_seconds"][counted]
    gflop = step_gflop(shape_of(folder), context, image_tokens(side))
    return {**case_of(report, side, before, quiet, gflop, wall, processor), "context": context}


def decode(program, folder, variant, side, threads, count):
    repeats = count + 1 if side <= WARM_SIDE else 1
    before, quiet = load(), Quiet()
    report = bench(program, folder, side, ["--steps", 1, "--context-tokens", 8, "--repeat", repeats, "--dtype", variant], threads)
    # Of the wall seconds there is a median alone.
    wall, processor = [report["decode"]["median"] / 1e3], report["decode_processor_seconds"][-count:]
    return case_of(report, side, before, quiet, decode_gflop(side), wall, processor)


def vary(program, variant, picture, side, steps, threads, output):
    """The whole command, from the process's start to the file; one pass, as diffusers makes it."""
    return whole([program, "vary", picture, "--size", f"{side}x{side}", "--steps", steps, "--seed", 1, "--enlarge", "off", "--dtype", variant,
                  "--device", "cpu", "--threads", threads, "--quiet", "--output", output])  # fmt: skip


def whole(command, environment=None):
    """A command, from the process's start to its end."""
    before, quiet = load(), Quiet()
    _, peak, wall, processor = call(command, environment)
    return {"load_before": before, "wall": [round(wall, 3)], "processor": [round(processor, 3)], "others_cores": quiet.others_cores(), "peak_mib": peak}
