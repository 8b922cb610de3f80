#!/usr/bin/env bash
# licences, bans and sources of the dependencies
. "$(dirname "$0")/../common.sh"

python=python3
if ! python3 -c 'import tomllib' 2>/dev/null; then
    # Before Python 3.11.
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install -q tomli
    python="$work/venv/bin/python"
fi
cargo fetch --locked
"$python" .ci/licences.py
if cargo deny --version >/dev/null 2>&1; then
    cargo deny --offline check bans licenses sources
fi
