#!/usr/bin/env bash
# an archive for a release: the program, its licences, completions and pages for man; .ci/package.sh PROGRAM TARGET FOLDER
. "$(dirname "$0")/common.sh"

# Prints the archive's path. TARGET is Rust's name of where the program runs, which only names the archive and chooses whose
# crates' licences are collected; the program itself has to run here.
program=$1 target=$2 folder=$3
version=$("$program" --version | sed 's/^afterimage //')
name=afterimage-$version-$target
mkdir -p "$folder" "$work/$name/completions" "$work/$name/man"

cp "$program" LICENSE-MIT LICENSE-APACHE README.md CHANGELOG.md "$work/$name"
for shell in bash elvish fish powershell zsh; do "$program" completions "$shell" -o "$work/$name/completions"; done
"$program" completions man -o "$work/$name/man"
python3 .ci/notices.py "$target" >"$work/$name/THIRD-PARTY.txt"
if [[ $target == *-linux-* ]]; then
    mkdir "$work/$name/systemd"
    cp deploy/systemd/afterimage.service deploy/systemd/cards.conf deploy/systemd/worker.conf "$work/$name/systemd"
fi

# The same bytes from the same files: sorted, without times, users and groups.
archive=$folder/$name.tar.gz
if [[ $target == *-windows-* ]]; then archive=$folder/$name.zip; fi
python3 -B .ci/archive.py "$work/$name" "$archive"
echo "$archive"
