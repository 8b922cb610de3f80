"""Runs every case in the interpreter: those made here, and those of a folder of `.case` files if one is named. One line a
family; fails if any case does."""

import os
import sys
import time

sys.dont_write_bytecode = True

import harness  # noqa: E402, F401  (first: it turns the interpreter on)

import numpy as np  # noqa: E402

from cases import read_cases, write_case  # noqa: E402
from large import attentions, many_tiles, products  # noqa: E402
from small import all_small  # noqa: E402


def main():
    """`run.py [folder of cases] [--only part-of-a-name] [--write folder]`"""
    arguments = sys.argv[1:]
    only = folder = ""
    if "--write" in arguments:
        at = arguments.index("--write")
        folder = arguments[at + 1]
        del arguments[at : at + 2]
    if "--only" in arguments:
        at = arguments.index("--only")
        only = arguments[at + 1]
        del arguments[at : at + 2]
    rng = np.random.default_rng(20261129)
    start = time.time()
    families, failures, tested = {}, [], set()
    np.seterr(all="ignore")
    sources = [products(rng), many_tiles(rng), attentions(rng), all_small(rng)] if not arguments else [read_cases(arguments[0])]
    for case in (case for source in sources for case in source if only in case.variant):
        family = harness.ALL[case.variant].family
        tested.add(case.variant)
        if folder:
            write_case(case, os.path.join(folder, f"{len(tested):03}-{sum(c for c, _ in families.values()):04}.case"))
        error = case.run()
        kinds = "bf16" if case.tolerance > 1e-3 else "f32"
        count, worst = families.get((family, kinds), (0, 0.0))
        families[family, kinds] = count + 1, max(worst, error)
        if not error <= case.tolerance:
            failures.append(f"FAILED {case.variant} ({case.name}): {error:.2e}, allowed are {case.tolerance:.2e}")
    for (family, kinds), (count, worst) in families.items():
        print(f"{family:20} {kinds:5} {count:4} cases, largest error {worst:.1e}")
    missing = [] if arguments or only else sorted(set(harness.ALL) - tested)
    print("\n".join(failures + [f"NOT TESTED {name}" for name in missing]), end="\n" if failures or missing else "")
    total = sum(count for count, _ in families.values())
    print(f"{total} cases of {len(tested)} variants, {len(failures)} failed, {time.time() - start:.0f} s")
    return 1 if failures or missing or not total else 0


if __name__ == "__main__":
    sys.exit(main())
