#!/usr/bin/env bash
# links and anchors of all documents, spelling, and the site that mdBook makes of them
. "$(dirname "$0")/../common.sh"

python3 -B .ci/links.py --self-test
python3 -B .ci/links.py
# Pages that lead through the sources name nothing that is not there.
python3 -B .ci/pages.py --self-test
python3 -B .ci/pages.py
python3 -B .ci/book.py --self-test

# Both are programs that come as packages for Python; where there is none for this machine, an installed one is taken.
tools=${CARGO_TARGET_DIR:-target}/document-tools
if ! cmp -s .ci/documents.txt "$tools/requirements.txt"; then
    python3 -m venv --clear "$tools"
    if "$tools/bin/pip" install -q --disable-pip-version-check --only-binary :all: -r .ci/documents.txt; then
        cp .ci/documents.txt "$tools/requirements.txt"
    fi
fi
program() { command -v "$tools/bin/$1" || command -v "$1" || { echo "$1: skipped, it is not to be had here" >&2; false; }; }

if typos=$(program typos); then
    # The sources are for ci.yml: what is a word there is a matter of taste.
    "$typos" --config .ci/typos.toml .github bench/*.md ./*.md demo-model/*.md deploy docs fuzz/README.md packaging
    echo "spelling: all as expected"
fi
if mdbook=$(program mdbook); then
    site=${CARGO_TARGET_DIR:-$PWD/target}/book
    rm -rf "$site"
    "$mdbook" build --dest-dir "$site" >"$work/book.log" 2>&1 || { cat "$work/book.log" >&2; exit 1; }
    # What it only warns of is wrong, too.
    if grep -E 'WARN|ERROR' "$work/book.log" >&2; then exit 1; fi
    python3 -B .ci/links.py --site "$site"
fi
