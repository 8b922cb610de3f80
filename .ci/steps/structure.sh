#!/usr/bin/env bash
# no circles of files inside a crate, no file or function that is too long
. "$(dirname "$0")/../common.sh"

for check in circles lengths; do
    python3 ".ci/$check.py" --self-test
    python3 ".ci/$check.py"
done
