#!/usr/bin/env bash
# every fuzz target for FUZZ_SECONDS, 20 unless set
. "$(dirname "$0")/../common.sh"

: "${FUZZ_SECONDS:=20}"
python3 fuzz/seeds.py
cargo build --locked --release --workspace --bins
printf '%s\n' picture multipart data_uri web_url request_json size own_address weights_file lora_keys config tokenizer |
    xargs -P 2 -I {} target/release/afterimage-fuzz {} "$FUZZ_SECONDS" fuzz/corpus/{} "$work"
