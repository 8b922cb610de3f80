#!/usr/bin/env bash
# the README's second command: all tests, with a summary at the end
. "$(dirname "$0")/../common.sh"

export AFTERIMAGE_REQUIRE_SDKS=1
# What the steps before installed is not passed over.
if [ -n "${CI_TESTS_FOLLOW:-}" ]; then
    export AFTERIMAGE_REQUIRE_POSTGRES=1 AFTERIMAGE_REQUIRE_PGBOUNCER=1 AFTERIMAGE_REQUIRE_FAKETIME=1 AFTERIMAGE_REQUIRE_S3=1
fi
cargo test --locked --release --no-fail-fast 2>&1 | tee "$work/tests.log"

printf '\n== summary\n'
grep -E '^( +Running | +Doc-tests |test result:)' "$work/tests.log"

# One line over all test binaries, so that a runner that reads only the last line sees every test.
awk '/^test result:/ { passed += $4; failed += $6; skipped += $8 }
     END { printf "\n%d passed, %d failed, %d skipped\n", passed, failed, skipped }' "$work/tests.log"
