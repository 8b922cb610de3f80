# What every step of continuous integration begins with: the repository's root, a clean environment, a temporary folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export CARGO_TERM_COLOR=never
export CARGO_INCREMENTAL=0
unset "${!AFTERIMAGE_@}"

if ! command -v cargo >/dev/null && [ -f "$HOME/.cargo/env" ]; then . "$HOME/.cargo/env"; fi

# Removed at the step's end.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

install() {
    local sudo=()
    if [ "$(id -u)" -ne 0 ]; then sudo=(sudo); fi
    if ! command -v apt-get >/dev/null; then
        echo "missing: $*; install it and run again" >&2
        exit 1
    fi
    "${sudo[@]}" apt-get update -q
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

# Runs tests that the step `tests` runs as well, unless that comes later in the same run.
unless_tests_follow() {
    if [ -n "${CI_TESTS_FOLLOW:-}" ]; then
        echo "left to the step \`tests\`: $*"
    else
        "$@"
    fi
}

# A server that speaks S3, where the tests look for it, so that the step `tests` finds it, too.
install_s3_server() {
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then install python3 python3-venv; fi
    local moto="${CARGO_TARGET_DIR:-target}/tmp/moto"
    if [ ! -x "$moto/bin/moto_server" ]; then
        python3 -m venv --clear "$moto"
        "$moto/bin/pip" install -q --disable-pip-version-check 'moto[server]==5.2.5'
    fi
}
