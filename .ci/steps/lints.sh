#!/usr/bin/env bash
# clippy, warnings are errors
. "$(dirname "$0")/../common.sh"

# The same profile as all other steps: libraries in C and procedural macros are built once.
cargo clippy --locked --release --workspace --all-targets -- -D warnings
# The program without the embedded model.
cargo clippy --locked --release -p afterimage --no-default-features -- -D warnings
