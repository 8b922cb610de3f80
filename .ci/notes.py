#!/usr/bin/env python3
"""Prints what CHANGELOG.md says of a version; exit status 1 when that is nothing.

Usage: notes.py VERSION
"""

import sys
from pathlib import Path

CHANGES = Path(__file__).resolve().parent.parent / "CHANGELOG.md"


def section(text, version):
    """The lines below the heading of `version`."""
    lines, inside = [], False
    for line in text.splitlines():
        if line.startswith("## "):
            # `## 0.2.0` or `## 0.2.0, 2026-12-01`
            inside = line.removeprefix("## ").split(",")[0].strip() == version
        elif inside:
            lines.append(line)
    return "\n".join(lines).strip()


def main(arguments):
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    found = section(CHANGES.read_text(encoding="utf-8"), arguments[0])
    if not found:
        print(f"{CHANGES.name} has nothing under \"## {arguments[0]}\"", file=sys.stderr)
        return 1
    print(found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
