"""diffusers in one process: steps and decodes of a slice, or a whole variation.

    python run_diffusers.py step --folder WORK/flux --dtype f32 --cases 256:512 512:1241 [--steps 1]
    python run_diffusers.py decode --folder WORK/vae --dtype bf16 --cases 512 1024
    python run_diffusers.py vary --folder BUNDLE --dtype f32 --picture IN --output OUT.png --cases 512 --steps 28

A case of `step` is side:context tokens. The transformer runs alone on random inputs: what the pipeline adds to a step is nothing
beside it. --dtype int8 is torch's dynamic quantisation (weights and activations int8, the rest f32) of every Linear of the blocks.
Prints one JSON line.
"""

import argparse
from pathlib import Path

from machine import Patience, Quiet, emit, load, peak_mib, timed
from shape import CHANNELS, CONTEXT, POOLED, decode_gflop, image_tokens, shape_of, step_gflop

# What comes first: it tells how long the others will take, and starts the program's threads.
PROBE_SIDE, PROBE_CONTEXT = 128, 64
DECODE_PROBE_SIDE = 32
# Seconds: a first call of this length says enough.
LONG_PROBE = 10
# Above this side the sizes before have to do as a warm-up.
WARM_SIDE = 512


def kind_of(dtype, torch):
    return torch.bfloat16 if dtype == "bf16" else torch.float32


def quantise(model, torch):
    for blocks in (model.transformer_blocks, model.single_transformer_blocks):
        torch.ao.quantization.quantize_dynamic(blocks, {torch.nn.Linear}, dtype=torch.qint8, inplace=True)


def step_inputs(side, context, kind, torch):
    generator = torch.Generator().manual_seed(0)
    noise = lambda *size: torch.randn(*size, generator=generator).to(kind)  # noqa: E731
    rows = side // 16
    ids = torch.zeros(rows, rows, 3)
    ids[..., 1], ids[..., 2] = torch.arange(rows)[:, None], torch.arange(rows)[None]
    return {
        "hidden_states": noise(1, rows * rows, CHANNELS), "encoder_hidden_states": noise(1, context, CONTEXT), "pooled_projections": noise(1, POOLED),
        "timestep": torch.tensor([0.7], dtype=kind), "guidance": torch.tensor([3.5]), "img_ids": ids.reshape(-1, 3).to(kind),
        "txt_ids": torch.zeros(context, 3, dtype=kind),
    }  # fmt: skip


def probe(function, gflop, patience):
    """Tells `patience` how fast the program is: by a second call, since the first one also sets it up."""
    seconds = timed(function, 1)["wall"][-1]
    patience.saw(gflop, seconds if seconds > LONG_PROBE else timed(function, 1)["wall"][-1])


def measure(function, side, gflop, steps, patience):
    """The figures of a case, whose `function` runs it once."""
    if patience.is_lost(gflop):
        return {"skipped": True, "expected_seconds": round(patience.expected(gflop), 1)}
    quiet, warm = Quiet(), None
    if side <= WARM_SIDE:
        warm = timed(function, 1)
    found = timed(function, steps if side <= WARM_SIDE else 1)
    patience.saw(gflop, found["wall"][-1])
    return {**found, "warm_up": warm, "others_cores": quiet.others_cores(), "peak_mib": peak_mib()}


def run_steps(options, torch):
    from diffusers import FluxTransformer2DModel

    shape, kind, patience = shape_of(options.folder), kind_of(options.dtype, torch), Patience(options.patience)
    model = FluxTransformer2DModel.from_pretrained(options.folder / "transformer", torch_dtype=kind).eval()
    if options.dtype == "int8":
        quantise(model, torch)

    def call(side, context):
        given = step_inputs(side, context, kind, torch)
        return lambda: model(**given, return_dict=False)

    probe(call(PROBE_SIDE, PROBE_CONTEXT), step_gflop(shape, PROBE_CONTEXT, image_tokens(PROBE_SIDE)), patience)
    for case in options.cases:
        side, context = map(int, case.split(":"))
        gflop = step_gflop(shape, context, image_tokens(side))
        before = load()
        yield {"side": side, "context": context, "gflop": round(gflop, 1), "load_before": before,
               **measure(call(side, context), side, gflop, options.steps, patience)}  # fmt: skip


def run_decodes(options, torch):
    from diffusers import AutoencoderKL

    kind, patience = kind_of(options.dtype, torch), Patience(options.patience)
    vae = AutoencoderKL.from_pretrained(options.folder / "vae", torch_dtype=kind).eval()

    def decode(side):
        latents = torch.randn(1, 16, side // 8, side // 8, generator=torch.Generator().manual_seed(0)).to(kind)
        return lambda: vae.decode(latents, return_dict=False)

    probe(decode(DECODE_PROBE_SIDE), decode_gflop(DECODE_PROBE_SIDE), patience)
    for case in options.cases:
        side, before = int(case), load()
        gflop = decode_gflop(side)
        yield {"side": side, "gflop": round(gflop, 1), "load_before": before, **measure(decode(side), side, gflop, options.steps, patience)}


def vary(options, torch):
    """What a user's script does: load, encode, sample, write the file. The caller takes the time of the whole process."""
    from diffusers import FluxPipeline, FluxPriorReduxPipeline
    from PIL import Image

    kind = kind_of(options.dtype, torch)
    flux = FluxPipeline.from_pretrained(options.folder, torch_dtype=kind)
    encoders = {name: getattr(flux, name) for name in ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")}
    prior = FluxPriorReduxPipeline.from_pretrained(options.folder / "redux", torch_dtype=kind, **encoders)
    if options.dtype == "int8":
        quantise(flux.transformer, torch)
    flux.set_progress_bar_config(disable=True)
    side, source = int(options.cases[0]), Image.open(options.picture).convert("RGB")
    # The bundle's own length: the pipeline would pad to 512, and padding is attended to.
    context, pooled, _ = flux.encode_prompt(prompt="", prompt_2="", max_sequence_length=flux.tokenizer_2.model_max_length)
    redux = prior.image_embedder(prior.encode_image(source, "cpu", 1)).image_embeds
    picture = flux(
        prompt_embeds=torch.cat([context, redux], 1), pooled_prompt_embeds=pooled, width=side, height=side, guidance_scale=3.5,
        num_inference_steps=options.steps, generator=torch.Generator().manual_seed(1),
    ).images[0]  # fmt: skip
    picture.save(options.output)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["step", "decode", "vary"])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--dtype", choices=["f32", "bf16", "int8"], default="f32")
    parser.add_argument("--cases", nargs="+", required=True)
    parser.add_argument("--steps", type=int, default=1, help="calls that count")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--patience", type=float, default=150, help="seconds that a call may take")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    with torch.inference_mode():
        if options.what == "vary":
            vary(options, torch)
        else:
            emit(list({"step": run_steps, "decode": run_decodes}[options.what](options, torch)))


if __name__ == "__main__":
    main()
