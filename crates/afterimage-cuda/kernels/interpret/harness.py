"""Runs kernels in Triton's interpreter without a GPU and without torch. Import this before any kernel."""

import os
import sys

os.environ["TRITON_INTERPRET"] = "1"
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), HERE]

import numpy as np  # noqa: E402
import triton.language as tl  # noqa: E402
from triton.runtime import interpreter  # noqa: E402

import variants  # noqa: E402
from formats import E4M3, NUMPY, from_bf16, grid_of, to_bf16  # noqa: E402, F401  (cases take them from here)

TORCH = {
    "f32": "float32", "bf16": "bfloat16", "f16": "float16", "i8": "int8", "u8": "uint8", "f8": "float8_e4m3fn",
    "i32": "int32",
}
ALL = variants.variants()


def patch():
    """Mends the interpreter: as of 3.9.0 it multiplies the bit patterns of bf16 in `dot`, rounds conversions to bf16
    wrongly, multiplies i8 in 8 bits, and makes integers of a condition that is spread over a block."""
    builder = interpreter.InterpreterBuilder
    cast, convert = builder.cast_impl, builder.create_fp_to_fp
    handle = interpreter.TensorHandle

    def widened(value):
        kind = value.dtype.scalar
        if kind == tl.bfloat16:
            return from_bf16(value.data)
        if kind == tl.float8e4nv:
            return E4M3[value.data]
        return value.data.astype(np.int32) if kind == tl.int8 else value.data

    def dot(self, a, b, d, precision, imprecise):
        left, right = widened(a), widened(b)
        return handle((np.matmul(left, right, dtype=d.data.dtype) + d.data).astype(d.data.dtype), d.dtype.scalar)

    def between(source, kind):
        before, after = source.dtype.scalar, kind.scalar
        if before == tl.bfloat16 and after == tl.float32:
            return handle(from_bf16(source.data).reshape(source.data.shape), after)
        if before == tl.float32 and after == tl.bfloat16:
            return handle(to_bf16(source.data).reshape(source.data.shape), after)
        if tl.bfloat16 in (before, after) and before != after:
            # A constant that stands in for masked numbers comes as an integer or f64.
            if after == tl.bfloat16:
                return handle(to_bf16(source.data.astype(np.float32)), after)
            return handle(from_bf16(source.data).astype(interpreter._get_np_dtype(kind)), after)
        return None

    def splat(self, kind, value):
        # A comparison's handle keeps the type of what was compared; its numbers know better.
        return handle(np.full(kind.shape, value.data.reshape(-1)[0], value.data.dtype), value.dtype.scalar)

    builder.create_dot, builder.create_splat = dot, splat
    def cast_mended(self, source, kind):
        made = between(source, kind)
        return cast(self, source, kind) if made is None else made

    def convert_mended(self, source, kind, mode):
        made = between(source, kind)
        return convert(self, source, kind, mode) if made is None else made

    builder.cast_impl, builder.create_fp_to_fp = cast_mended, convert_mended


patch()


class Memory:
    """A numpy array, or null, in the shape that the interpreter takes for a tensor of torch."""

    device = "cpu"

    def __init__(self, array, kind, start=0):
        self.array, self.kind, self.start = array, kind, start
        self.dtype = "torch." + TORCH[kind]

    def data_ptr(self):
        """Address of the first number."""
        return 0 if self.array is None else self.array.ctypes.data + self.start * self.array.itemsize

    def untyped_storage(self):
        """Itself: nothing is ever copied."""
        return self

    def cpu(self):
        """Already there."""
        return self

    def copy_(self, other):
        """Already there."""

    def new_empty(self, size, device):
        """The interpreter makes a tensor and sets its storage; here it is the same one."""
        return Memory(self.array, self.kind, self.start)

    def set_(self, storage, start, size, stride):
        """See `new_empty`."""

    def storage_offset(self):
        """Numbers before the first."""
        return self.start

    def size(self):
        """Not needed."""
        return ()

    stride = size


def shape_of(variant):
    """The shape that is interpreted: that of the oldest target."""
    return variant.shapes.get("sm_80") or variant.shapes["sm_89"]


def launch(name, arguments):
    """Runs a variant. Arguments by name: numpy arrays (bf16 as u16), `(array, first number)`, None or absent for null,
    numbers (absent: 0). What the grid needs beside the parameters comes the same way. Outputs change in place."""
    variant = ALL[name]
    shape = shape_of(variant)
    tile = variant.constants | shape.constants
    values = []
    for parameter, kind in variant.parameters():
        value = arguments.get(parameter)
        if kind.startswith("*"):
            array, start = value if isinstance(value, tuple) else (value, 0)
            if array is not None:
                assert array.dtype == NUMPY[kind[1:]], f"{name}: {parameter} is {array.dtype}, not {kind}"
                assert array.flags.c_contiguous, f"{name}: {parameter} has gaps"
            values.append(Memory(array, kind[1:], start))
        else:
            values.append(float(value or 0) if kind == "f32" else int(value or 0))
    grid = grid_of(variant.family, shape.tile(), arguments)
    variant.kernel()[grid](*values, **tile)
