"""The memory of the emulated machine: one block of the host's, at the same addresses in the machine."""

import ctypes
import mmap
import struct

PAGE = 4096
LARGE_PAGE = 2 << 20
SIZE = 1 << 30
# Tables of pages, in the first two MiB, which the program does not see: no null pointer is read unnoticed.
ROOT, DIRECTORIES, DIRECTORY = 0x1000, 0x2000, 0x3000
# What `syscall` jumps to.
ENTRY = LARGE_PAGE
PROGRAM = 2 * LARGE_PAGE
STACK, STACK_SIZE = 64 << 20, 8 << 20
# `mmap` gives out what lies above.
HEAP = STACK


def up(size):
    """A size in whole pages."""
    return -(-size // PAGE) * PAGE


class Memory:
    def __init__(self, insert):
        """`insert` tells the emulator where the host keeps a page."""
        self.block = mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self.block))
        for address in range(0, SIZE, PAGE):
            insert(address, start + address)
        present, large = 0x3, 0x80
        self.write_word(ROOT, DIRECTORIES | present)
        self.write_word(DIRECTORIES, DIRECTORY | present)
        for index in range(1, SIZE // LARGE_PAGE):
            self.write_word(DIRECTORY + 8 * index, index * LARGE_PAGE | present | large)
        self.free = [(HEAP, SIZE)]

    def read(self, address, size):
        return self.block[address : address + size]

    def write(self, address, data):
        self.block[address : address + len(data)] = data

    def read_int(self, address):
        return struct.unpack_from("<i", self.block, address)[0]

    def write_int(self, address, value):
        struct.pack_into("<i", self.block, address, value)

    def read_word(self, address):
        return struct.unpack_from("<Q", self.block, address)[0]

    def write_word(self, address, value):
        struct.pack_into("<Q", self.block, address, value)

    def take(self, size):
        """A range of zeros, or None."""
        size = up(size)
        for index, (start, end) in enumerate(self.free):
            if end - start >= size:
                self.free[index : index + 1] = [(start + size, end)] if end - start > size else []
                return start
        return None

    def give(self, address, size):
        """Takes a range back, and empties it."""
        size = up(size)
        self.block.madvise(mmap.MADV_DONTNEED, address, size)
        merged = []
        for start, end in sorted([*self.free, (address, address + size)]):
            if merged and merged[-1][1] == start:
                merged[-1] = (merged[-1][0], end)
            else:
                merged.append((start, end))
        self.free = merged
