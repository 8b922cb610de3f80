#!/usr/bin/env bash
# files in a bucket, against a server that speaks S3
. "$(dirname "$0")/../common.sh"

if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then install python3 python3-venv; fi
# Where the tests look for it, so that the step `tests` finds it, too.
moto="${CARGO_TARGET_DIR:-target}/tmp/moto"
if [ ! -x "$moto/bin/moto_server" ]; then
    python3 -m venv --clear "$moto"
    "$moto/bin/pip" install -q --disable-pip-version-check 'moto[server]==5.2.5'
fi
export AFTERIMAGE_REQUIRE_S3=1
cargo test --locked --release -p afterimage-jobs --test storage
cargo test --locked --release -p afterimage --test server_failures bucket::
