#!/usr/bin/env bash
# the sources are formatted
. "$(dirname "$0")/../common.sh"

cargo fmt --all --check
