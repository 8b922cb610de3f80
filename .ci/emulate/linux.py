"""The system calls of Linux that a static test program makes, and its threads, one at a time.

Threads take turns where they wait or yield; a thread that does neither is never interrupted.
"""

import errno
import os
import time
from collections import deque

from memory import PAGE, up

RETRY, TIMED_OUT, NO_CALL = -errno.EAGAIN, -errno.ETIMEDOUT, -errno.ENOSYS
CLONE_SETTLS, CLONE_PARENT_SETTID, CLONE_CHILD_CLEARTID = 0x80000, 0x100000, 0x200000
SET_FS = 0x1002
MAP_ANONYMOUS = 0x20
# What succeeds without doing anything: memory is open for everything, signals and their stacks are never used.
IGNORED = {"mprotect", "madvise", "sigaction", "sigprocmask", "sigaltstack", "prctl", "poll", "close"}
NAMES = {
    0: "read", 1: "write", 2: "open", 3: "close", 4: "stat", 5: "fstat", 7: "poll", 9: "mmap", 10: "mprotect",
    11: "munmap", 12: "brk", 13: "sigaction", 14: "sigprocmask", 16: "ioctl", 20: "writev", 24: "sched_yield",
    25: "mremap", 28: "madvise", 35: "nanosleep", 39: "getpid", 56: "clone", 60: "exit", 72: "fcntl", 79: "getcwd",
    131: "sigaltstack", 157: "prctl", 158: "arch_prctl", 186: "gettid", 200: "tkill", 202: "futex",
    204: "sched_getaffinity", 218: "set_tid_address", 228: "clock_gettime", 231: "exit_group", 318: "getrandom",
}  # fmt: skip


class Thread:
    def __init__(self, number):
        self.number = number
        # The registers, while another thread runs.
        self.state = None
        # Set to zero, with a wake, when the thread ends.
        self.cleared = 0
        self.waits_at = None
        self.deadline = None


class Linux:
    def __init__(self, memory, session):
        self.memory = memory
        self.session = session
        self.current = Thread(1)
        self.created = 1
        self.ready = deque()
        self.waiting = []
        self.status = None
        self.unknown = set()

    def call(self):
        """Serves what the processor asks for; called with its registers in place."""
        cpu = self.session.cpu
        arguments = (cpu.rdi, cpu.rsi, cpu.rdx, cpu.r10, cpu.r8, cpu.r9)
        name = NAMES.get(cpu.rax, str(cpu.rax))
        if name in IGNORED:
            result = 0
        elif handler := getattr(self, f"do_{name}", None):
            result = handler(*arguments)
        else:
            if name not in self.unknown:
                self.unknown.add(name)
                print(f"emulate: no system call {name}", flush=True)
            result = NO_CALL
        if result is not None:
            cpu.rax = result % (1 << 64)

    def stop(self, status):
        self.status = status
        self.session.stop()

    # Threads.

    def switch(self):
        """Another thread goes on, the current one's registers being stored or given up."""
        self.expire()
        while not self.ready:
            deadlines = [thread.deadline for thread in self.waiting if thread.deadline is not None]
            if not deadlines:
                print("emulate: every thread waits", flush=True)
                self.stop(125)
                return
            time.sleep(max(0.0, min(deadlines) - time.monotonic()))
            self.expire()
        self.current = self.ready.popleft()
        self.session.cpu.state = self.current.state

    def expire(self):
        now = time.monotonic()
        for thread in list(self.waiting):
            if thread.deadline is not None and thread.deadline <= now:
                self.waiting.remove(thread)
                self.resume(thread, TIMED_OUT)

    def resume(self, thread, result):
        thread.state.rax = result % (1 << 64)
        self.ready.append(thread)

    def store(self, result):
        # Masks of AVX-512 are not among these registers; no function keeps anything in them across a system call.
        self.current.state = self.session.cpu.state
        self.current.state.rax = result % (1 << 64)

    def wake(self, address, count):
        woken = [thread for thread in self.waiting if thread.waits_at == address][:count]
        for thread in woken:
            self.waiting.remove(thread)
            self.resume(thread, 0)
        return len(woken)

    def do_sched_yield(self, *_):
        self.expire()
        if not self.ready:
            return 0
        self.store(0)
        self.ready.append(self.current)
        self.switch()
        return None

    def do_clone(self, flags, stack, parent, child, local, _):
        self.created += 1
        thread = Thread(self.created)
        thread.state = self.session.cpu.state
        thread.state.rax, thread.state.rsp = 0, stack
        if flags & CLONE_SETTLS:
            segment = thread.state.fs
            segment.base = local
            thread.state.fs = segment
        if flags & CLONE_PARENT_SETTID:
            self.memory.write_int(parent, thread.number)
        if flags & CLONE_CHILD_CLEARTID:
            thread.cleared = child
        self.ready.append(thread)
        return thread.number

    def do_exit(self, status, *_):
        if self.current.cleared:
            self.memory.write_int(self.current.cleared, 0)
            self.wake(self.current.cleared, 1)
        if self.ready or self.waiting:
            self.switch()
        else:
            self.stop(status)

    def do_exit_group(self, status, *_):
        self.stop(status & 0xFF)

    def do_tkill(self, _, signal, *__):
        self.stop(128 + signal)

    def do_futex(self, address, operation, value, fourth, other, _):
        match operation & 0x7F:
            case 0 | 9:
                if self.memory.read_int(address) & 0xFFFFFFFF != value & 0xFFFFFFFF:
                    return RETRY
                absolute = operation & 0x7F == 9
                self.current.waits_at = address
                self.current.deadline = self.deadline(fourth, absolute, operation & 0x100) if fourth else None
                self.store(0)
                self.waiting.append(self.current)
                self.switch()
                return None
            case 1 | 10:
                return self.wake(address, value & 0xFFFFFFFF)
            case 3:
                woken = self.wake(address, value & 0xFFFFFFFF)
                moved = [thread for thread in self.waiting if thread.waits_at == address][: fourth & 0xFFFFFFFF]
                for thread in moved:
                    thread.waits_at = other
                return woken + len(moved)
        return NO_CALL

    def deadline(self, address, absolute, realtime):
        at = self.memory.read_word(address) + self.memory.read_word(address + 8) * 1e-9
        if not absolute:
            return time.monotonic() + at
        return at - time.time() + time.monotonic() if realtime else at

    def do_set_tid_address(self, address, *_):
        self.current.cleared = address
        return self.current.number

    def do_gettid(self, *_):
        return self.current.number

    def do_getpid(self, *_):
        return 1

    def do_arch_prctl(self, code, address, *_):
        if code != SET_FS:
            return NO_CALL
        segment = self.session.cpu.fs
        segment.base = address
        self.session.cpu.fs = segment
        return 0

    # Memory.

    def do_brk(self, *_):
        # No growth: the C library then uses `mmap`.
        return 0

    def do_mmap(self, _, size, __, flags, *___):
        if not flags & MAP_ANONYMOUS:
            return -errno.ENODEV
        return self.memory.take(size) or -errno.ENOMEM

    def do_munmap(self, address, size, *_):
        self.memory.give(address, size)
        return 0

    def do_mremap(self, address, old, new, *_):
        old, new = up(old), up(new)
        if new <= old:
            if new < old:
                self.memory.give(address + new, old - new)
            return address
        moved = self.memory.take(new)
        if moved is None:
            return -errno.ENOMEM
        for start in range(0, old, PAGE):
            self.memory.write(moved + start, self.memory.read(address + start, PAGE))
        self.memory.give(address, old)
        return moved

    # Files: none but the standard streams.

    def do_write(self, file, address, size, *_):
        return os.write(file, self.memory.read(address, size)) if file in (1, 2) else -errno.EBADF

    def do_writev(self, file, address, count, *_):
        read = self.memory.read_word
        parts = [(read(address + 16 * index), read(address + 16 * index + 8)) for index in range(count)]
        return sum(self.do_write(file, start, size) for start, size in parts if size)

    def do_open(self, *_):
        return -errno.ENOENT

    do_stat = do_getcwd = do_open

    def do_fstat(self, *_):
        return -errno.EBADF

    do_read = do_fstat

    def do_ioctl(self, *_):
        return -errno.ENOTTY

    def do_fcntl(self, *_):
        return 0

    # Time, chance and processors.

    def do_clock_gettime(self, clock, address, *_):
        now = time.time_ns() if clock == 0 else time.monotonic_ns()
        self.memory.write_word(address, now // 10**9)
        self.memory.write_word(address + 8, now % 10**9)
        return 0

    def do_nanosleep(self, address, *_):
        time.sleep(self.memory.read_word(address) + self.memory.read_word(address + 8) * 1e-9)
        return 0

    def do_getrandom(self, address, size, *_):
        self.memory.write(address, os.urandom(size))
        return size

    def do_sched_getaffinity(self, _, size, address, *__):
        self.memory.write(address, b"\x01" + bytes(7))
        return 8
