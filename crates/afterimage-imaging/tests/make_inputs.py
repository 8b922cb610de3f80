"""Makes the fixtures of `inputs.rs`: pictures as cameras, scanners, printers and old programs write them.

    pip install pillow==13.0.0 numpy imagecodecs
    python make_inputs.py [FOLDER OF PUBLIC CASES]

Writes `fixtures/inputs/`: the files, `expected/` with the pixels that Pillow 13 reads from them (turned upright, on
white), and `manifest.txt` with a line `FILE EXPECTED LEVELS` for each. Where Pillow cannot read a kind, or reads it
against the standard, the picture that was written is expected; `SOURCE` in the code marks these.
"""

import hashlib
import io
import shutil
import struct
import sys
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image, ImageCms, ImageOps

from make_profiles import PROFILES

HERE = Path(__file__).parent / "fixtures" / "inputs"
WIDTH, HEIGHT = 37, 29
manifest = []


def scene():
    """Smooth colours, a hard edge; no two corners alike."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    levels = np.stack([30 + x * 6, 20 + y * 8, 235 - x * 3 - y * 4], -1)
    levels[8:20, 5:15] = (230, 40, 60)
    return np.clip(levels, 0, 255).astype(np.uint8)


RGB = scene()
GREY = np.asarray(Image.fromarray(RGB).convert("L"))
ALPHA = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
RGBA = np.dstack([RGB, ALPHA])
ASSOCIATED = np.dstack([(RGB.astype(int) * ALPHA[..., None] // 255).astype(np.uint8), ALPHA])
CMYK = np.asarray(Image.fromarray(RGB).convert("CMYK"))
CMYK = np.dstack([CMYK[..., :3] // 2, np.full_like(GREY, 20) + ALPHA // 8])
TURNED = RGB[:12, :16]


def on_white(image):
    if image.mode in ("I;16", "I;16B"):
        image = Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode in ("LA", "PA", "RGBA") or (image.mode == "P" and "transparency" in image.info):
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        return white
    return image.convert("RGB")


def pillow(data):
    image = Image.open(io.BytesIO(data))
    return on_white(ImageOps.exif_transpose(image))


def add(name, data, expected=None, levels=0):
    """`expected`: pixels, a picture, or None for what Pillow reads."""
    if expected is None:
        try:
            expected = pillow(data)
        except (OSError, ValueError) as error:
            sys.exit(f"{name}: Pillow says {error}; name what is expected")
    elif isinstance(expected, np.ndarray):
        expected = on_white(Image.fromarray(expected))
    expected = Image.frombytes("RGB", expected.size, expected.tobytes())
    key = hashlib.sha256(repr(expected.size).encode() + expected.tobytes()).hexdigest()[:12]
    expected.save(HERE / "expected" / f"{key}.png", optimize=True)
    (HERE / name).write_bytes(data)
    manifest.append(f"{name} {key}.png {levels}")


# Metadata


def ifd(order, entries, start=8, next_at=0):
    """A classic directory at `start`; values too long for their place lie behind it."""
    body, behind = b"", b""
    end = start + 2 + 12 * len(entries) + 4
    for tag, kind, values in sorted(entries, key=lambda entry: entry[0]):
        code = {1: "B", 2: "s", 3: "H", 4: "I", 5: "I", 6: "b", 7: "B", 8: "h", 9: "i", 13: "I", 11: "f", 12: "d"}[kind]
        data = values if isinstance(values, bytes) else struct.pack(f"{order}{len(values)}{code}", *values)
        count = len(data) if isinstance(values, bytes) else len(values) // (2 if kind == 5 else 1)
        if len(data) > 4:
            place = struct.pack(order + "I", end + len(behind))
            behind += data + b"\0" * (len(data) % 2)
        else:
            place = data.ljust(4, b"\0")
        body += struct.pack(order + "HHI", tag, kind, count) + place
    return struct.pack(order + "H", len(entries)) + body + struct.pack(order + "I", next_at) + behind


def exif(value, order="<", kind=3, other_ifd=None):
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 8)
    entries = [(271, 2, b"Maker\0")]
    if value is not None:
        entries.append((274, kind, (value, 1) if kind == 5 else (value,)))
    first = ifd(order, entries)
    if other_ifd is None:
        return head + first
    # The preview in IFD1 lies another way.
    first = ifd(order, entries, next_at=8 + len(first))
    return head + first + ifd(order, [(274, 3, (other_ifd,))], start=8 + len(first))


def xmp(value, element=False):
    inside = (
        f"<rdf:Description rdf:about='' xmlns:tiff='http://ns.adobe.com/tiff/1.0/'><tiff:Orientation>{value}"
        "</tiff:Orientation></rdf:Description>"
        if element
        else f"<rdf:Description rdf:about='' xmlns:tiff='http://ns.adobe.com/tiff/1.0/' tiff:Orientation=\"{value}\"/>"
    )
    return (
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
        f"{inside}</rdf:RDF></x:xmpmeta>"
    ).encode()


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def with_segments(jpeg, *segments):
    inserted = b"".join(bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data for marker, data in segments)
    return jpeg[:2] + inserted + jpeg[2:]


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_png_chunks(png, *chunks, late=False):
    at = len(png) - 12 if late else 33
    return png[:at] + b"".join(png_chunk(*chunk) for chunk in chunks) + png[at:]


def raw_profile(kind, data):
    digits = data.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    return f"\n{kind}\n{len(data):8}\n{lines}\n".encode("latin-1")


def with_webp_chunks(webp, *chunks):
    """A lossless file as an extended one; a flag announces each chunk."""
    flags = {b"ICCP": 0x20, b"EXIF": 8, b"XMP ": 4}
    bits = sum(flags[kind] for kind, _ in chunks)
    bitstream = webp[12:]
    size = (TURNED.shape[1] - 1).to_bytes(3, "little") + (TURNED.shape[0] - 1).to_bytes(3, "little")

    def chunk(kind, data):
        return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)

    before = b"".join(chunk(*one) for one in chunks if one[0] == b"ICCP")
    after = b"".join(chunk(*one) for one in chunks if one[0] != b"ICCP")
    body = b"WEBP" + chunk(b"VP8X", bytes([bits, 0, 0, 0]) + size) + before + bitstream + after
    return b"RIFF" + struct.pack("<I", len(body)) + body


def upright(value):
    """The picture as it stands after orientation `value`, from the table in EXIF 2.32."""
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
    image = Image.fromarray(TURNED)
    return image if value == 1 else image.transpose(Image.Transpose(turns[value]))


def orientations():
    picture = Image.fromarray(TURNED)
    jpeg = saved(picture, "JPEG", quality=100, subsampling=0)
    png = saved(picture, "PNG")
    webp = saved(picture, "WEBP", lossless=True)
    jpeg_exif = lambda block: (0xE1, b"Exif\0\0" + block)
    jpeg_xmp = lambda packet: (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet)
    text = lambda kind, data: (b"tEXt", b"Raw profile type " + kind + b"\0" + raw_profile(kind.decode(), data))
    packed = lambda kind, data: (
        b"zTXt", b"Raw profile type " + kind + b"\0\0" + zlib.compress(raw_profile(kind.decode(), data)))
    itxt = lambda packet, flag=0: (
        b"iTXt", b"XML:com.adobe.xmp\0" + bytes([flag, 0]) + b"\0\0" + (zlib.compress(packet) if flag else packet))
    for value in range(1, 9):
        order = "<>"[value % 2]
        block, packet, element = exif(value, order), xmp(value), xmp(value, True)
        seen = upright(value)
        turned = upright(value)
        lossy = pillow(with_segments(jpeg, jpeg_exif(exif(value))))
        add(f"turn-{value}-exif.jpg", with_segments(jpeg, jpeg_exif(block)), lossy, 2)
        add(f"turn-{value}-xmp.jpg", with_segments(jpeg, jpeg_xmp(packet)), lossy, 2)
        add(f"turn-{value}-xmp-element.jpg", with_segments(jpeg, jpeg_xmp(element)), lossy, 2)
        add(f"turn-{value}-exif.png", with_png_chunks(png, (b"eXIf", block)), seen)
        add(f"turn-{value}-exif-late.png", with_png_chunks(png, (b"eXIf", block), late=True), seen)
        add(f"turn-{value}-text.png", with_png_chunks(png, text(b"exif", b"Exif\0\0" + block)), seen)
        add(f"turn-{value}-ztxt.png", with_png_chunks(png, packed(b"exif", b"Exif\0\0" + block)), seen)
        # SOURCE: Pillow passes over this one.
        add(f"turn-{value}-app1.png", with_png_chunks(png, packed(b"APP1", b"Exif\0\0" + block)), turned)
        add(f"turn-{value}-xmp.png", with_png_chunks(png, itxt(packet)), seen)
        add(f"turn-{value}-xmp-packed.png", with_png_chunks(png, itxt(element, 1)), seen)
        add(f"turn-{value}-exif.webp", with_webp_chunks(webp, (b"EXIF", block)), seen)
        add(f"turn-{value}-exif-prefix.webp", with_webp_chunks(webp, (b"EXIF", b"Exif\0\0" + block)), seen)
        add(f"turn-{value}-xmp.webp", with_webp_chunks(webp, (b"XMP ", packet)), seen)
        add(f"turn-{value}-xmp-element.webp", with_webp_chunks(webp, (b"XMP ", element)), seen)
        for order in "<>":
            name = {"<": "le", ">": "be"}[order]
            add(f"turn-{value}-{name}.tif", tiff(TURNED, order, extra=[(274, 3, (value,))]), seen)
        add(f"turn-{value}-long.tif", tiff(TURNED, extra=[(274, 4, (value,))]), seen)
        add(f"turn-{value}-xmp.tif", tiff(TURNED, extra=[(700, 1, packet)]), seen)
    # All kinds of whole numbers, both orders. SOURCE: Pillow passes over single bytes.
    for kind in (1, 3, 4, 5, 6, 8, 9):
        for order in "<>":
            name = f"{kind}-{'le' if order == '<' else 'be'}"
            block = exif(6, order, kind)
            add(f"turn-kind-{name}.png", with_png_chunks(png, (b"eXIf", block)), upright(6))
            lossy = pillow(with_segments(jpeg, jpeg_exif(exif(6))))
            add(f"turn-kind-{name}.jpg", with_segments(jpeg, jpeg_exif(block)), lossy, 2)
            add(f"turn-kind-{name}.webp", with_webp_chunks(webp, (b"EXIF", block)), upright(6))
    # EXIF wins, IFD1 does not count.
    both = [jpeg_exif(exif(1)), jpeg_xmp(xmp(6))]
    add("turn-exif-wins.jpg", with_segments(jpeg, *both), None, 2)
    add("turn-exif-wins-behind.jpg", with_segments(jpeg, *both[::-1]), None, 2)
    add("turn-exif-silent.jpg", with_segments(jpeg, jpeg_exif(exif(None)), jpeg_xmp(xmp(6))), None, 2)
    add("turn-exif-wins.png", with_png_chunks(png, itxt(xmp(6)), (b"eXIf", exif(8))))
    add("turn-exif-wins.webp", with_webp_chunks(webp, (b"EXIF", exif(3)), (b"XMP ", xmp(6))))
    add("turn-exif-wins.tif", tiff(TURNED, extra=[(274, 3, (8,)), (700, 1, xmp(6))]))
    add("turn-preview.jpg", with_segments(jpeg, jpeg_exif(exif(1, other_ifd=6))), None, 2)
    add("turn-preview-only.jpg", with_segments(jpeg, jpeg_exif(exif(None, other_ifd=6))), None, 2)
    add("turn-chunk-before-text.png", with_png_chunks(png, text(b"exif", exif(6)), (b"eXIf", exif(3))))


# TIFF


def pack(data, compression, predictor_rows=None):
    if compression == 1:
        return data
    if compression == 5:
        return imagecodecs.lzw_encode(data)
    if compression in (8, 32946):
        return zlib.compress(data)
    if compression == 32773:
        return imagecodecs.packbits_encode(data)
    raise ValueError(compression)


def reverse_bits(data):
    return bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)


def pack_row(row, bits, order):
    """Samples of a row to bytes."""
    if bits == 8:
        return row.astype(np.uint8).tobytes()
    if row.dtype.kind in "fi" or bits > 16:
        return row.astype(row.dtype.newbyteorder(order)).tobytes()
    if bits == 16:
        return row.astype(order + "u2").tobytes()
    text = "".join(f"{int(value):0{bits}b}" for value in row.ravel())
    text += "0" * (-len(text) % 8)
    return bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))


def differences(block, predictor, order, bits):
    """A block of rows as the predictor leaves it."""
    if predictor == 2:
        unsigned = block.astype(f"u{bits // 8}")
        first = unsigned[:, :1]
        return np.concatenate([first, unsigned[:, 1:] - unsigned[:, :-1]], axis=1)
    return block


def floating_differences(row, samples):
    planes = np.frombuffer(row.astype(row.dtype.newbyteorder(">")).tobytes(), np.uint8).reshape(-1, row.dtype.itemsize)
    apart = planes.T.ravel()
    out = apart.copy()
    out[samples:] = apart[samples:] - apart[:-samples]
    return out.tobytes()


def tiff(array, order="<", bits=8, photometric=None, compression=1, rows=None, tile=None, planar=False, fill=1,
         predictor=1, extra=(), big=False, encode=None, counts=True):
    """A TIFF of one page, written by hand."""
    array = array[..., None] if array.ndim == 2 else array
    height, width, samples = array.shape
    if photometric is None:
        photometric = 1 if samples < 3 else 2
    pieces = []
    planes = [array[..., index : index + 1] for index in range(samples)] if planar else [array]
    for plane in planes:
        if tile:
            for y in range(0, height, tile[1]):
                for x in range(0, width, tile[0]):
                    part = plane[y : y + tile[1], x : x + tile[0]]
                    room = ((0, tile[1] - part.shape[0]), (0, tile[0] - part.shape[1]), (0, 0))
                    pieces.append(np.pad(part, room, mode="edge"))
        else:
            step = rows or height
            pieces += [plane[y : y + step] for y in range(0, height, step)]

    def content(piece):
        if encode:
            return encode(piece)
        if predictor == 3:
            data = b"".join(floating_differences(row.ravel(), piece.shape[2]) for row in piece)
        else:
            piece = differences(piece, predictor, order, bits)
            data = b"".join(pack_row(row.ravel(), bits, order) for row in piece)
        data = pack(data, compression)
        return reverse_bits(data) if fill == 2 else data

    stored = [content(piece) for piece in pieces]
    head = 16 if big else 8
    offsets, at = [], head
    for data in stored:
        offsets.append(at)
        at += len(data) + len(data) % 2
    body = b"".join(data + b"\0" * (len(data) % 2) for data in stored)
    entries = [(256, 3, (width,)), (257, 3, (height,)), (258, 3, (bits,) * samples), (259, 3, (compression,)),
               (262, 3, (photometric,)), (277, 3, (samples,))]
    if tile:
        entries += [(322, 3, (tile[0],)), (323, 3, (tile[1],)), (324, 4, offsets)]
        entries += [(325, 4, [len(data) for data in stored])]
    else:
        entries += [(273, 4, offsets), (278, 3, (rows or height,))]
        if counts:
            entries += [(279, 4, [len(data) for data in stored])]
    if planar:
        entries.append((284, 3, (2,)))
    if fill != 1:
        entries.append((266, 3, (fill,)))
    if predictor != 1:
        entries.append((317, 3, (predictor,)))
    replaced = {tag for tag, _, _ in extra}
    entries = [entry for entry in entries if entry[0] not in replaced] + list(extra)
    if big:
        directory = big_ifd(order, entries, head + len(body))
        magic = {"<": b"II+\0", ">": b"MM\0+"}[order] + struct.pack(order + "HHQ", 8, 0, head + len(body))
    else:
        directory = ifd(order, entries, head + len(body))
        magic = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", head + len(body))
    return magic + body + directory


def big_ifd(order, entries, start):
    end = start + 8 + 20 * len(entries) + 8
    body, behind = b"", b""
    for tag, kind, values in sorted(entries, key=lambda entry: entry[0]):
        code = {1: "B", 2: "s", 3: "H", 4: "I"}[kind]
        data = values if isinstance(values, bytes) else struct.pack(f"{order}{len(values)}{code}", *values)
        if len(data) > 8:
            place = struct.pack(order + "Q", end + len(behind))
            behind += data + b"\0" * (len(data) % 2)
        else:
            place = data.ljust(8, b"\0")
        body += struct.pack(order + "HHQ", tag, kind, len(values)) + place
    return struct.pack(order + "Q", len(entries)) + body + struct.pack(order + "Q", 0) + behind


def color_map(count, wide=True):
    levels = [[(index * factor + 40) % 256 for index in range(count)] for factor in (37, 91, 151)]
    return [(320, 3, [level * (257 if wide else 1) for channel in levels for level in channel])]


def tiff_kinds():
    """Each kind of sample as (name, array, options, expected)."""
    kinds = []
    for bits in (1, 2, 4):
        index = (GREY.astype(int) >> (8 - bits)).astype(np.uint8)
        kinds.append((f"grey-{bits}", index, dict(bits=bits), None))
        kinds.append((f"grey-{bits}-inverted", index, dict(bits=bits, photometric=0), None))
        kinds.append((f"palette-{bits}", index, dict(bits=bits, photometric=3, extra=color_map(1 << bits)), None))
    extra = lambda *values: [(338, 3, values)]
    kinds += [
        ("grey-8", GREY, {}, None),
        ("grey-8-inverted", GREY, dict(photometric=0), None),
        # SOURCE: Pillow clips these.
        ("grey-12", GREY.astype(np.uint16) * 16 + 5, dict(bits=12), GREY),
        ("grey-16", GREY.astype(np.uint16) * 256 + 99, dict(bits=16), GREY),
        ("grey-16-inverted", GREY.astype(np.uint16) * 256 + 99, dict(bits=16, photometric=0), 255 - GREY),
        ("grey-alpha", np.dstack([GREY, ALPHA]), dict(extra=extra(2)), None),
        ("grey-associated", np.dstack([(GREY.astype(int) * ALPHA // 255).astype(np.uint8), ALPHA]),
         dict(extra=extra(1)), None),
        ("grey-ignored", np.dstack([GREY, ALPHA]), dict(extra=extra(0)), None),
        ("rgb-8", RGB, {}, None),
        ("rgb-16", RGB.astype(np.uint16) * 256 + 77, dict(bits=16), None),
        ("rgba", RGBA, dict(extra=extra(2)), None),
        ("rgba-unnamed", RGBA, {}, None),
        ("rgba-associated", ASSOCIATED, dict(extra=extra(1)), None),
        ("rgbx", RGBA, dict(extra=extra(0)), None),
        ("rgba-16", RGBA.astype(np.uint16) * 257, dict(bits=16, extra=extra(2)), None),
        ("rgba-16-associated", ASSOCIATED.astype(np.uint16) * 257, dict(bits=16, extra=extra(1)), None),
        ("rgba-and-more", np.dstack([RGBA, GREY]), dict(extra=extra(2, 0)), None),
        ("palette-8", GREY, dict(photometric=3, extra=color_map(256)), None),
        ("palette-alpha", np.dstack([GREY, ALPHA]), dict(photometric=3, extra=color_map(256) + extra(2)), None),
        ("cmyk", CMYK, dict(photometric=5), None),
        ("cmyk-16", CMYK.astype(np.uint16) * 257, dict(photometric=5, bits=16), None),
        ("cmyk-and-more", np.dstack([CMYK, GREY]), dict(photometric=5, extra=extra(0)), None),
    ]
    return kinds


def tiffs():
    for name, array, options, expected in tiff_kinds():
        # The samples are the same in every form, and Pillow reads the plainest one right.
        wanted = pillow(tiff(array, **options)) if expected is None else expected

        def make(label, **more):
            add(f"{name}-{label}.tif", tiff(array, **{**options, **more}), wanted, 1)

        bits = options.get("bits", 8)
        make("le")
        make("be", order=">")
        make("lzw-strips", compression=5, rows=7)
        make("deflate-tiles-be", compression=8, tile=(16, 16), order=">")
        make("packbits-strips-be", compression=32773, rows=10, order=">")
        make("lsb-lzw", compression=5, fill=2)
        if bits in (8, 16):
            make("predictor-lzw", compression=5, predictor=2, rows=9)
            make("predictor-deflate-tiles-be", compression=8, predictor=2, tile=(16, 32), order=">")
        if array.ndim == 3:
            make("planar", planar=True)
            make("planar-lzw-tiles", planar=True, compression=5, tile=(32, 16))
            make("planar-predictor-be", planar=True, compression=8, predictor=2, order=">")
    add("lsb-grey-8.tif", tiff(GREY, fill=2))
    add("lsb-grey-1.tif", tiff((GREY >> 7), bits=1, fill=2))
    palette = dict(bits=4, photometric=3, extra=color_map(16))
    add("lsb-palette-4.tif", tiff(GREY >> 4, fill=2, **palette), pillow(tiff(GREY >> 4, **palette)))
    add("lsb-rgb.tif", tiff(RGB, fill=2))
    add("big-le.tif", tiff(RGB, big=True, rows=5), RGB)
    add("big-be.tif", tiff(RGB, order=">", big=True, compression=5), RGB)
    add("no-lengths.tif", tiff(RGB, counts=False))
    add("no-lengths-lzw.tif", tiff(RGB, counts=False, compression=5), RGB)
    add("deflate-old-number.tif", tiff(RGB, compression=32946))
    add("one-size-for-all.tif", tiff(RGB, extra=[(258, 3, (8,))]))
    # SOURCE: a palette of the early nineties, which libtiff knows and Pillow does not.
    narrow = color_map(256, wide=False)
    colors = np.array(narrow[0][2], np.uint8).reshape(3, 256).T
    add("palette-narrow.tif", tiff(GREY, photometric=3, extra=narrow), colors[GREY])
    # Multiplied colours brighter than their opacity, and LZW of before 1988.
    add("rgba-associated-bright.tif", tiff(np.dstack([RGB, ALPHA // 2]), extra=[(338, 3, (1,))]))
    add("corel.tif", tiff(RGBA, extra=[(338, 3, (999,))]))
    # Several pages: the first.
    add("pages.tif", saved(Image.fromarray(RGB), "TIFF", save_all=True, append_images=[Image.fromarray(255 - RGB)]))
    fax()
    ycbcr()
    jpeg_in_tiff()
    lab()
    numbers()


def fax():
    page = Image.fromarray(((GREY.astype(int) + np.indices(GREY.shape)[0] * 9) % 256).astype(np.uint8)).convert("1")
    wide = Image.fromarray(((np.indices((60, 3000))[1] // 700 % 2) * 255).astype(np.uint8)).convert("1")
    for name, image in (("fax", page), ("fax-wide", wide), ("fax-white", Image.new("1", (50, 20), 1)),
                        ("fax-black", Image.new("1", (50, 20), 0))):
        for compression, label in (("tiff_ccitt", "runs"), ("group3", "g3"), ("group4", "g4")):
            add(f"{name}-{label}.tif", saved(image, "TIFF", compression=compression))
            for photometric in (0, 1):
                info = {262: photometric, 278: 6}
                add(f"{name}-{label}-{photometric}-strips.tif",
                    saved(image, "TIFF", compression=compression, tiffinfo=info))
        for options in (1, 4, 5):
            add(f"{name}-g3-{options}.tif", saved(image, "TIFF", compression="group3", tiffinfo={292: options}))
        add(f"{name}-g4-lsb.tif", saved(image, "TIFF", compression="group4", tiffinfo={266: 2}))
        add(f"{name}-g3-lsb.tif", saved(image, "TIFF", compression="group3", tiffinfo={266: 2}))


def ycbcr():
    """Without JPEG: blocks of luminance with the colours they share."""
    full = np.asarray(Image.fromarray(RGB).convert("YCbCr"))
    for across, down in ((1, 1), (2, 1), (2, 2), (4, 1), (4, 2), (4, 4)):
        def blocks(piece):
            height, width = piece.shape[:2]
            room = ((0, -height % down), (0, -width % across), (0, 0))
            piece = np.pad(piece, room, mode="edge")
            out = b""
            for y in range(0, piece.shape[0], down):
                for x in range(0, piece.shape[1], across):
                    block = piece[y : y + down, x : x + across]
                    out += block[..., 0].tobytes() + bytes(block[0, 0, 1:])
            return out

        extra = [(530, 3, (across, down))]
        lzw = lambda piece: imagecodecs.lzw_encode(blocks(piece))
        for order, name in (("<", "le"), (">", "be")):
            add(f"ycbcr-{across}{down}-{name}-lzw.tif",
                tiff(full, order, photometric=6, compression=5, rows=8, extra=extra, encode=lzw), None, 2)
            add(f"ycbcr-{across}{down}-{name}-tiles.tif",
                tiff(full, order, photometric=6, compression=5, tile=(16, 16), extra=extra, encode=lzw), None, 2)
        # Uncompressed, Pillow reads the shared ones wrongly: what it reads from the compressed form is expected.
        expected = pillow(tiff(full, photometric=6, compression=5, rows=8, extra=extra, encode=lzw))
        add(f"ycbcr-{across}{down}.tif", tiff(full, photometric=6, rows=8, extra=extra, encode=blocks), expected, 2)
    add("ycbcr-untagged.tif", tiff(full, photometric=6), None, 2)


def jpeg_in_tiff():
    def split(data):
        """A JPEG as tables and the rest, as libtiff stores it."""
        tables, rest, at = b"", b"", 2
        while data[at + 1] != 0xDA:
            length = struct.unpack(">H", data[at + 2 : at + 4])[0] + 2
            segment = data[at : at + length]
            if data[at + 1] in (0xDB, 0xC4):
                tables += segment
            elif not 0xE0 <= data[at + 1] <= 0xEF:
                rest += segment
            at += length
        return b"\xff\xd8" + tables + b"\xff\xd9", b"\xff\xd8" + rest + data[at:]

    def jpeg(piece, subsampling, mode="RGB"):
        image = Image.fromarray(piece[..., 0] if piece.shape[2] == 1 else piece, mode if piece.shape[2] != 1 else "L")
        options = dict(quality=90)
        if piece.shape[2] == 3:
            options["subsampling"] = subsampling
        return saved(image, "JPEG", **options)

    for subsampling, factors in ((0, (1, 1)), (1, (2, 1)), (2, (2, 2))):
        shared = split(jpeg(RGB[..., :3], subsampling))[0]
        for label, options in (("one", {}), ("strips", dict(rows=16)), ("tiles-be", dict(tile=(16, 16), order=">"))):
            encode = lambda piece: split(jpeg(piece, subsampling))[1]
            extra = [(347, 7, shared), (530, 3, factors)]
            add(f"jpeg-{factors[0]}{factors[1]}-{label}.tif",
                tiff(RGB, photometric=6, compression=7, extra=extra, encode=encode, **options), None, 2)
    # Whole files without shared tables, grey, and colours that are not transformed.
    add("jpeg-whole.tif", tiff(RGB, photometric=6, compression=7, extra=[(530, 3, (2, 2))], rows=16,
                               encode=lambda piece: jpeg(piece, 2)), None, 2)
    add("jpeg-grey.tif", tiff(GREY, compression=7, rows=16, encode=lambda piece: jpeg(piece, 0)), None, 2)
    add("jpeg-grey-inverted.tif", tiff(GREY, photometric=0, compression=7, encode=lambda piece: jpeg(piece, 0)), None, 2)
    for name, image in (("rgb", RGB), ("cmyk", CMYK)):
        pillow_made = saved(Image.fromarray(image, {"rgb": "RGB", "cmyk": "CMYK"}[name]), "TIFF", compression="jpeg")
        add(f"jpeg-{name}-pillow.tif", pillow_made, None, 2)
    planes = lambda piece: jpeg(piece, 0)
    add("jpeg-planar.tif", tiff(RGB, photometric=2, planar=True, compression=7, encode=planes), None, 2)
    # As of 1992: a JPEG file beside the tags.
    for order in "<>":
        data = saved(Image.fromarray(RGB), "JPEG", quality=90, subsampling=2)
        extra = [(513, 4, (8,)), (514, 4, (len(data),)), (530, 3, (2, 2))]
        add(f"jpeg-old-{'le' if order == '<' else 'be'}.tif",
            tiff(RGB, order, photometric=6, compression=6, extra=extra, encode=lambda piece: data), pillow(data), 2)


def lab():
    image = Image.fromarray(RGB)
    profile = ImageCms.createProfile("LAB", 5000)
    converted = ImageCms.profileToProfile(image, ImageCms.createProfile("sRGB"), profile, outputMode="LAB")
    add("lab.tif", saved(converted, "TIFF"), image, 6)


def numbers():
    """Floating point and other numbers. SOURCE, except where Pillow reads levels."""
    formats = lambda kind, samples=1: [(339, 3, (kind,) * samples)]
    for order, name in (("<", "le"), (">", "be")):
        levels = GREY.astype(np.float32)
        add(f"float-levels-{name}.tif", tiff(levels, order, bits=32, extra=formats(3)))
        add(f"float-shares-{name}.tif", tiff(levels / 255, order, bits=32, extra=formats(3)), GREY)
        add(f"float-rgb-{name}.tif", tiff(RGB.astype(np.float32) / 255, order, bits=32, extra=formats(3, 3)), RGB)
        add(f"float-half-{name}.tif", tiff((levels / 255).astype(np.float16), order, bits=16, extra=formats(3)), GREY, 1)
        add(f"float-double-{name}.tif", tiff(GREY / 255.0, order, bits=64, extra=formats(3)), GREY)
        add(f"float-predictor-{name}.tif", tiff(levels / 255, order, bits=32, compression=8, predictor=3,
                                                extra=formats(3), rows=8), GREY)
        add(f"float-rgb-predictor-{name}.tif", tiff(RGB.astype(np.float32) / 255, order, bits=32, compression=5,
                                                    predictor=3, extra=formats(3, 3)), RGB)
        add(f"signed-16-{name}.tif", tiff(GREY.astype(np.int16), order, bits=16, extra=formats(2)))
        add(f"signed-32-{name}.tif", tiff(GREY.astype(np.int32), order, bits=32, extra=formats(2)))
        add(f"long-32-{name}.tif", tiff(GREY.astype(np.uint32), order, bits=32), GREY)


# Bitmaps


def bitmaps():
    palette = Image.fromarray(RGB).quantize(16)
    for name, image in (("rgb", Image.fromarray(RGB)), ("palette", palette), ("one-bit", Image.fromarray(GREY).convert("1"))):
        windows = saved(image, "BMP")
        pixels_at = struct.unpack("<I", windows[10:14])[0]
        longer = windows[:10] + struct.pack("<II", pixels_at + 24, 64) + windows[18:54] + bytes(24) + windows[54:]
        add(f"os2-v2-{name}.bmp", longer, image.convert("RGB"))


# Profiles


def profiles():
    image = {"RGB": Image.fromarray(RGB), "GRAY": Image.fromarray(GREY), "CMYK": Image.fromarray(CMYK, "CMYK")}
    target = ImageCms.createProfile("sRGB")

    def converted(picture, profile):
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(picture, source, target, outputMode="RGB")

    for name, (space, profile) in PROFILES.items():
        picture = image[space]
        wanted = converted(picture, profile)
        if space != "CMYK":
            add(f"icc-{name}.png", saved(picture, "PNG", icc_profile=profile), wanted, 2)
            with_alpha = picture.copy()
            with_alpha.putalpha(Image.fromarray(ALPHA))
            flat = wanted.copy()
            flat.putalpha(Image.fromarray(ALPHA))
            add(f"icc-{name}-alpha.png", saved(with_alpha, "PNG", icc_profile=profile), on_white(flat), 2)
        if space == "RGB":
            add(f"icc-{name}.webp", saved(picture, "WEBP", lossless=True, icc_profile=profile), wanted, 2)
        add(f"icc-{name}.tif", saved(picture, "TIFF", icc_profile=profile, compression="tiff_lzw"), wanted, 2)
        jpeg = saved(picture, "JPEG", quality=95, subsampling=0, icc_profile=profile)
        add(f"icc-{name}.jpg", jpeg, converted(Image.open(io.BytesIO(jpeg)), profile), 2)
    # Profiles that are ignored: broken, of another space, cut off, and sRGB itself.
    p3 = PROFILES["display-p3"][1]
    srgb = ImageCms.ImageCmsProfile(target).tobytes()
    for name, profile in (("broken", b"no profile at all"), ("cut", p3[:200]), ("grey", PROFILES["grey-22"][1]),
                          ("srgb", srgb), ("empty", b"")):
        add(f"icc-ignored-{name}.png",
            with_png_chunks(saved(image["RGB"], "PNG"), (b"iCCP", b"x\0\0" + zlib.compress(profile))), RGB)


def public_cases(folder):
    for path in sorted(folder.iterdir()):
        expected = folder / f"{path.name}.expected.png"
        if expected.exists() and not path.name.startswith(("p01", "p02")):
            add(path.name, path.read_bytes(), Image.open(expected), 2)


if __name__ == "__main__":
    kept = {}
    if (HERE / "manifest.txt").exists():
        kept = {path.name: path.read_bytes() for path in HERE.glob("p[0-9][0-9]-*")}
        kept_lines = [line for line in (HERE / "manifest.txt").read_text().splitlines() if line.split()[0] in kept]
        kept_pngs = {line.split()[1]: (HERE / "expected" / line.split()[1]).read_bytes() for line in kept_lines}
    shutil.rmtree(HERE, ignore_errors=True)
    (HERE / "expected").mkdir(parents=True)
    if len(sys.argv) > 1:
        public_cases(Path(sys.argv[1]))
        raw = Path(sys.argv[1]) / "p13-preview-first.dng"
        (HERE / raw.name).write_bytes(raw.read_bytes())
    else:
        for name, data in {**kept, **{f"expected/{name}": data for name, data in kept_pngs.items()}}.items():
            (HERE / name).write_bytes(data)
        manifest += kept_lines
    orientations()
    tiffs()
    bitmaps()
    profiles()
    (HERE / "manifest.txt").write_text("\n".join(sorted(manifest)) + "\n")
    print(f"{len(manifest)} files")
