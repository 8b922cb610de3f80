#!/usr/bin/env bash
# the README's second command: all tests, with a summary at the end
. "$(dirname "$0")/../common.sh"

AFTERIMAGE_REQUIRE_SDKS=1 cargo test --locked --release --no-fail-fast 2>&1 | tee "$work/tests.log"

printf '\n== summary\n'
grep -E '^( +Running | +Doc-tests |test result:)' "$work/tests.log"

# One line over all test binaries, so that a runner that reads only the last line sees every test.
awk '/^test result:/ { passed += $4; failed += $6; skipped += $8 }
     END { printf "\n%d passed, %d failed, %d skipped\n", passed, failed, skipped }' "$work/tests.log"
