#!/usr/bin/env bash
# the README's first command: the server starts and is ready
. "$(dirname "$0")/../common.sh"

cargo build --locked --release
AFTERIMAGE_API_KEY=change-me-please target/release/afterimage serve --listen 127.0.0.1:0 --admin-listen off \
    --data-dir "$work/data" >"$work/serve.out" &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 100); do
    address=$(sed -n 's/^Afterimage listens on //p' "$work/serve.out")
    if [ -n "$address" ] && curl -sf --noproxy '*' "$address/readyz"; then break; fi
    sleep 0.1
done
curl -sSf --noproxy '*' "$address/readyz"
kill "$server"
wait "$server"
