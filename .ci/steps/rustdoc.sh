#!/usr/bin/env bash
# the documentation of the sources builds, warnings are errors
. "$(dirname "$0")/../common.sh"

RUSTDOCFLAGS="-D warnings" cargo doc --locked --release --workspace --no-deps
