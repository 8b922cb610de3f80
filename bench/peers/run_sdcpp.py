"""The slice in stable-diffusion.cpp (its Python binding): seconds per step, and of the VAE.

    python run_sdcpp.py --folder WORK/flux --vae WORK/vae --weights q8_0 --cases 256:256 512:256 [--steps 1]

Without a T5 the program takes 256 zero tokens as context, so that is what a case may ask for. The binding is not told of the time
that the model takes: times come from the callback after each step and from the program's log (VAE). Prints one JSON line.
"""

import argparse
import contextlib
import os
import re
import sys
import tempfile
from pathlib import Path

from machine import Marks, Patience, Quiet, emit, load, peak_mib
from shape import decode_gflop, image_tokens, shape_of, step_gflop

CONTEXT = 256


@contextlib.contextmanager
def captured():
    """What the library writes to standard error and output, also from C, as a list of one text."""
    sys.stdout.flush(), sys.stderr.flush()
    saved, text = [os.dup(1), os.dup(2)], []
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 1), os.dup2(file.fileno(), 2)
        try:
            yield text
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os.dup2(saved[0], 1), os.dup2(saved[1], 2)
            file.seek(0)
            text.append(file.read().decode("utf-8", "replace"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--vae", type=Path, required=True, help="the folder with FLUX's VAE: the program knows no other")
    parser.add_argument("--weights", choices=["q8_0", "q4_k"], default="q8_0")
    parser.add_argument("--cases", nargs="+", required=True)
    parser.add_argument("--steps", type=int, default=1, help="steps that count; one more comes before them")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--patience", type=float, default=150)
    options = parser.parse_args()
    shape, patience, cases = shape_of(options.folder), Patience(options.patience), []
    with captured():
        import stable_diffusion_cpp

        model = stable_diffusion_cpp.StableDiffusion(
            diffusion_model_path=str(options.folder / f"flux-{options.weights}.gguf"), clip_l_path=str(options.folder / "clip_l.safetensors"),
            vae_path=str(options.vae / "vae/diffusion_pytorch_model.safetensors"), n_threads=options.threads, vae_decode_only=True, verbose=True,
        )  # fmt: skip
    for case in options.cases:
        side, context = map(int, case.split(":"))
        if context != CONTEXT:
            sys.exit(f"{case}: stable-diffusion.cpp takes {CONTEXT} context tokens")
        gflop = step_gflop(shape, context, image_tokens(side))
        found = {"side": side, "context": context, "gflop": round(gflop, 1), "load_before": load()}
        if patience.is_lost(gflop):
            cases.append({**found, "skipped": True, "expected_seconds": round(patience.expected(gflop), 1)})
            continue
        marks, quiet = Marks(), Quiet()
        with captured() as saying:
            model.generate_image(
                prompt="the picture and the sea", width=side, height=side, cfg_scale=1.0, guidance=3.5, sample_method="euler",
                sample_steps=options.steps + 1, seed=1, progress_callback=marks.mark,
            )  # fmt: skip
        steps = marks.intervals(options.steps)
        patience.saw(gflop, steps["wall"][-1])
        marks.mark()
        decoding = marks.intervals(1)  # from the last step's end to the finished picture
        logged = re.search(r"decode_first_stage completed, taking ([\d.]+)s", saying[0])
        decode = {"gflop": round(decode_gflop(side), 1), **decoding, "wall": [float(logged.group(1))] if logged else decoding["wall"]}
        cases.append({**found, **steps, "decode": decode, "others_cores": quiet.others_cores(), "peak_mib": peak_mib()})
    emit(cases)


if __name__ == "__main__":
    main()
