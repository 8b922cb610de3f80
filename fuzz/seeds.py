#!/usr/bin/env python3
"""Writes small inputs for every fuzz target into fuzz/corpus/: made here, and for pictures the fixtures of the tests."""

import json
import struct
import zlib
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
CRATES = Path(__file__).parent.parent / "crates"
FIXTURES = CRATES / "afterimage-imaging" / "tests" / "fixtures"
DEMO = CRATES / "afterimage-demo" / "bundle"


def png(width, height, colour, depth, *extra):
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = b"\0" + bytes(i * 37 % (1 << min(depth, 8)) if colour == 3 else i * 37 % 256
                        for i in range((width * samples * depth + 7) // 8))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    palette = [chunk(b"PLTE", bytes(range(3 * 16))), chunk(b"tRNS", b"\x80")] if colour == 3 else []
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"".join([b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), *(chunk(*it) for it in extra), *palette,
                     chunk(b"IDAT", zlib.compress(row * height)), chunk(b"IEND", b"")])


def exif(orientation):
    return b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + struct.pack("<I", orientation) + b"\0" * 4


def gif():
    frame = b",\0\0\0\0\x02\0\x02\0\0" + b"\x02\x02\x84\x51\0"
    return b"GIF89a\x02\0\x02\0\x80\0\0" + b"\0\0\0\xff\xff\xff" + b"!\xf9\x04\x01\0\0\0\0" + frame * 2 + b";"


def bmp(bits):
    palette = b"" if bits > 8 else bytes(4 << bits)
    row = bytes(range((3 * bits + 31) // 32 * 4))
    start = 54 + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, 3, 2, 1, bits, 0, 2 * len(row), 2835, 2835, 0, 0)
    return b"BM" + struct.pack("<IHHI", start + 2 * len(row), 0, 0, start) + header + palette + 2 * row


def tiff(order, interpretation, samples):
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    pixels = bytes(range(2 * 2 * samples))
    bits_at = 8 + len(pixels)
    directory_at = bits_at + 2 * samples
    entries = [(256, 3, 1, 2), (257, 3, 1, 2), (258, 3, samples, 8 if samples == 1 else bits_at), (259, 3, 1, 1),
               (262, 3, 1, interpretation), (273, 4, 1, 8), (277, 3, 1, samples), (278, 3, 1, 2),
               (279, 4, 1, len(pixels))]

    def entry(tag, kind, count, value):
        short = kind == 3 and count == 1
        return struct.pack(order + "HHI", tag, kind, count) + struct.pack(order + ("HH" if short else "I"),
                                                                         *([value, 0] if short else [value]))

    return b"".join([mark, struct.pack(order + "I", directory_at), pixels, struct.pack(order + "H", 8) * samples,
                     struct.pack(order + "H", len(entries)), *(entry(*it) for it in entries), b"\0\0\0\0"])


def jpeg(frame, components, sampling, scans):
    def segment(mark, data):
        return bytes([0xFF, mark]) + struct.pack(">H", len(data) + 2) + data

    # One code of one bit in either table: difference 0, end of block.
    tables = b"".join(segment(0xC4, bytes([kind << 4, 1] + 15 * [0] + [0])) for kind in (0, 1))
    shape = struct.pack(">BHHB", 8, 16, 16, components)
    shape += b"".join(bytes([i + 1, sampling if i == 0 else 0x11, 0]) for i in range(components))
    body = b""
    for first, last, approximation in scans:
        scan = bytes([components]) + b"".join(bytes([i + 1, 0]) for i in range(components))
        body += segment(0xDA, scan + bytes([first, last, approximation])) + b"\0" * 6
    return b"".join([b"\xff\xd8", segment(0xE1, b"Exif\0\0" + exif(6)), segment(0xEE, b"Adobe\0\x64\0\0\0\0\x01"),
                     segment(0xDB, b"\0" + bytes([8] * 64)), segment(frame, shape), tables, body, b"\xff\xd9"])


def webp():
    def bits(*fields):
        value = position = 0
        for number, width in fields:
            value |= number << position
            position += width
        return value.to_bytes((position + 7) // 8, "little")

    # Lossless, every prefix code of one symbol: no bits at all for the pixels.
    data = b"\x2f" + bits((7, 14), (4, 14), (0, 1), (0, 3), (0, 1), (0, 1), (0, 1), *[(1, 4)] * 5)
    data += b"\0" * (len(data) % 2)
    chunk = b"VP8L" + struct.pack("<I", len(data)) + data
    extended = b"VP8X" + struct.pack("<I", 10) + b"\x08\0\0\0" + b"\x07\0\0\x04\0\0"
    info = b"EXIF" + struct.pack("<I", len(exif(3))) + exif(3)
    return [b"RIFF" + struct.pack("<I", 4 + len(it)) + b"WEBP" + it for it in (chunk, extended + chunk + info)]


def multipart(boundary, *parts, end=True):
    body = b"".join(b"--%s\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (boundary, how, content)
                    for how, content in parts)
    return b"multipart/form-data; boundary=" + boundary + b"\n" + body + (b"--%s--\r\n" % boundary if end else b"")


def safetensors(tensors, metadata=None):
    """Name to type, shape and bytes."""
    header, data = {"__metadata__": metadata} if metadata else {}, b""
    for name, (kind, shape, stored) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(stored)]}
        data += stored
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def gguf(tensors, version=3, alignment=32):
    """Name to GGML's number of the type, sides with the fastest first, and bytes."""
    def text(it):
        return struct.pack("<Q", len(it)) + it
    entries = [text(b"general.architecture") + struct.pack("<I", 8) + text(b"flux"),
               text(b"general.alignment") + struct.pack("<II", 4, alignment),
               text(b"list") + struct.pack("<IIQ", 9, 8, 2) + text(b"a") + text(b"bc"),
               text(b"comfy.gguf.orig_shape.img_in.weight") + struct.pack("<IIQii", 9, 5, 2, 4, 64)]
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(entries)) + b"".join(entries)
    data = b""
    for name, (kind, sides, stored) in tensors.items():
        data += b"\0" * (-len(data) % alignment)
        head += text(name) + struct.pack(f"<I{len(sides)}QIQ", len(sides), *sides, kind, len(data))
        data += stored
    return head + b"\0" * (-len(head) % alignment) + data


def weights_files():
    scale = ("F32", [], struct.pack("<f", 0.5))
    weight = ("F8_E4M3", [2, 2], b"\x38\x40\xb8\0")
    layers = json.dumps({"format_version": "1.0", "layers": {"m": {"format": "float8_e4m3fn"}}})
    blocks = {2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 20: (32, 18), 10: (256, 84),
              11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 0: (1, 4), 1: (1, 2), 30: (1, 2)}
    every = {b"t%d" % kind: (kind, (numbers, 2), bytes(range(size)) * 2) for kind, (numbers, size) in blocks.items()}
    return [
        safetensors({"double_blocks.0.img_attn.qkv.weight": ("BF16", [3, 2], bytes(12)), "x": ("F32", [1], bytes(4))}),
        safetensors({"m.weight": weight, "m.scale_weight": scale, "scaled_fp8": ("F8_E5M2", [0], b"")}),
        safetensors({"m.weight": weight, "m.weight_scale": scale, "m.comfy_quant": ("U8", [26], b'{"format":"float8_e5m2"}  ')}),
        safetensors({"m.weight": weight, "m.weight_scale": scale}, {"_quantization_metadata": layers}),
        safetensors({"m.float8_data": weight, "m.scale": scale}),
        gguf(every), gguf(every, 2, 1),
        gguf({b"img_in.weight": (12, (256,), bytes(144)), b"enc.blk.0.attn_q.weight": (8, (32, 1), bytes(34))}),
    ]


def tokenizers():
    """The embedded model's folders, and small ones, whose changes do more."""
    folders = [[(path.name, path.read_text()) for path in sorted((DEMO / name).iterdir())]
               for name in ("tokenizer", "tokenizer_2")]
    letters = {"<|startoftext|>": 0, "<|endoftext|>": 1, "a": 2, "b</w>": 3, "ab</w>": 4}
    folders.append([("vocab.json", json.dumps(letters)), ("merges.txt", "#version: 0.2\na b</w>\n"),
                    ("tokenizer_config.json", '{"model_max_length": 77, "pad_token": {"content": "<|endoftext|>"}}')])
    pieces = [["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0], ["\u2581", -2.0], ["\u2581red", -3.5]]
    folders.append([("tokenizer.json", json.dumps({
        "added_tokens": [{"id": 1, "content": "</s>", "special": True}],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}]},
        "model": {"type": "Unigram", "unk_id": 2, "vocab": pieces, "byte_fallback": False}}))])
    return ["".join(f"== {name}\n{text}\n" for name, text in folder).encode() for folder in folders]


PICTURES = [
    *(png(5, 3, colour, depth) for colour, depth in
      [(0, 1), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 4), (4, 8), (6, 8), (6, 16)]),
    png(3, 3, 2, 8, (b"eXIf", exif(8)), (b"iCCP", b"x\0\0" + zlib.compress(b"profile")),
        (b"zTXt", b"k\0\0" + zlib.compress(b"t" * 99))),
    png(3, 3, 2, 8, (b"acTL", struct.pack(">II", 2, 0))),
    gif(), *(bmp(bits) for bits in (1, 4, 8, 16, 24, 32)),
    *(tiff(order, kind, samples) for order in "<>" for kind, samples in [(1, 1), (2, 3), (2, 4), (5, 4)]),
    jpeg(0xC0, 1, 0x11, [(0, 63, 0)]), jpeg(0xC0, 3, 0x22, [(0, 63, 0)]), jpeg(0xC0, 4, 0x11, [(0, 63, 0)]),
    jpeg(0xC2, 3, 0x22, [(0, 0, 0), (0, 0, 0x10)]), *webp(),
]
# Every kind that the tests know, among them files like those that people reported.
PICTURES += [path.read_bytes() for folder in ("decode", "inputs") for path in sorted((FIXTURES / folder).iterdir())
             if path.is_file() and path.suffix != ".txt"]
PLAIN = [b'name="n"', b"2"], [b'name="file"; filename="../../x.png"', b"bytes"]
SEEDS = {
    "weights_file": weights_files(),
    "tokenizer": tokenizers(),
    "config": [path.read_bytes() for path in sorted(DEMO.rglob("*.json"))
               if path.name.endswith("config.json") or path.name == "afterimage.json"],
    "lora_keys": [
        b"img_in.lora_A.weight 2 4\nimg_in.lora_B.weight 4 2\nimg_in.alpha 1 1\nimg_in.lora_B.bias 4 1",
        b"transformer.transformer_blocks.0.attn.to_k.lora_A.weight 1 4\n"
        b"transformer.transformer_blocks.0.attn.to_k.lora_B.weight 4 1\n"
        b'{"transformer.lora_alpha": 8, "transformer.alpha_pattern": {"^to_k$": 2}, "transformer.use_rslora": true}',
        b"transformer.norm_out.linear.lora_A.weight 1 4\ntransformer.norm_out.linear.lora_B.weight 8 1",
        b"lora_unet_single_blocks_0_linear1.lora_down.weight 2 4\nlora_unet_single_blocks_0_linear1.lora_up.weight 28 2",
        b"single_blocks.0.processor.qkv_lora.down.weight 2 4\nsingle_blocks.0.processor.qkv_lora.up.weight 12 2",
        b"lora_te1_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight 2 4\n"
        b"lora_te1_text_model_encoder_layers_0_self_attn_q_proj.lora_up.weight 4 2",
        b"lora_te3_encoder_block_0_layer_0_SelfAttention_q.lora_down.weight 2 4\n"
        b"lora_te3_encoder_block_0_layer_0_SelfAttention_q.lora_up.weight 4 2",
        b"diffusion_model.img_in.lora_A.weight 2 4\nbase_model.model.img_in.lora_B.weight 4 2",
        b"lora_unet_img_in.dora_scale 4 1", b"lycoris_img_in.lokr_w1 2 2", b"lora_unet_img_in.hada_w1_a 2 2",
    ],
    "picture": PICTURES,
    "multipart": [
        multipart(b"b", *PLAIN), multipart(b'"a b"', *PLAIN), multipart(b"b", *PLAIN, end=False),
        multipart(b"b", *PLAIN) + b"trailing", multipart(b"b", (b"filename*=UTF-8''%e2%82%ac; name=x", b"")),
        multipart(b"b", *PLAIN * 40),
    ],
    "data_uri": [b"data:image/png;base64,+/+/AA==", b"DATA:;BASE64,-_-_AA", b"data:image/png,%FB%FF%BF%00",
                 b"data:image/png;charset=utf-8;base64,%2B%2f+/AA%3D%3D", b"+/+/\r\nAA==", b"data:text/html,x"],
    "web_url": [b"http://example.com/", b"HTTPS://Example.COM:443/a%20b?c=%00@d#e", b"http://[2606:4700::1111]:81/x",
                b"http://0x7f.1/", "http://b\u00fccher.example./".encode(), b"http://good.com\\@10.0.0.1/",
                b"http://user@good.com@10.0.0.1", b"http://xn--bcher-kva.example/", b"http://a?@b", b"http://%31/"],
    "request_json": [
        b'{"image":"http://x/a.png","prompt":"p","size":"1024*1024","seed":-1,"num_inference_steps":28.0,'
        b'"guidance_scale":2.5,"num_images":1,"output_format":"png","enable_sync_mode":true}',
        b'{"image":"AAAA","prompt":null,"size":"512x512","seed":"7","num_inference_steps":"9","strength":"0.5"}',
        b'{"prompt":"p","strength":1e400}', b'{"prompt":"\\ud83d\\ude00","seed":1e18,"num_images":-0}',
        b'{"image":{},"size":{"width":1,"height":2},"seed":99999999999999999999}',
        b'{"image_url":"http://x/a.png","image_size":"square_hd","sync_mode":"true","num_images":"2","raw":false,'
        b'"aspect_ratio":"21:9","image_prompt_strength":0.5,"safety_tolerance":"6","acceleration":"none"}',
        b'{"image_url":"data:image/png;base64,AA==","image_size":{"width":64,"height":null,"x":[1]},"seed":" 7 "}',
        b'{"image":"AAAA","n":"2","size":"256x256","response_format":"url","stream":"off","user":"u","model":null}',
        b'{"image":"AAAA","width":"512","height":256.0,"webhook":"http://h/","num_images":4,"prompt":"p"}',
    ],
    "size": [b"1024x768", b"96*96", b" 1 X 2 ", b'{"width":512,"height":16}', b'{"width":"64","height":null}',
             b"square_hd", b'"landscape_16_9"', b"wide", b"null", b'{"width":64,"height":64.0,"depth":1}',
             b'{}', b"99999999999x1", b"[1,2]", b'{"width":1e3}'],
    "own_address": [
        b"send.c29tZS1rZXk.1900000000.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        b"http://h/media/uploads/0f0e0d0c-0b0a-4908-8706-050403020100.png?expires=1900000000&signature=AAAA",
        b"https://h/p/media/results/0f0e0d0c0b0a49088706050403020100/0.png?expires=1900000000&signature="
        b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ],
}

for target, inputs in SEEDS.items():
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(inputs):
        (folder / f"seed-{number:03}").write_bytes(data)
print(f"{sum(map(len, SEEDS.values()))} inputs for {len(SEEDS)} targets in {CORPUS}")
