#!/usr/bin/env bash
# no circles of files inside a crate, no file or function that is too long, no name of a type twice, no test that sleeps
. "$(dirname "$0")/../common.sh"

for check in circles lengths names sleeps; do
    python3 ".ci/$check.py" --self-test
    python3 ".ci/$check.py"
done
