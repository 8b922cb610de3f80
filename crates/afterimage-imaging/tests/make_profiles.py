"""ICC profiles for the fixtures, written by hand: matrices with curves, greys, and tables."""

import struct

import numpy as np

D50 = (0.9642, 1.0, 0.8249)


def s15(value):
    return struct.pack(">i", round(value * 65536))


def xyz(values):
    return b"XYZ \0\0\0\0" + b"".join(s15(value) for value in values)


def gamma(value):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


def table(levels):
    return b"curv\0\0\0\0" + struct.pack(f">I{len(levels)}H", len(levels), *levels)


def parametric(*numbers):
    kind = {1: 0, 3: 1, 4: 2, 5: 3, 7: 4}[len(numbers)]
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + b"".join(s15(number) for number in numbers)


SRGB_CURVE = parametric(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def description(text, version):
    if version >= 4:
        data = text.encode("utf-16-be")
        return b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(data), 28) + data
    data = text.encode() + b"\0"
    return b"desc\0\0\0\0" + struct.pack(">I", len(data)) + data + bytes(8 + 3 + 67)


def profile(space, tags, version=4, kind=b"mntr", connection=b"XYZ "):
    tags = [(name, data + b"\0" * (-len(data) % 4)) for name, data in tags]
    at = 128 + 4 + 12 * len(tags)
    index, body = struct.pack(">I", len(tags)), b""
    for name, data in tags:
        index += struct.pack(">4sII", name, at + len(body), len(data))
        body += data
    size = at + len(body)
    date = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    header = struct.pack(">I4sI4s4s4s12s4s", size, b"none", version << 24, kind, space, connection, date, b"acsp")
    header += bytes(28) + b"".join(s15(value) for value in D50)
    return header.ljust(128, b"\0") + index + body


def matrix(name, colorants, curve, version=4):
    red, green, blue = colorants
    return profile(b"RGB ", [(b"desc", description(name, version)), (b"wtpt", xyz(D50)), (b"rXYZ", xyz(red)),
                             (b"gXYZ", xyz(green)), (b"bXYZ", xyz(blue)), (b"rTRC", curve), (b"gTRC", curve),
                             (b"bTRC", curve)], version)


def grey(name, curve, version=4):
    tags = [(b"desc", description(name, version)), (b"wtpt", xyz(D50)), (b"kTRC", curve)]
    return profile(b"GRAY", tags, version)


def lut(name, space, channels, points, to_lab, kind):
    """A table in 16 bits from `channels` inks to Lab, as printers' profiles have it."""
    axes = np.meshgrid(*[np.linspace(0, 1, points)] * channels, indexing="ij")
    lab = to_lab(np.stack(axes, -1).reshape(-1, channels))
    coded = np.stack([lab[:, 0] / 100 * 0xFF00, (lab[:, 1] + 128) * 256, (lab[:, 2] + 128) * 256], -1)
    coded = np.clip(np.round(coded), 0, 65535).astype(">u2").tobytes()
    identity = b"".join(s15(float(row == column)) for row in range(3) for column in range(3))
    straight = struct.pack(">2H", 0, 65535)
    data = b"mft2\0\0\0\0" + bytes([channels, 3, points, 0]) + identity + struct.pack(">HH", 2, 2)
    data += straight * channels + coded + straight * 3
    return profile(space, [(b"desc", description(name, 2)), (b"wtpt", xyz(D50)), (b"A2B0", data)], 2, kind, b"Lab ")


def inks_to_lab(inks):
    """A simple printer: each ink takes its complement from the paper."""
    light = (1 - inks[:, :3]) * (1 - inks[:, 3:])
    return linear_to_lab(light ** 2.0 * 0.95 + 0.01)


def linear_to_lab(linear):
    to_xyz = np.array([[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7139]])
    ratio = linear @ to_xyz.T / np.array(D50)
    root = np.where(ratio > 0.008856, np.cbrt(ratio), ratio * 7.787 + 16 / 116)
    return np.stack([116 * root[:, 1] - 16, 500 * (root[:, 0] - root[:, 1]), 200 * (root[:, 1] - root[:, 2])], -1)


P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
PROPHOTO = ((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82490))
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
REC2020 = ((0.67348, 0.27904, -0.00194), (0.16566, 0.67534, 0.02998), (0.12505, 0.04561, 0.79687))

PROFILES = {
    "display-p3": ("RGB", matrix("Display P3", P3, SRGB_CURVE)),
    "display-p3-v2": ("RGB", matrix("Display P3", P3, gamma(2.2), 2)),
    "adobe-rgb": ("RGB", matrix("Adobe RGB (1998)", ADOBE, gamma(563 / 256), 2)),
    "prophoto": ("RGB", matrix("ProPhoto RGB", PROPHOTO, gamma(1.8), 2)),
    "rec2020": ("RGB", matrix("Rec. 2020", REC2020, parametric(1 / 0.45, 1 / 1.0993, 0.0993 / 1.0993, 1 / 4.5, 0.0812))),
    "swapped": ("RGB", matrix("Swapped colours", (SRGB[1], SRGB[2], SRGB[0]), SRGB_CURVE)),
    "table-curve": ("RGB", matrix("Table", SRGB, table([round((i / 255) ** 1.5 * 65535) for i in range(256)]), 2)),
    "rgb-table": ("RGB", lut("Scanner", b"RGB ", 3, 17, lambda rgb: linear_to_lab(rgb ** 1.8), b"scnr")),
    "rgb-table-grey-black": ("RGB", lut("Faded scanner", b"RGB ", 3, 17,
                                        lambda rgb: linear_to_lab(rgb ** 1.8 * 0.97 + 0.02), b"scnr")),
    "grey-22": ("GRAY", grey("Gray Gamma 2.2", gamma(2.2))),
    "grey-18": ("GRAY", grey("Gray Gamma 1.8", gamma(1.8), 2)),
    "grey-dot-gain": ("GRAY", grey("Dot Gain 20%", table([round((i / 255) ** 1.75 * 65535) for i in range(256)]), 2)),
    "grey-linear": ("GRAY", grey("Linear", gamma(1.0))),
    "cmyk": ("CMYK", lut("Printer", b"CMYK", 4, 9, inks_to_lab, b"prtr")),
}
