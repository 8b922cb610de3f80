#!/usr/bin/env bash
# Runs a static program for x86-64 Linux on an emulated processor with AVX-512 VNNI and BF16:
#
#   .ci/emulate/emulate.sh PROGRAM ARGUMENTS...
#
# The emulator is Bochs's processor, from PyPI's bochscpu-python (wheels for x86-64 Linux, Python 3.9 to 3.13 by its own account). It needs
# Python with `venv`, and a C compiler; what it makes lies in target/emulate. `processor.c` says which other processors
# EMULATED_PROCESSOR can name. Only what tests need is there: one processor, one GiB, no files but the standard streams
# (`linux.py` has the system calls). The memory that a program gets is not protected: what it writes elsewhere goes
# unnoticed, so this finds wrong numbers and wrong instructions, and the sanitizer finds wrong addresses.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
made=$here/../../target/emulate

if [ ! -e "$made/installed" ]; then
    python3 -m venv "$made/venv"
    "$made/venv/bin/pip" install -q --disable-pip-version-check --only-binary=:all: bochscpu-python==0.4.0
    touch "$made/installed"
fi
if [ "$here/processor.c" -nt "$made/processor.so" ]; then
    cc -O1 -shared -fPIC -o "$made/processor.so" "$here/processor.c" -ldl
fi
LD_PRELOAD="$made/processor.so" exec "$made/venv/bin/python" -B "$here/emulate.py" "$@"
