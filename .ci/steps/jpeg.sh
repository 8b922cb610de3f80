#!/usr/bin/env bash
# random JPEG files as Pillow reads them
. "$(dirname "$0")/../common.sh"

for tool in cjpeg jpegtran; do
    if ! command -v "$tool" >/dev/null; then install libjpeg-turbo-progs; fi
done
python3 -m venv "$work/pillow"
"$work/pillow/bin/pip" install -q -r crates/afterimage-imaging/tests/requirements.txt
# The whole workspace, so that its libraries are built with the same features as in other steps.
cargo build --locked --release --workspace --example decode_pictures
"$work/pillow/bin/python" crates/afterimage-imaging/tests/compare_jpeg.py --files 200
