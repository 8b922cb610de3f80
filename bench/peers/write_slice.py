"""Writes a slice of FLUX.1 with random weights in the layouts of all programs; runs in the benchmark's Python.

    python write_slice.py --shape flux --folder WORK/flux --gguf q8_0 q4_k
    python write_slice.py --shape tiny --folder WORK/vae --vae full

Below --folder:

    transformer/, vae/, scheduler/, model_index.json    a base in diffusers' layout without encoders: bf16 transformer, f32 VAE
    flux-q8_0.gguf, flux-q4_k.gguf                      Black Forest Labs' names, general.architecture "flux": matrices of the blocks
                                                        quantised, other matrices f16, vectors f32, as the usual conversions have it
    clip_l.safetensors                                  with --gguf: an encoder that stable-diffusion.cpp asks for; zeros, a sparse file
    shape.json                                          written last

All transformers of a shape hold the same numbers (the quantised ones as near as their format comes).
"""

import argparse
import json
import zlib
from pathlib import Path

import gguf
import numpy as np
from shape import AXES, CHANNELS, CONTEXT, HEAD, MARKER, NARROW_VAE_WIDTHS, POOLED, SHAPES, VAE_WIDTHS

QUANTISED = {"q8_0": gguf.GGMLQuantizationType.Q8_0, "q4_k": gguf.GGMLQuantizationType.Q4_K}


def tensors(shape):
    """(name in Black Forest Labs' file, shape, [(name in diffusers, first row, last row)]); None as rows: all of them."""
    hidden = shape["heads"] * HEAD
    whole = lambda name: [(name, None, None)]  # noqa: E731

    def linear(name, rows, cols, parts):
        if isinstance(parts, str):
            parts = whole(parts)
        yield f"{name}.weight", (rows, cols), [(f"{part}.weight", first, last) for part, first, last in parts]
        yield f"{name}.bias", (rows,), [(f"{part}.bias", first, last) for part, first, last in parts]

    thirds = lambda names: [(name, i * hidden, (i + 1) * hidden) for i, name in enumerate(names)]  # noqa: E731
    yield from linear("img_in", hidden, CHANNELS, "x_embedder")
    yield from linear("txt_in", hidden, CONTEXT, "context_embedder")
    for ours, theirs, width in (("time_in", "timestep_embedder", 256), ("guidance_in", "guidance_embedder", 256),
                                ("vector_in", "text_embedder", POOLED)):  # fmt: skip
        yield from linear(f"{ours}.in_layer", hidden, width, f"time_text_embed.{theirs}.linear_1")
        yield from linear(f"{ours}.out_layer", hidden, hidden, f"time_text_embed.{theirs}.linear_2")
    for i in range(shape["double"]):
        block, other = f"double_blocks.{i}", f"transformer_blocks.{i}"
        for stream, norm, qkv, proj, mlp, scales in (
            ("img", "norm1", ("to_q", "to_k", "to_v"), "to_out.0", "ff", ("norm_q", "norm_k")),
            ("txt", "norm1_context", ("add_q_proj", "add_k_proj", "add_v_proj"), "to_add_out", "ff_context", ("norm_added_q", "norm_added_k")),
        ):  # fmt: skip
            yield from linear(f"{block}.{stream}_mod.lin", 6 * hidden, hidden, f"{other}.{norm}.linear")
            yield from linear(f"{block}.{stream}_attn.qkv", 3 * hidden, hidden, thirds([f"{other}.attn.{name}" for name in qkv]))
            yield from linear(f"{block}.{stream}_attn.proj", hidden, hidden, f"{other}.attn.{proj}")
            yield from linear(f"{block}.{stream}_mlp.0", 4 * hidden, hidden, f"{other}.{mlp}.net.0.proj")
            yield from linear(f"{block}.{stream}_mlp.2", hidden, 4 * hidden, f"{other}.{mlp}.net.2")
            for ours, theirs in zip(("query", "key"), scales):
                yield f"{block}.{stream}_attn.norm.{ours}_norm.scale", (HEAD,), whole(f"{other}.attn.{theirs}.weight")
    for i in range(shape["single"]):
        block, other = f"single_blocks.{i}", f"single_transformer_blocks.{i}"
        parts = [*thirds([f"{other}.attn.to_{name}" for name in "qkv"]), (f"{other}.proj_mlp", 3 * hidden, 7 * hidden)]
        yield from linear(f"{block}.modulation.lin", 3 * hidden, hidden, f"{other}.norm.linear")
        yield from linear(f"{block}.linear1", 7 * hidden, hidden, parts)
        yield from linear(f"{block}.linear2", hidden, 5 * hidden, f"{other}.proj_out")
        for ours, theirs in (("query", "norm_q"), ("key", "norm_k")):
            yield f"{block}.norm.{ours}_norm.scale", (HEAD,), whole(f"{other}.attn.{theirs}.weight")
    # Shift before scale in the one file, after it in the other: the halves change places.
    for kind, size in (("weight", (2 * hidden, hidden)), ("bias", (2 * hidden,))):
        halves = [(f"norm_out.linear.{kind}", hidden, 2 * hidden), (f"norm_out.linear.{kind}", 0, hidden)]
        yield f"final_layer.adaLN_modulation.1.{kind}", size, halves
    yield from linear("final_layer.linear", CHANNELS, hidden, "proj_out")


def values(name, size):
    """Numbers that bf16 holds, as f32: the same for a name in every file. Every matrix keeps its input's scale, modulations stay small."""
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    numbers = generator.standard_normal(size, dtype=np.float32)
    if name.endswith(".scale"):
        numbers = 1 + 0.1 * numbers
    elif len(size) == 1:
        numbers *= 0.02
    else:
        numbers *= (0.2 if "mod" in name else 1.0) / np.sqrt(size[1], dtype=np.float32)
    bits = numbers.view(np.uint32)
    bits += 0x7FFF + ((bits >> 16) & 1)
    bits &= 0xFFFF0000
    return numbers


def as_bf16(numbers):
    return (numbers.view(np.uint32) >> 16).astype(np.uint16)


def q4_k(numbers):
    """Rows to Q4_K blocks of 256: eight groups of 32 with a 6-bit scale and a 6-bit minimum each (plain rounding, no search)."""
    groups = numbers.reshape(-1, 8, 32)
    low = np.minimum(groups.min(2), 0)
    scale, minimum = (groups.max(2) - low) / 15, -low
    d, dmin = (part.max(1, keepdims=True) / 63 for part in (scale, minimum))
    d, dmin = d.astype(np.float16), dmin.astype(np.float16)
    f32 = lambda half: np.maximum(half.astype(np.float32), 1e-12)  # noqa: E731
    scale = np.clip(np.rint(scale / f32(d)), 0, 63).astype(np.uint8)
    minimum = np.clip(np.rint(minimum / f32(dmin)), 0, 63).astype(np.uint8)
    step = np.maximum(f32(d) * scale, 1e-12)[..., None]
    quants = np.clip(np.rint((groups + (f32(dmin) * minimum)[..., None]) / step), 0, 15).astype(np.uint8)
    packed = np.empty((len(groups), 12), np.uint8)
    packed[:, 0:4] = scale[:, 0:4] | (scale[:, 4:8] >> 4) << 6
    packed[:, 4:8] = minimum[:, 0:4] | (minimum[:, 4:8] >> 4) << 6
    packed[:, 8:12] = (scale[:, 4:8] & 15) | (minimum[:, 4:8] & 15) << 4
    nibbles = quants[:, 0::2] | quants[:, 1::2] << 4
    blocks = np.concatenate([d.view(np.uint8), dmin.view(np.uint8), packed, nibbles.reshape(-1, 128)], 1)
    return blocks.reshape(*numbers.shape[:-1], -1)


def safetensors(path, entries, metadata=None):
    """`entries`: (name, dtype, shape, function that gives the bytes, or None for a hole in the file)."""
    widths = {"BF16": 2, "F16": 2, "F32": 4}
    header, offset = {"__metadata__": metadata} if metadata else {}, 0
    for name, dtype, size, _ in entries:
        length = int(np.prod(size)) * widths[dtype]
        header[name] = {"dtype": dtype, "shape": list(size), "data_offsets": [offset, offset + length]}
        offset += length
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        start = file.tell()
        for name, _, _, data in entries:
            if data is not None:
                file.seek(start + header[name]["data_offsets"][0])
                file.write(data())
        file.truncate(start + offset)


def write_diffusers(folder, shape):
    pieces = {}
    for name, size, parts in tensors(shape):
        for part, first, last in parts:
            pieces.setdefault(part, []).append((name, size, first, last))

    def data(sources):
        return lambda: b"".join(as_bf16(values(name, size)[first:last]).tobytes() for name, size, first, last in sources)

    entries = []
    for part, sources in sorted(pieces.items()):
        rows = sum(size[0] if last is None else last - first for _, size, first, last in sources)
        entries.append((part, "BF16", (rows, *sources[0][1][1:]), data(sources)))
    folder.mkdir(parents=True, exist_ok=True)
    safetensors(folder / "diffusion_pytorch_model.safetensors", entries, {"format": "pt"})
    config = {
        "_class_name": "FluxTransformer2DModel", "_diffusers_version": "0.42.1", "attention_head_dim": HEAD, "axes_dims_rope": AXES,
        "guidance_embeds": True, "in_channels": CHANNELS, "joint_attention_dim": CONTEXT, "num_attention_heads": shape["heads"],
        "num_layers": shape["double"], "num_single_layers": shape["single"], "out_channels": None, "patch_size": 1,
        "pooled_projection_dim": POOLED,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def write_gguf(path, shape, kind):
    writer = gguf.GGUFWriter(path, "flux", use_temp_file=False)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    for name, size, _ in tensors(shape):
        numbers = values(name, size)
        if len(size) == 1:
            writer.add_tensor(name, numbers)
        elif "_blocks." not in name:
            writer.add_tensor(name, numbers.astype(np.float16))
        elif kind == "q4_k":
            writer.add_tensor(name, q4_k(numbers), raw_dtype=QUANTISED[kind])
        else:
            writer.add_tensor(name, gguf.quants.quantize(numbers, QUANTISED[kind]), raw_dtype=QUANTISED[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_clip(path):
    """CLIP-L in transformers' names."""
    width, mlp = 768, 3072
    sizes = {"text_model.embeddings.token_embedding.weight": (49408, width), "text_model.embeddings.position_embedding.weight": (77, width)}
    for i in range(12):
        layer = f"text_model.encoder.layers.{i}"
        for name, rows, cols in ([(f"self_attn.{part}_proj", width, width) for part in "qkv"] +
                                 [("self_attn.out_proj", width, width), ("mlp.fc1", mlp, width), ("mlp.fc2", width, mlp)]):  # fmt: skip
            sizes |= {f"{layer}.{name}.weight": (rows, cols), f"{layer}.{name}.bias": (rows,)}
        sizes |= {f"{layer}.layer_norm{n}.{kind}": (width,) for n in (1, 2) for kind in ("weight", "bias")}
    sizes |= {f"text_model.final_layer_norm.{kind}": (width,) for kind in ("weight", "bias")}
    safetensors(path, [(name, "F16", size, None) for name, size in sizes.items()])


def write_vae(folder, widths):
    from diffusers import AutoencoderKL

    AutoencoderKL(
        in_channels=3, out_channels=3, block_out_channels=widths, layers_per_block=2, latent_channels=16, norm_num_groups=32,
        down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4, sample_size=1024,
        scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False,
    ).save_pretrained(folder)  # fmt: skip


def write_base(folder, shape, widths):
    """FluxPipeline's folder, without encoders."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    write_diffusers(folder / "transformer", shape)
    write_vae(folder / "vae", widths)
    FlowMatchEulerDiscreteScheduler(
        base_image_seq_len=256, base_shift=0.5, max_image_seq_len=4096, max_shift=1.15, shift=3.0, use_dynamic_shifting=True
    ).save_pretrained(folder / "scheduler")
    classes = {
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"], "transformer": ["diffusers", "FluxTransformer2DModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }  # fmt: skip
    index = {"_class_name": "FluxPipeline", **classes}
    (folder / "model_index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--shape", choices=SHAPES, required=True)
    parser.add_argument("--vae", choices=["narrow", "full"], default="narrow")
    parser.add_argument("--gguf", choices=QUANTISED, nargs="*", default=[])
    options = parser.parse_args()
    import torch

    torch.manual_seed(0)
    shape = SHAPES[options.shape]
    options.folder.mkdir(parents=True, exist_ok=True)
    write_base(options.folder, shape, VAE_WIDTHS if options.vae == "full" else NARROW_VAE_WIDTHS)
    for kind in options.gguf:
        write_gguf(options.folder / f"flux-{kind}.gguf", shape, kind)
    if options.gguf:
        write_clip(options.folder / "clip_l.safetensors")
    (options.folder / MARKER).write_text(json.dumps(shape) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
