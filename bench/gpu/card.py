"""Kernels on a card, by numpy and the driver's functions alone: cubins of `table.json`, or others, their launches and times.

Cases of `crates/afterimage-cuda/kernels/interpret` run on it in place of Triton's interpreter: see `stand_in_for_interpreter`.
"""

import ctypes
import json
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

KERNELS = Path(__file__).resolve().parents[2] / "crates/afterimage-cuda/kernels"
sys.path[:0] = [str(KERNELS), str(KERNELS / "interpret")]

import variants  # noqa: E402
from formats import E4M3, NUMPY, from_bf16, grid_of, to_bf16  # noqa: E402

# Targets that a card of a compute capability runs, best first; `crates/afterimage-cuda/src/table.rs` decides the same.
TARGETS = {
    "sm_120a": lambda c: c == (12, 0), "sm_100a": lambda c: c == (10, 0), "sm_90a": lambda c: c == (9, 0),
    "sm_89": lambda c: c == (8, 9), "sm_80": lambda c: c[0] == 8 and c[1] != 7, "ptx": lambda c: c >= (8, 0),
}
# `CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR`, `_MINOR`; `CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES`.
MAJOR, MINOR, SHARED_SIZE = 75, 76, 8


@dataclass
class Image:
    """A kernel as a card takes it."""

    data: bytes
    entry: str
    tile: dict
    warps: int
    shared: int


class Card:
    """Card 0."""

    def __init__(self):
        self.driver = ctypes.CDLL("libcuda.so.1")
        self.call("cuInit", 0)
        self.device = self.made("cuDeviceGet", ctypes.c_int(), 0)
        name = ctypes.create_string_buffer(256)
        self.call("cuDeviceGetName", name, 256, self.device)
        self.name = name.value.decode()
        attribute = lambda which: self.made("cuDeviceGetAttribute", ctypes.c_int(), which, self.device).value  # noqa: E731
        self.capability = (attribute(MAJOR), attribute(MINOR))
        self.targets = [target for target, runs in TARGETS.items() if runs(self.capability)]
        self.call("cuCtxSetCurrent", self.made("cuDevicePrimaryCtxRetain", ctypes.c_void_p(), self.device))
        with open(KERNELS / "table.json", encoding="utf-8") as file:
            self.table = {row["name"]: row for row in json.load(file)["variants"]}
        self.archives, self.functions = {}, {}

    def call(self, name, *arguments):
        """One of the driver's functions; whatever is no success ends the script."""
        status = getattr(self.driver, name)(*arguments)
        if status:
            text = ctypes.c_char_p()
            self.driver.cuGetErrorName(status, ctypes.byref(text))
            raise RuntimeError(f"{name}: {status} {(text.value or b'').decode()}")

    def made(self, name, out, *arguments):
        """What a function writes to its first argument."""
        self.call(name, ctypes.byref(out), *arguments)
        return out

    def has(self, variant):
        """Whether there is a kernel of this name for the card."""
        return any(target in self.table.get(variant, {"targets": {}})["targets"] for target in self.targets)

    def committed(self, variant):
        """The kernel of this name that the program would use."""
        row = self.table[variant]
        target = next(target for target in self.targets if target in row["targets"])
        entry = row["targets"][target]
        archive = self.archives.setdefault(target, (KERNELS / "cubins" / f"{target}.bin").read_bytes())
        data = zlib.decompress(archive[entry["offset"] :][: entry["length"]], -15)
        return Image(data + b"\0" * (target == "ptx"), row["entry"], entry["tile"], entry["warps"], entry["shared"])

    def function(self, image):
        """Its function, loaded once."""
        if image.data not in self.functions:
            module = self.made("cuModuleLoadData", ctypes.c_void_p(), ctypes.c_char_p(image.data))
            function = self.made("cuModuleGetFunction", ctypes.c_void_p(), module, image.entry.encode())
            if image.shared > 48 << 10:
                self.call("cuFuncSetAttribute", function, SHARED_SIZE, image.shared)
            self.functions[image.data] = function
        return self.functions[image.data]

    def launch(self, image, variant, arguments, repeat=0):
        """Runs a kernel as `harness.launch` does: arrays change in place. With `repeat` it runs so often again, and the answer
        is the median of its times in microseconds."""
        held, values = {}, []
        for name, kind in variant.parameters():
            value = arguments.get(name)
            if kind.startswith("*"):
                array, start = value if isinstance(value, tuple) else (value, 0)
                if array is None:
                    values.append(ctypes.c_uint64(0))
                    continue
                if id(array) not in held:
                    held[id(array)] = (array, self.made("cuMemAlloc_v2", ctypes.c_uint64(), ctypes.c_size_t(max(array.nbytes, 1))))
                    self.call("cuMemcpyHtoD_v2", held[id(array)][1], array.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(array.nbytes))
                values.append(ctypes.c_uint64(held[id(array)][1].value + start * array.itemsize))
            else:
                values.append(ctypes.c_float(value or 0) if kind == "f32" else ctypes.c_int32(int(value or 0)))
        # Triton's own two.
        values += [ctypes.c_uint64(0), ctypes.c_uint64(0)]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        grid = tuple(grid_of(variant.family, image.tile, arguments)) + (1, 1)
        function = self.function(image)

        def once():
            self.call("cuLaunchKernel", function, *grid[:3], 32 * image.warps, 1, 1, image.shared, None, pointers, None)

        once()
        self.call("cuCtxSynchronize")
        for array, address in held.values():
            self.call("cuMemcpyDtoH_v2", array.ctypes.data_as(ctypes.c_void_p), address, ctypes.c_size_t(array.nbytes))
        times = [self.timed(once) for _ in range(repeat)]
        for _, address in held.values():
            self.call("cuMemFree_v2", address)
        return float(np.median(times)) if times else None

    def timed(self, work):
        """Microseconds of some work, between two events."""
        first, last = (self.made("cuEventCreate", ctypes.c_void_p(), 0) for _ in range(2))
        self.call("cuEventRecord", first, None)
        work()
        self.call("cuEventRecord", last, None)
        self.call("cuEventSynchronize", last)
        milliseconds = self.made("cuEventElapsedTime", ctypes.c_float(), first, last).value
        for event in (first, last):
            self.call("cuEventDestroy_v2", event)
        return 1000.0 * milliseconds


class Interpreter:
    """What cases import as `harness`, on a card. The last launch can be timed."""

    E4M3, NUMPY = E4M3, NUMPY
    from_bf16, to_bf16 = staticmethod(from_bf16), staticmethod(to_bf16)

    def __init__(self, card):
        self.card, self.repeat, self.microseconds = card, 0, None
        self.ALL = {name: variant for name, variant in variants.variants().items() if card.has(name)}

    def launch(self, name, arguments):
        """See `harness.launch`."""
        self.microseconds = self.card.launch(self.card.committed(name), self.ALL[name], arguments, self.repeat)


def stand_in_for_interpreter(card):
    """Has `cases`, `large` and `small`, imported afterwards, run on the card."""
    sys.modules["harness"] = interpreter = Interpreter(card)
    return interpreter
