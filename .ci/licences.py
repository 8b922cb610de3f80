#!/usr/bin/env python3
"""Checks licences, sources and banned crates of the dependency tree against deny.toml, without network.

The part of cargo-deny that must not be skipped where cargo-deny is not installed. Exit code 1 and one line for each
problem.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

try:
    import tomllib
except ImportError:  # before Python 3.11
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent


def accepted(expression, allowed):
    """Whether an SPDX expression can be met with `allowed`. `/` is the old spelling of OR."""
    tokens = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))
    position = 0

    def peek():
        return tokens[position] if position < len(tokens) else None

    def take():
        nonlocal position
        position += 1
        return tokens[position - 1]

    def term():
        if peek() == "(":
            take()
            value = either()
            take()
            return value
        name = take()
        if peek() == "WITH":
            take()
            name = f"{name} WITH {take()}"
        return name in allowed

    def both():
        value = term()
        while peek() == "AND":
            take()
            value = term() and value
        return value

    def either():
        value = both()
        while peek() == "OR":
            take()
            value = both() or value
        return value

    return either()


def main():
    deny = tomllib.loads((ROOT / "deny.toml").read_text(encoding="utf-8"))
    allowed = set(deny["licenses"]["allow"])
    banned = {entry["name"]: entry["reason"] for entry in deny["bans"]["deny"]}
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--all-features"]
    packages = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)["packages"]
    problems = []
    for package in packages:
        name = f"{package['name']} {package['version']}"
        licence = package["license"]
        if not licence or not accepted(licence, allowed):
            problems.append(f"{name}: licence {licence or 'not stated'} is not on deny.toml's allow list")
        if package["name"] in banned:
            problems.append(f"{name}: banned ({banned[package['name']]})")
        source = package["source"]
        if source is not None and "github.com/rust-lang/crates.io-index" not in source:
            problems.append(f"{name}: comes from {source}, not from crates.io")
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        sys.exit(1)
    print(f"licences, bans and sources of {len(packages)} packages: ok")


if __name__ == "__main__":
    main()
