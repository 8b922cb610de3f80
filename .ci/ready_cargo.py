#!/usr/bin/env python3
"""Stands in for cargo where a program is packed that was built before: CARGO=ready_cargo.py AFTERIMAGE_READY=PROGRAM maturin build.

Only `rustc` is answered here, with the message in which cargo says what it has built; all else is cargo's own.
"""

import json
import os
import subprocess
import sys
from pathlib import Path


def main():
    if "rustc" not in sys.argv[1:2]:
        os.execvp("cargo", ["cargo", *sys.argv[1:]])
    manifest = Path(sys.argv[sys.argv.index("--manifest-path") + 1]).resolve()
    command = ["cargo", "metadata", "--format-version=1", "--no-deps", "--offline", "--manifest-path", manifest]
    metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    package = next(package for package in metadata["packages"] if Path(package["manifest_path"]) == manifest)
    target = next(target for target in package["targets"] if target["kind"] == ["bin"])
    program = os.environ["AFTERIMAGE_READY"]
    message = {
        "reason": "compiler-artifact",
        "package_id": package["id"],
        "manifest_path": str(manifest),
        "target": target,
        "profile": {
            "opt_level": "3",
            "debuginfo": 0,
            "debug_assertions": False,
            "overflow_checks": False,
            "test": False,
        },
        "features": [],
        "filenames": [program],
        "executable": program,
        "fresh": True,
    }
    print(json.dumps(message))
    print(json.dumps({"reason": "build-finished", "success": True}))


main()
