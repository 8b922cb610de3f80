#!/usr/bin/env bash
# servers and workers are replaced one at a time by another version while clients go on, there and back
previous=${AFTERIMAGE_PREVIOUS:-}
. "$(dirname "$0")/../common.sh"

if ! ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; then install postgresql; fi
cargo build --locked --release
program=${CARGO_TARGET_DIR:-target}/release/afterimage
if [ -n "$previous" ]; then
    python3 -B tests/upgrade --from "$previous" --to "$program"
else
    # The program of the release before is not at hand. This one stands in for it, and what a migration may do is done.
    python3 -B tests/upgrade --from "$program" --to "$program" --columns
fi
