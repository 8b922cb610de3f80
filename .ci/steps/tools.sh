#!/usr/bin/env bash
# what the other steps need: a linker, Python, Node.js, curl; installed where apt-get can
. "$(dirname "$0")/../common.sh"

if ! command -v cargo >/dev/null; then
    echo "cargo is missing: install Rust from https://rustup.rs and run again" >&2
    exit 1
fi
# rustc needs a linker.
if ! command -v cc >/dev/null; then install gcc libc6-dev; fi
if ! command -v python3 >/dev/null; then install python3; fi
# The official SDKs and the examples in the documents run as tests.
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then install python3-venv; fi
if ! command -v npm >/dev/null; then install nodejs npm; fi
if ! command -v curl >/dev/null; then install curl ca-certificates; fi
cargo --version
rustc --version
