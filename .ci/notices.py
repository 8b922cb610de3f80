#!/usr/bin/env python3
"""Prints the licences of everything that the program is linked with: what has to go with it when it is given away.

Usage: notices.py [TARGET]     a target of Rust, such as aarch64-apple-darwin; this machine's by default

Needs `cargo metadata`, and the sources of the crates where cargo keeps them.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = "afterimage"

# Files with a licence, a notice or the names of those who wrote something.
TEXT = re.compile(r"^(licen[cs]e|copying|copyright|notice|authors|unlicense)|-BSD-", re.IGNORECASE)
SOURCES = {".py", ".rs", ".sh", ".toml"}


def metadata(target):
    """What cargo knows of the packages, those for `target` alone."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


def host():
    """This machine's target."""
    lines = subprocess.run(["rustc", "-vV"], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return next(line.removeprefix("host: ") for line in lines if line.startswith("host: "))


def linked(graph):
    """The packages that the program is linked with, itself among them: no build scripts, no tests."""
    nodes = {node["id"]: node for node in graph["resolve"]["nodes"]}
    packages = {package["id"]: package for package in graph["packages"]}
    found, ahead = set(), [package["id"] for package in graph["packages"] if package["name"] == PROGRAM]
    while ahead:
        identity = ahead.pop()
        if identity in found or is_macro(packages[identity]):
            continue
        found.add(identity)
        for dependency in nodes[identity]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                ahead.append(dependency["pkg"])
    return sorted((packages[identity] for identity in found), key=lambda package: (package["name"], package["version"]))


def is_macro(package):
    """Whether a package is run by the compiler and is no part of the program."""
    return any("proc-macro" in target["kind"] for target in package["targets"])


def texts(package):
    """The licence files of a package, by name."""
    folder = Path(package["manifest_path"]).parent
    # Our own crates have theirs at the root.
    folders = [folder] if package["source"] else [folder, ROOT]
    files = (path for folder in folders for path in sorted(folder.iterdir()) if path.is_file() and TEXT.search(path.name))
    return {
        path.name: path.read_text(encoding="utf-8", errors="replace").strip() for path in files if path.suffix not in SOURCES
    }


def page():
    """The licences of what the page in the server is made of; every dependency of its package.json has to be there."""
    text = (ROOT / "packaging/playground-licences.txt").read_text(encoding="utf-8")
    listed = ROOT / "playground/package.json"
    if listed.exists():
        for name in json.loads(listed.read_text(encoding="utf-8")).get("dependencies", {}):
            if f"\n{name}\n" not in text:
                sys.exit(f"packaging/playground-licences.txt lacks {name}, of which the page is made")
    return text.strip()


def main(arguments):
    packages = linked(metadata(arguments[0] if arguments else host()))
    by_text, without = {}, []
    for package in packages:
        named = f"{package['name']} {package['version']}"
        found = texts(package)
        if not found:
            without.append(f"{named} ({package['license'] or 'no licence'})")
        for name, text in found.items():
            by_text.setdefault(text, (name, []))[1].append(named)
    print(f"{PROGRAM} is linked with these crates. Each stands under the licences that it names; their texts follow.\n")
    for package in packages:
        place = package["repository"] or package["homepage"] or ""
        print(f"{package['name']} {package['version']}: {package['license'] or 'see its text'} {place}".rstrip())
    if without:
        print("\nThese come without a text; that of the licence they name is among those of others:")
        print("\n".join(f"  {line}" for line in without))
    for text, (name, users) in by_text.items():
        print(f"\n{'=' * 100}\n{name} of {', '.join(users)}\n\n{text}")
    print(f"\n{'=' * 100}\n{page()}")
    print(f"{len(packages)} crates, {len(by_text)} texts, {len(without)} without one", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
