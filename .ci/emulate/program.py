"""Loads a static ELF program as the kernel does: segments, then arguments, environment and the auxiliary vector."""

import os
import struct

from memory import PAGE, PROGRAM, STACK

LOAD = 1
POSITION_INDEPENDENT = 3
# Kinds of auxiliary values (`elf.h`).
TABLE, ENTRY_SIZE, ENTRIES, PAGE_SIZE, START, SECURE, RANDOM = 3, 4, 5, 6, 9, 23, 25


def load(memory, path, arguments, environment):
    """Where to start, and the stack pointer."""
    with open(path, "rb") as file:
        image = file.read()
    if image[:5] != b"\x7fELF\x02":
        raise SystemExit(f"{path} is no 64-bit ELF program")
    kind, _, _, start, table = struct.unpack_from("<HHIQQ", image, 16)
    entry_size, entries = struct.unpack_from("<HH", image, 54)
    base = PROGRAM if kind == POSITION_INDEPENDENT else 0
    for index in range(entries):
        fields = struct.unpack_from("<IIQQQQQQ", image, table + index * entry_size)
        segment, _, offset, address, _, stored, _, _ = fields
        if segment == LOAD:
            memory.write(base + address, image[offset : offset + stored])
    auxiliary = {
        TABLE: base + table,
        ENTRY_SIZE: entry_size,
        ENTRIES: entries,
        PAGE_SIZE: PAGE,
        START: base + start,
        SECURE: 0,
    }
    return base + start, fill_stack(memory, [path, *arguments], environment, auxiliary)


def fill_stack(memory, arguments, environment, auxiliary):
    top = STACK

    def push(data):
        nonlocal top
        top -= len(data)
        memory.write(top, data)
        return top

    auxiliary[RANDOM] = push(os.urandom(16))
    lists = []
    for texts in (arguments, [f"{name}={value}" for name, value in environment.items()]):
        lists += [push(text.encode() + b"\0") for text in texts]
        lists.append(0)
    words = [len(arguments), *lists, *(word for pair in auxiliary.items() for word in pair), 0, 0]
    top = (top - 8 * len(words)) & ~15
    memory.write(top, struct.pack(f"<{len(words)}Q", *words))
    return top
