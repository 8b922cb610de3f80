"""What a test of a kernel is, how it is judged, and what all cases are made with."""

import json
import os
from dataclasses import dataclass, field

import numpy as np

from harness import ALL, E4M3, NUMPY, from_bf16, launch, to_bf16

# Largest error allowed where the result is rounded to bf16 (half a unit in its last place is 2⁻⁹), and where it is not.
ROUGH, FINE = 2.0**-8, 1e-5


@dataclass
class Case:
    """Arguments by name as `harness.launch` takes them; for every output what it has to hold afterwards (f64), NaN where it
    must stay as it was, unless `touched` says otherwise."""

    variant: str
    name: str
    arguments: dict
    expected: dict
    tolerance: float
    touched: dict = field(default_factory=dict)

    def run(self):
        """Launches and returns the largest error: `|got − want| / (|want| + root mean square of want)`."""
        types = dict(ALL[self.variant].parameters())
        before = {name: whole(self.arguments[name]).copy() for name in self.expected}
        launch(self.variant, self.arguments)
        worst = 0.0
        for name, want in self.expected.items():
            bits, old = whole(self.arguments[name]), before[name]
            touched = self.touched.get(name, ~np.isnan(want))
            same = bits.view(np.uint8).reshape(len(bits), -1) == old.view(np.uint8).reshape(len(bits), -1)
            if not same.all(axis=1)[~touched].all():
                return float("inf")
            got, want = decode(bits, types[name][1:])[touched], want[touched]
            if (np.isnan(got) != np.isnan(want)).any():
                return float("inf")
            got, want = got[~np.isnan(want)], want[~np.isnan(want)]
            if got.size:
                size = np.sqrt(np.mean(want**2))
                worst = max(worst, float(np.max(np.abs(got - want) / np.maximum(np.abs(want) + size, 1e-30))))
        return worst


def whole(argument):
    """The array of an argument."""
    return argument[0] if isinstance(argument, tuple) else argument


def encode(values, kind):
    """f64 to a type's numbers."""
    if kind == "bf16":
        return to_bf16(values)
    if kind == "f8":
        return encode_e4m3(values)
    return np.ascontiguousarray(values).astype(NUMPY[kind])


def encode_e4m3(values):
    """To the nearest of the 256 values, halves to even; the largest is 448."""
    finite = E4M3[:127].astype(np.float64)
    magnitude = np.minimum(np.abs(values), 448.0)
    above = np.clip(np.searchsorted(finite, magnitude), 1, 126)
    low, high = finite[above - 1], finite[above]
    even = np.where(above % 2 == 0, above, above - 1)
    code = np.where(magnitude - low < high - magnitude, above - 1, above)
    code = np.where(magnitude - low == high - magnitude, even, code)
    code = np.where(np.isnan(values), 127, code) | np.where(np.signbit(values), 128, 0)
    return code.astype(np.uint8)


def decode(bits, kind):
    """A type's numbers to f64."""
    if kind == "bf16":
        return from_bf16(bits).astype(np.float64)
    if kind == "f8":
        return E4M3[bits].astype(np.float64)
    return bits.astype(np.float64)


def rounded(values, kind):
    """What is left of f64 in a type."""
    values = np.asarray(values, np.float64)
    return decode(encode(values.reshape(-1), kind), kind).reshape(values.shape)


def poison(count, kind):
    """Numbers that must not be read, or must be overwritten."""
    if kind in ("f32", "f16"):
        return np.full(count, np.nan, NUMPY[kind])
    return np.full(count, {"bf16": 0x7FC1, "f8": 0x7F, "u8": 0x7F, "i8": -77, "i32": -1}[kind], NUMPY[kind])


def laid_out(matrix, kind, stride=None, start=0):
    """`(flat, start)`: a matrix in a poisoned buffer, rows `stride` apart, a few numbers after the last."""
    matrix = np.atleast_2d(matrix)
    rows, cols = matrix.shape
    stride = stride or cols
    flat = poison(start + max(rows - 1, 0) * stride + cols + 5, kind)
    for row in range(rows):
        flat[start + row * stride :][:cols] = encode(matrix[row], kind)
    return flat, start


def wanted(matrix, like, stride=None):
    """Expected numbers of a buffer of `laid_out`: NaN where nothing may change."""
    flat, start = like
    matrix = np.atleast_2d(matrix)
    rows, cols = matrix.shape
    want = np.full(len(flat), np.nan)
    for row in range(rows):
        want[start + row * (stride or cols) :][:cols] = matrix[row]
    return want


def place_of(like, rows, cols, stride=None):
    """Which numbers of a buffer belong to a matrix."""
    return ~np.isnan(wanted(np.zeros((rows, cols)), like, stride))


def tolerance(kind):
    """By the type of the output."""
    return ROUGH if kind == "bf16" else FINE


def read_case(path):
    """A case from a file, see `README.md`."""
    with open(path, "rb") as file:
        header = json.loads(file.readline())
        data = file.read()

    def numbers(entry, kind):
        kind = np.dtype(kind)
        return np.frombuffer(data, kind, entry["numbers"], entry["at"]).copy()

    arguments = {}
    for name, value in header["arguments"].items():
        if isinstance(value, dict):
            value = (numbers(value, NUMPY[value["type"]]), value.get("start", 0))
        arguments[name] = value
    expected = {name: numbers(entry, "<f8") for name, entry in header["expected"].items()}
    touched = {name: numbers(entry, "u1") != 0 for name, entry in header.get("touched", {}).items()}
    return Case(header["variant"], header["case"], arguments, expected, header["tolerance"], touched)


def write_case(case, path):
    """The reverse: examples of the format, and a check of it."""
    data = bytearray()

    def entry(array, **more):
        at = len(data)
        data.extend(array.tobytes())
        return more | {"at": at, "numbers": len(array)}

    types = dict(ALL[case.variant].parameters())
    arguments = {}
    for name, value in case.arguments.items():
        if isinstance(value, tuple):
            value = entry(value[0], type=types[name][1:], start=value[1])
        elif isinstance(value, np.ndarray):
            value = entry(value, type=types[name][1:])
        arguments[name] = value
    expected = {name: entry(want.astype("<f8")) for name, want in case.expected.items()}
    touched = {name: entry(place.astype("u1")) for name, place in case.touched.items()}
    header = dict(
        case=case.name, variant=case.variant, tolerance=case.tolerance, arguments=arguments, expected=expected,
        touched=touched,
    )
    with open(path, "wb") as file:
        file.write(json.dumps(header).encode() + b"\n" + data)


def read_cases(folder):
    """All cases of a folder, in the order of their names, one at a time."""
    for name in sorted(name for name in os.listdir(folder) if name.endswith(".case")):
        yield read_case(os.path.join(folder, name))
