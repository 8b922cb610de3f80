#!/usr/bin/env bash
# the README's picture without a server
. "$(dirname "$0")/../common.sh"

cargo build --locked --release
repository=$PWD
(cd "$work" && "$repository/target/release/afterimage" vary "$repository/docs/photos/lake.jpg" --json)
test -s "$work/lake-variation.png"
