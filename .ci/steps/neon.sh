#!/usr/bin/env bash
# the kernels with every instruction set of ARM, under emulation where this machine is none
. "$(dirname "$0")/../common.sh"

# Prints the instruction sets and runs the tests of what computes with them: on an ARM machine its own, elsewhere those of
# QEMU's `max`, which has all that there are kernels for. Without the tools the step fails. Emulation is slow, so random
# sizes are few.
names=simd::isa::tests::a_name_picks_among_the_detected_ones_and_raises_nothing
host=$(rustc -vV | sed -n 's/^host: //p')
if [[ $host == aarch64-* ]]; then
    cargo test --locked --release -p afterimage-kernels --lib -- --exact "$names" --nocapture
    cargo test --locked --release -p afterimage-kernels -p afterimage-tensors --lib
    exit
fi

target=aarch64-unknown-linux-gnu
# What the target's C library and emulator take for their root; Debian's and Ubuntu's place.
root=/usr/aarch64-linux-gnu
if ! command -v aarch64-linux-gnu-gcc >/dev/null || [ ! -e "$root/lib/ld-linux-aarch64.so.1" ]; then
    install gcc-aarch64-linux-gnu libc6-dev-arm64-cross
fi
if ! command -v qemu-aarch64 >/dev/null; then install qemu-user; fi
if ! compgen -G "$(rustc --print sysroot)/lib/rustlib/$target/lib/libstd-*.rlib" >/dev/null; then rustup target add "$target"; fi
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -cpu max -L $root"
export PROPTEST_CASES=16

cargo test --locked --release --target "$target" -p afterimage-kernels --lib -- --exact "$names" --nocapture |
    tee "$work/names.log"
if ! grep -q 'instruction sets: .*neon, neondot, neonbf16' "$work/names.log"; then
    echo "$(qemu-aarch64 --version | head -1) has not the instruction sets that there are kernels for" >&2
    exit 1
fi
# The tests of the heap start this program anew, which the emulator does not pass on.
cargo test --locked --release --target "$target" -p afterimage-kernels -p afterimage-tensors --lib -- \
    --skip heap::
# The whole program, with its libraries in C.
cargo check --locked --release --target "$target" -p afterimage
