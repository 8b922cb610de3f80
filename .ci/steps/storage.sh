#!/usr/bin/env bash
# files in a bucket, against a server that speaks S3
. "$(dirname "$0")/../common.sh"

install_s3_server
export AFTERIMAGE_REQUIRE_S3=1
cargo test --locked --release -p afterimage-jobs --test storage
cargo test --locked --release -p afterimage --test server_failures bucket::
