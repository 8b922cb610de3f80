#!/usr/bin/env python3
"""Finds Rust files of more than 500 lines, other than the tables listed here.

Usage: lengths.py [FOLDER]     the repository's `crates` and `fuzz` by default; exit status 1 if there is one
       lengths.py --self-test
"""

import sys
import tempfile
from pathlib import Path

MOST_LINES = 500

# Path from the repository's root: why it may be longer.
TABLES = {}


def too_long(root, folders, tables):
    """Complaints about files below `folders` of `root`, and about entries of `tables` that are no longer needed."""
    lengths = {}
    for folder in folders:
        for path in sorted((root / folder).rglob("*.rs")):
            if "target" not in path.relative_to(root).parts:
                lengths[path.relative_to(root).as_posix()] = len(path.read_text(encoding="utf-8").splitlines())
    if not lengths:
        return [f"no Rust file in {', '.join(folders)}"]
    complaints = [
        f"{name}: {count} lines; at most {MOST_LINES} are wanted"
        for name, count in lengths.items()
        if count > MOST_LINES and name not in tables
    ]
    for name in tables:
        if lengths.get(name, 0) <= MOST_LINES:
            complaints.append(f"{name}: listed as a long table, but it is not long")
    return complaints


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "crates" / "target").mkdir(parents=True)
        for name, count in [("short", MOST_LINES), ("long", MOST_LINES + 1), ("target/built", 9999)]:
            (root / "crates" / f"{name}.rs").write_text("//\n" * count, encoding="utf-8")
        long = "crates/long.rs"
        assert [line.split(":")[0] for line in too_long(root, ["crates"], {})] == [long]
        assert too_long(root, ["crates"], {long: "a table"}) == []
        assert "not long" in too_long(root, ["crates"], {long: "a table", "crates/short.rs": "a table"})[0]
        assert too_long(root, ["elsewhere"], {}) != []
    print("lengths: all as expected")
    return 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    root = Path(arguments[0]).resolve() if arguments else Path(__file__).resolve().parent.parent
    complaints = too_long(root, ["."] if arguments else ["crates", "fuzz"], {} if arguments else TABLES)
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
