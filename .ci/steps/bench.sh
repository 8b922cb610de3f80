#!/usr/bin/env bash
# the writers of the benchmarks' tables
. "$(dirname "$0")/../common.sh"

bench/run_all --check
python3 bench/quality.py --check
