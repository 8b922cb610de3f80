"""The slice in OpenVINO: torch's model converted once, then compiled for each size. Prints one JSON line.

    python run_openvino.py --folder WORK/flux --dtype f32|bf16|int8 --cases 256:512 512:1241 [--steps 1]

int8 compresses the weights of every Linear (nncf, symmetric, a scale a channel) and lets the plugin quantise the activations where the
processor has instructions for it; f32 and bf16 are hints for the arithmetic. The converted models are kept in --folder.
"""

import argparse
from pathlib import Path

from machine import Patience, emit, load
from run_diffusers import PROBE_CONTEXT, PROBE_SIDE, measure, probe, step_inputs
from shape import image_tokens, shape_of, step_gflop

NAMES = ("hidden_states", "encoder_hidden_states", "pooled_projections", "timestep", "img_ids", "txt_ids", "guidance")

def converted(folder):
    """The model's file, made unless it is there: weights as f16, which the plugin widens."""
    import openvino

    path = folder / "openvino/transformer.xml"
    if path.exists():
        return path
    import torch
    from diffusers import FluxTransformer2DModel

    class Step(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = FluxTransformer2DModel.from_pretrained(folder / "transformer", torch_dtype=torch.float32).eval()

        def forward(self, *given):
            return self.model(**dict(zip(NAMES, given)), return_dict=False)[0]

    given = step_inputs(PROBE_SIDE, PROBE_CONTEXT, torch.float32, torch)
    with torch.no_grad():
        model = openvino.convert_model(Step(), example_input=tuple(given[name] for name in NAMES))
    path.parent.mkdir(exist_ok=True)
    openvino.save_model(model, path, compress_to_fp16=True)
    return path


def compressed(folder):
    """The same with 8-bit weights."""
    import openvino

    path = folder / "openvino/transformer-int8.xml"
    if not path.exists():
        import nncf

        model = openvino.Core().read_model(converted(folder))
        model = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
        openvino.save_model(model, path, compress_to_fp16=True)
    return path


def run(options):
    import numpy
    import openvino
    import torch

    path = compressed(options.folder) if options.dtype == "int8" else converted(options.folder)
    if options.convert:
        return
    shape, patience = shape_of(options.folder), Patience(options.patience)
    hint = "bf16" if options.dtype == "bf16" else "f32"
    core = openvino.Core()
    for number, case in enumerate([f"{PROBE_SIDE}:{PROBE_CONTEXT}", *options.cases]):
        side, context = map(int, case.split(":"))
        given = step_inputs(side, context, torch.float32, torch)
        arrays = [given[name].numpy().astype(numpy.float32) for name in NAMES]
        model = core.read_model(path)
        model.reshape({index: openvino.PartialShape(array.shape) for index, array in enumerate(arrays)})
        settings = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": options.threads, "NUM_STREAMS": 1}
        request = core.compile_model(model, "CPU", settings).create_infer_request()
        inputs = [openvino.Tensor(array) for array in arrays]
        gflop, before = step_gflop(shape, context, image_tokens(side)), load()
        if number == 0:
            probe(lambda: request.infer(inputs), gflop, patience)
            continue
        yield {"side": side, "context": context, "gflop": round(gflop, 1), "load_before": before,
               **measure(lambda: request.infer(inputs), side, gflop, options.steps, patience)}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--dtype", choices=["f32", "bf16", "int8"], default="f32")
    parser.add_argument("--cases", nargs="*", default=[])
    parser.add_argument("--convert", action="store_true", help="only convert")
    parser.add_argument("--steps", type=int, default=1, help="calls that count")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--patience", type=float, default=150)
    emit(list(run(parser.parse_args())))


if __name__ == "__main__":
    main()
