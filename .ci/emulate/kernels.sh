#!/usr/bin/env bash
# the kernels on an emulated processor with AVX-512 VNNI and BF16; .ci/emulate/kernels.sh TEST... runs some tests only
. "$(dirname "$0")/../common.sh"

# A static program, since the emulator loads no libraries. It has no files, so those that map one are left out.
tests=("$@")
# The test that says which instruction sets there were.
if [ $# -gt 0 ]; then tests+=(a_name_picks_among); fi
rustup target add x86_64-unknown-linux-musl
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUNNER=$PWD/.ci/emulate/emulate.sh
cargo test --locked --release --target x86_64-unknown-linux-musl -p afterimage-kernels --lib -- \
    --test-threads=1 --nocapture --skip mapping:: "${tests[@]}" | tee "$work/output"
grep -q 'instruction sets: .*avx512vnni, avx512bf16' "$work/output"
