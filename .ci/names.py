#!/usr/bin/env python3
"""Finds names of types that are declared twice in the workspace, other than those listed here with a reason.

A struct, enum, union, trait or type alias counts where a module declares it, private or not. Associated types, what is
declared inside functions or by macros, and code for tests (`#[cfg(test)]`, `tests/`, `examples/`) do not count.

Usage: names.py                 exit status 1 if there is one, or if an entry of the list is no longer needed
       names.py --self-test
"""

import sys
import tempfile
from pathlib import Path

from rust_modules import crate_roots, read_crate


class Parallel:
    """Places that have the same idea, each in its own form: each of them may declare each of the names once."""

    def __init__(self, reason, places, names):
        self.reason, self.places, self.names = reason, places.split(), names.split()


DIALECTS = "crates/afterimage-server/src/dialects/"

ALLOWED = [
    Parallel(
        "Rust's convention: a crate's own error and result; elsewhere they are named with their crate",
        "crates/afterimage-core/src/ crates/afterimage-jobs/src/",
        "Error Result",
    ),
    Parallel(
        "an operation as models ask a device for it, on the device's buffers, and as the processor's kernels take it",
        "crates/afterimage-device/src/ crates/afterimage-kernels/src/",
        "AttentionBias Convolution Finish Planes Prelude",
    ),
    Parallel(
        "the same thing in each service's wire format; no code sees two of them, and the schemas have names of their own",
        f"{DIALECTS}fal/ {DIALECTS}openai/ {DIALECTS}wavespeed/",
        "Answer ErrorBody Failed Image Shape Uploaded UploadTicket WebhookRenderer",
    ),
]


def declared(root, packages):
    """{name: [(file from `root`, line)]} of all types that the packages' libraries and programs declare."""
    found = {}
    for package in packages:
        for crate in crate_roots(package):
            if crate.is_relative_to(package / "src"):
                for module in read_crate(crate).everything():
                    for name, line in module.types.items():
                        found.setdefault(name, set()).add((module.file.relative_to(root).as_posix(), line))
    return {name: sorted(places) for name, places in found.items()}


def complaints(found, allowed):
    """What is wrong with the declarations, and which entries of `allowed` nothing needs any more."""
    lines = []
    parallel = {name: group for group in allowed for name in group.names}
    for name, declarations in sorted(found.items()):
        places = parallel[name].places if name in parallel else []
        spots = [next((place for place in places if file.startswith(place)), None) for file, _ in declarations]
        if len(declarations) > 1 and (None in spots or len(set(spots)) < len(spots)):
            lines.append(f"{name} is declared {len(declarations)} times; a name has one meaning:")
            lines += [f"    {file}:{line}" for file, line in declarations]
    for name in parallel:
        if len(found.get(name, [])) < 2:
            lines.append(f"{name}: listed as declared in parallel, but it is not")
    return lines


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, text in [
            ("a/src/lib.rs", "mod deep;\npub struct One;\nstruct Two;\nimpl Iterator for One { type Item = Two; }\n"),
            ("a/src/deep.rs", "// struct One;\nfn f() { struct One; }\n#[cfg(test)]\nmod tests { struct One; }\n"),
            ("a/tests/all.rs", "struct One;\n"),
            ("b/src/main.rs", 'mod inner {\n    pub(crate) enum Two {}\n}\nstatic TEXT: &str = "struct One;";\n'),
        ]:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        found = declared(root, [root / "a", root / "b"])
    twice = [("a/src/lib.rs", 3), ("b/src/main.rs", 2)]
    assert found == {"One": [("a/src/lib.rs", 2)], "Two": twice}, found
    assert complaints(found, [])[0].startswith("Two is declared 2 times") and len(complaints(found, [])) == 3
    assert complaints(found, [Parallel("a reason", "a/ b/", "Two")]) == []
    assert len(complaints(found, [Parallel("a reason", "a/ c/", "Two")])) == 3
    assert complaints({"Two": [*twice, ("b/src/x.rs", 1)]}, [Parallel("a reason", "a/ b/", "Two")]) != []
    assert "One: listed" in complaints(found, [Parallel("a reason", "a/ b/", "One Two")])[0]
    print("names: all as expected")
    return 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    workspace = Path(__file__).resolve().parent.parent
    found = declared(workspace, sorted((workspace / "crates").iterdir()))
    if not found:
        print("names: no type found", file=sys.stderr)
        return 2
    lines = complaints(found, ALLOWED)
    for line in lines:
        print(line)
    print(f"{len(found)} names of types")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.exit(main(sys.argv[1:]))
