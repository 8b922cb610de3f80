#!/bin/sh
# Put the weights of a working folder into the program: ./embed.sh [working folder] [preset]
# Packs the averaged weights in bf16 and replaces the bundle that crates/afterimage-demo embeds; then build again.
set -eu
work=$(cd "${1:-work}" && pwd)
preset=${2:-cpu}
python=${PYTHON:-python3}
cd "$(dirname "$0")"
bundle=../crates/afterimage-demo/bundle
packed=$(mktemp -d)
trap 'rm -rf "$packed"' EXIT
"$python" train.py pack --preset "$preset" --out "$work" --bundle "$packed/bundle"
[ "$(du -sk "$packed/bundle" | cut -f1)" -le 30720 ] || { echo "the bundle is larger than 30 MB" >&2; exit 1; }
rm -rf "$bundle"
mv "$packed/bundle" "$bundle"
