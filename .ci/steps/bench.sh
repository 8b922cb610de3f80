#!/usr/bin/env bash
# the writer of the benchmark's table
. "$(dirname "$0")/../common.sh"

bench/run_all --check
