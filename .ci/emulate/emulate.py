"""Runs a static program for x86-64 Linux on an emulated processor with AVX-512 VNNI and BF16.

`emulate.sh` sets up what this needs. The processor is that of Bochs (the package bochscpu-python), without a machine
around it: the program runs in the processor's kernel mode in flat memory, and system calls are answered here.
"""

import os
import sys

# `processor.c` looks for a function of the extension module.
sys.setdlopenflags(os.RTLD_NOW | os.RTLD_GLOBAL)

import bochscpu  # noqa: E402
from bochscpu._bochscpu import memory as pages  # noqa: E402
from linux import Linux  # noqa: E402
from memory import ENTRY, ROOT, Memory  # noqa: E402
from program import load  # noqa: E402

# wbinvd, which calls us; jmp rcx, back to the program.
SYSTEM_CALL = bytes.fromhex("0f09ffe1")
# Protection, monitored and native floating-point exceptions, write protection, pages.
CR0 = 0x80010033
# Pages of 64-bit mode, SSE with its exceptions, XSAVE.
CR4 = 1 << 5 | 1 << 9 | 1 << 10 | 1 << 18
# System calls, 64-bit mode enabled and active, pages that cannot be executed.
EFER = 1 | 1 << 8 | 1 << 10 | 1 << 11
# x87, SSE, AVX, and the three parts of AVX-512.
XCR0 = 0xE7

# The emulated machine has one processor and no files.
SETTINGS = {"RAYON_NUM_THREADS": "1", "PROPTEST_DISABLE_FAILURE_PERSISTENCE": "1"}
PASSED = ("AFTERIMAGE_", "PROPTEST_", "RAYON_", "RUST_")


def segment(selector, attributes):
    made = bochscpu.Segment()
    made.selector, made.attr, made.base, made.limit, made.present = selector, attributes, 0, 0xFFFFFFFF, True
    return made


def first_state(start, stack):
    state = bochscpu.State()
    state.cr0, state.cr3, state.cr4, state.efer, state.xcr0 = CR0, ROOT, CR4, EFER, XCR0
    state.cs = segment(0x10, 0xA09B)
    state.ss = state.ds = state.es = state.fs = state.gs = segment(0x18, 0xC093)
    state.star, state.lstar, state.sfmask = 0x10 << 32, ENTRY, 0
    state.mxcsr, state.mxcsr_mask, state.fpcw, state.fptw = 0x1F80, 0xFFFF, 0x37F, 0xFFFF
    state.rip, state.rsp, state.rflags = start, stack, 2
    return state


def main():
    if len(sys.argv) < 2:
        raise SystemExit("emulate.py PROGRAM ARGUMENTS...")
    memory = Memory(pages.page_insert)
    memory.write(ENTRY, SYSTEM_CALL)
    passed = {name: value for name, value in os.environ.items() if name.startswith(PASSED)}
    start, stack = load(memory, sys.argv[1], sys.argv[2:], {**SETTINGS, **passed})
    session = bochscpu.Session()
    linux = Linux(memory, session)

    def refuse(_session, _processor, vector, code):
        cpu = session.cpu
        where = memory.read(cpu.rip, 15).hex(" ")
        print(f"emulate: exception {vector}, code {code}, at {cpu.rip:#x} ({where}), address {cpu.cr2:#x}", flush=True)
        linux.stop(125)

    hook = bochscpu.Hook()
    hook.cache_cntrl = lambda *_: linux.call()
    hook.exception = refuse
    session.cpu.state = first_state(start, stack)
    session.run([hook])
    # The bindings count their references wrongly and say so at length when Python ends.
    sys.stdout.flush()
    os._exit(linux.status)


main()
