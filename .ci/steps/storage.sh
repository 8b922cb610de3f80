#!/usr/bin/env bash
# files in a bucket, against a server that speaks S3
. "$(dirname "$0")/../common.sh"

install_s3_server
export AFTERIMAGE_REQUIRE_S3=1
# As in all steps, of the whole workspace: with fewer crates, dependencies would be built again with fewer features.
unless_tests_follow cargo test --locked --release --test storage
unless_tests_follow cargo test --locked --release --test server_failures bucket::
