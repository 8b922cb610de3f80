#!/usr/bin/env bash
# the compose file, the chart for three sets of values, dashboard and alert rules: linted, rendered, validated; nothing is started
. "$(dirname "$0")/../common.sh"

tools=${CARGO_TARGET_DIR:-target}/deploy-tools
mkdir -p "$tools"
tools=$(cd "$tools" && pwd)

if ! cmp -s deploy/check/requirements.txt "$tools/venv/requirements.txt"; then
    rm -rf "$tools/venv"
    python3 -m venv "$tools/venv"
    "$tools/venv/bin/pip" install -q --disable-pip-version-check -r deploy/check/requirements.txt
    cp deploy/check/requirements.txt "$tools/venv/requirements.txt"
fi
if ! cmp -s deploy/check/package.json "$tools/npm/package.json.installed"; then
    rm -rf "$tools/npm"
    mkdir "$tools/npm"
    cp deploy/check/package.json "$tools/npm"
    npm install --silent --no-audit --no-fund --prefix "$tools/npm"
    cp deploy/check/package.json "$tools/npm/package.json.installed"
fi
# Debian's promtool, unpacked and not installed: the package would start a server.
unpack_promtool() (
    command -v apt-get && command -v dpkg-deb || return
    rm -rf "$tools/prometheus"
    mkdir "$tools/prometheus"
    cd "$tools/prometheus"
    apt-get download -q prometheus || { apt-get update -q && apt-get download -q prometheus; } || return
    dpkg-deb -x prometheus_*.deb .
    rm prometheus_*.deb
)
promtool=$(command -v promtool || true)
if [ -z "$promtool" ]; then
    promtool=$tools/prometheus/usr/bin/promtool
    if [ ! -x "$promtool" ] && ! unpack_promtool >"$work/promtool.log" 2>&1; then
        tail -n 1 "$work/promtool.log"
        promtool=
    fi
fi

# The order of keys is for people here.
"$tools/npm/node_modules/.bin/dclint" deploy/compose.yaml --max-warnings 0 --disable-rule service-keys-order \
    --disable-rule top-level-properties-order --disable-rule require-quotes-in-ports
"$tools/venv/bin/python" -B deploy/check "$work"
if [ -n "$promtool" ]; then
    "$promtool" check rules deploy/monitoring/alerts.yaml "$work/expressions.yaml" >"$work/rules.log" 2>&1 ||
        { cat "$work/rules.log" >&2; exit 1; }
    "$promtool" test rules deploy/monitoring/alerts_test.yaml >"$work/rules.log" 2>&1 ||
        { cat "$work/rules.log" >&2; exit 1; }
    echo "promtool: rules, the dashboard's expressions, tests of the alerts"
else
    echo "promtool: skipped, Debian's package prometheus is not to be had here; expressions were parsed by promql-parser only"
fi
