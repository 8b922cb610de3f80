#!/usr/bin/env bash
# the kernels under AddressSanitizer, on Linux
. "$(dirname "$0")/../common.sh"

# Everything with `unsafe` that computes, with every instruction set that this machine has; about two minutes, most of
# them for compiling. The heap's tests are about the C library's own heap, which the sanitizer replaces. Miri runs the
# portable path where it can be had: .github/workflows/miri.yml.
host=$(rustc -vV | sed -n 's/^host: //p')
if [ "$host" = x86_64-unknown-linux-gnu ] || [ "$host" = aarch64-unknown-linux-gnu ]; then
    RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address -Cdebug-assertions" \
        cargo test --locked --release --target "$host" --target-dir target/asan -p afterimage-kernels --lib -- --skip heap::
fi
