#!/usr/bin/env bash
# the package for Python: built by maturin, installed into a fresh environment, run; .ci/wheel.sh [FOLDER [PROGRAM]]
. "$(dirname "$0")/common.sh"

# Leaves the wheel in FOLDER, `wheels` in the target folder unless given. The program is built in the usual target folder, with
# the profile that everything else uses; or it is PROGRAM, which was built before.
target=${CARGO_TARGET_DIR:-target}
folder=${1:-$target/wheels}
mkdir -p "$folder" "$target"
folder=$(cd "$folder" && pwd)
target=$(cd "$target" && pwd)

# Where an environment has its programs.
programs() { if [ -d "$1/Scripts" ]; then echo "$1/Scripts"; else echo "$1/bin"; fi; }

if ! cmp -s packaging/pypi/requirements.txt "$target/maturin/requirements.txt"; then
    python3 -m venv --clear "$target/maturin"
    "$(programs "$target/maturin")/pip" install -q --disable-pip-version-check -r packaging/pypi/requirements.txt
    cp packaging/pypi/requirements.txt "$target/maturin/requirements.txt"
fi
# What has to go with it; the package takes files beside its description only.
cp LICENSE-APACHE LICENSE-MIT packaging/pypi
python3 .ci/notices.py >packaging/pypi/THIRD-PARTY.txt
maturin=$(programs "$target/maturin")/maturin
if [ $# -ge 2 ]; then
    # The command is called as its file is.
    mkdir "$work/ready"
    cp "$2" "$work/ready/afterimage"
    AFTERIMAGE_READY=$work/ready/afterimage
    CARGO=$PWD/.ci/ready_cargo.py
    export AFTERIMAGE_READY CARGO
fi
(cd packaging/pypi && CARGO_TARGET_DIR=$target "$maturin" build --release --locked --out "$work/wheel")
wheels=("$work"/wheel/*.whl)
if [ ${#wheels[@]} -ne 1 ]; then
    echo "one wheel was expected, there are ${#wheels[@]}" >&2
    exit 1
fi

# Nothing but the wheel, and nothing of this environment.
python3 -m venv "$work/fresh"
fresh=$(programs "$work/fresh")
"$fresh/pip" install -q --disable-pip-version-check --no-index "${wheels[0]}"
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
installed=$("$fresh/afterimage" --version)
if [ "$installed" != "afterimage $version" ]; then
    echo "the wheel's program says \"$installed\", expected \"afterimage $version\"" >&2
    exit 1
fi
# The demo model is part of it.
"$fresh/afterimage" vary docs/photos/lake.jpg --size 64x64 --steps 2 -o "$work/made.png"
if ! cmp -s -n 4 "$work/made.png" <(printf '\211PNG'); then
    echo "the wheel's program made no picture" >&2
    exit 1
fi
mv "${wheels[0]}" "$folder"
ls -l "$folder/$(basename "${wheels[0]}")"
