"""Which tiles are fastest on this card for FLUX's products and attention: a table, as JSON.

    python3 bench/gpu/tiles.py [--check]

Times the committed kernels and, where there is Triton, the same sources compiled for other tiles. Each row says what the winner is and how much
faster than what is committed; who takes a winner over writes it into `kernels/variants.py` and builds. With --check small sizes
and what is committed, for a driver that is none. Needs numpy.
"""

import concurrent.futures
import importlib.util
import json
import os
import sys
import time

import numpy as np

from card import KERNELS, Card, Image

import variants

# Outputs and inputs of FLUX.1's layers: queries, keys and values; back; up; down; a single block's in and out.
LAYERS = ((9216, 3072), (3072, 3072), (12288, 3072), (3072, 12288), (21504, 3072), (3072, 15360))
# Tokens at 1024²: text and picture, with Redux.
TOKENS = (4608, 5337)
PRODUCTS = ("product.bf16.bf16.bf16.aligned", "product.f8.f8f8.bf16.aligned", "product.i8.i8i8.bf16.aligned",
            "product.bf16.i8.bf16.aligned", "product.bf16.u4.bf16.aligned")
ATTENTIONS = ("attention.bf16.none.128.aligned", "attention.bf16.keys.128.aligned")
# Warps, stages, rows, outputs, depth; warps, stages, rows, keys.
PRODUCT_TILES = ((4, 3, 128, 128, 64), (8, 3, 128, 256, 64), (8, 4, 128, 256, 64), (8, 3, 256, 128, 64), (8, 4, 128, 128, 128),
                 (4, 4, 64, 128, 128), (8, 3, 128, 256, 128))
ATTENTION_TILES = ((4, 2, 64, 64), (4, 3, 128, 64), (8, 2, 128, 64), (8, 3, 128, 64), (8, 2, 128, 128), (8, 3, 128, 128))
# Seconds after which nothing more is tried.
BUDGET = 150


def candidates(card, names):
    """`{name: [(shape, image)]}`: what is committed first."""
    found = {name: [("committed", card.committed(name))] for name in names}
    target = next((target for target in card.targets if target != "ptx"), None)
    if importlib.util.find_spec("triton") is None or target is None or "--check" in sys.argv:
        return found
    import build

    tasks = []
    for name in names:
        for warps, stages, rows, cols, *depth in PRODUCT_TILES if name.startswith("product") else ATTENTION_TILES:
            constants = dict(ROWS=rows, OUTPUTS=cols, DEPTH=depth[0]) if depth else dict(ROWS=rows, KEYS=cols)
            tasks.append((name, target, variants.Shape(warps, stages, constants)))
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count(), initializer=build.prepare) as pool:
        for task, made in zip(tasks, pool.map(build.attempt, tasks)):
            if "failed" in made or made["spills"] or made["shared"] > build.SHARED[target]:
                continue
            image = Image(made["cubin"], made["entry"], made["tile"], made["warps"], made["shared"])
            found[task[0]].append((repr(task[2]), image))
    return found


def product_arguments(rng, name, rows, outputs, inputs):
    """Operands of a product, with small numbers: their bits do not matter for its time."""
    variant = variants.variants()[name]
    kind = variant.constants["KIND"]
    number = {"*bf16": np.uint16, "*f32": np.float32}
    types = dict(variant.parameters())
    bits = lambda count, kind: rng.integers(0, 63, count, np.uint8).astype(number.get(kind, np.uint8))  # noqa: E731
    arguments = {"x": bits(rows * inputs, types["x"]), "out": bits(rows * outputs, types["out"])}
    arguments["weight"] = bits(outputs * inputs // (2 if kind == "u4" else 1), types["weight"])
    group = {"i8": 16, "u4": 32}.get(kind)
    if group:
        arguments["factors"] = np.ones(outputs * inputs // group, np.float16)
        arguments["offsets"] = np.zeros(outputs * inputs // group, np.float16)
    if kind not in ("f32", "bf16"):
        arguments["row_scales"] = np.ones(outputs, np.float32)
    if kind in ("i8i8", "f8f8"):
        arguments["x_scales"] = np.ones(rows, np.float32)
    sizes = dict(rows=rows, outputs=outputs, inputs=inputs, x_stride=inputs, out_stride=outputs, has_offsets=int(kind == "u4"))
    return arguments | sizes, 2.0 * rows * outputs * inputs


def attention_arguments(rng, name, tokens, heads):
    """Operands of an attention over the slices of one buffer."""
    width = 128 * heads
    flat = rng.integers(0, 63, tokens * 3 * width, np.uint8).astype(np.uint16)
    arguments = {"q": (flat, 0), "k": (flat, width), "v": (flat, 2 * width), "out": np.zeros(tokens * width, np.uint16)}
    if ".keys." in name:
        arguments |= {word: np.zeros(tokens, np.float32) for word in ("offset", "gated", "gate")}
    strides = dict.fromkeys(("q_stride", "k_stride", "v_stride"), 3 * width) | {"out_stride": width}
    sizes = dict(queries=tokens, keys=tokens, heads=heads, head_dim=128, scale=0.088)
    return arguments | strides | sizes, 4.0 * tokens * tokens * width


def main():
    short = "--check" in sys.argv
    start, card, rng = time.time(), Card(), np.random.default_rng(1)
    names = [name for name in PRODUCTS + ATTENTIONS if card.has(name)]
    images = candidates(card, names)
    works = []
    for name in names:
        if name.startswith("product"):
            sizes = [(48, 64, 96)] if short else [(rows, *layer) for rows in TOKENS for layer in LAYERS]
            works += [(name, size, product_arguments) for size in sizes]
        else:
            works += [(name, size, attention_arguments) for size in ([(80, 2)] if short else [(rows, 24) for rows in TOKENS])]
    rows, left = [], []
    for name, size, operands in works:
        if time.time() - start > BUDGET:
            left.append([name, *size])
            continue
        arguments, flop = operands(rng, name, *size)
        variant, times = variants.variants()[name], []
        for shape, image in images[name]:
            try:
                times.append((card.launch(image, variant, arguments, 5), shape))
            except RuntimeError as problem:
                if shape == "committed":
                    raise
                print(f"{name} {shape}: {problem}", file=sys.stderr)
        committed, best = times[0][0], min(times)
        rows.append({
            "variant": name, "size": size, "committed_us": committed, "best_us": best[0], "best": best[1],
            "committed_tflops": flop / max(committed, 1e-3) / 1e6, "best_tflops": flop / max(best[0], 1e-3) / 1e6,
            "all": [[shape, microseconds] for microseconds, shape in times],
        })
    print(json.dumps({"card": card.name, "capability": card.capability, "target": card.targets[0], "rows": rows, "left_out": left}, indent=1))
    if not rows:
        sys.exit("nothing was timed")


if __name__ == "__main__":
    main()
