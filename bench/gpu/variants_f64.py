"""Every kernel that a card would use against numpy in f64, and what each takes, as JSON.

    python3 bench/gpu/variants_f64.py [--check]

The cases are those of Triton's interpreter (`crates/afterimage-cuda/kernels/interpret`): ragged sizes, gaps, every finish, poisoned
outputs, and nothing touched that must not be. With --check two cases of each variant, for a driver that is none. Needs numpy.
"""

import json
import sys

import numpy as np

from card import Card, stand_in_for_interpreter

# Where sums are f32 the interpreter's order is numpy's; tensor cores and other orders leave more.
F32_SUMS = 5e-5
# 16 bits of a product on the way in, as tensor cores take them, are the oracle's as well: what is left is the result's rounding.
BF16 = 2.0**-7


def main():
    short = "--check" in sys.argv
    card = Card()
    interpreter = stand_in_for_interpreter(card)
    from large import attentions, many_tiles, products
    from small import all_small

    np.seterr(all="ignore")
    rng = np.random.default_rng(20261129)
    report, failed = {}, []
    for case in (case for source in (products(rng), many_tiles(rng), attentions(rng), all_small(rng)) for case in source):
        seen = report.setdefault(case.variant, {"cases": 0, "error": 0.0, "microseconds": 0.0})
        if short and seen["cases"] == 2:
            continue
        interpreter.repeat = 0 if short and seen["cases"] else 5
        allowed = max(case.tolerance, F32_SUMS if case.tolerance < 1e-4 else BF16)
        try:
            error = case.run()
        except RuntimeError as problem:
            # After some failures nothing runs any more in this process.
            failed.append(f"{case.variant} ({case.name}): {problem}")
            break
        seen["cases"] += 1
        seen["error"] = max(seen["error"], error)
        seen["microseconds"] = max(seen["microseconds"], interpreter.microseconds or 0.0)
        if not error <= allowed:
            failed.append(f"{case.variant} ({case.name}): {error:.2e}, allowed are {allowed:.2e}")
    untested = sorted(set(interpreter.ALL) - set(report))
    print(json.dumps({"card": card.name, "capability": card.capability, "failed": failed, "untested": untested, "variants": report}, indent=1))
    if failed or untested:
        sys.exit(f"{len(failed)} failed, the first: {(failed or untested)[0]}")


if __name__ == "__main__":
    main()
