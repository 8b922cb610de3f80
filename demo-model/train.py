"""Train the demo model. Stages: `anchor`, `vae`, `flow`, `pack`. Run `./train.sh` for all of them in order."""

import argparse
from pathlib import Path

import numpy as np
import torch

from afterimage_demo.presets import PRESETS


def anchor(options, preset):
    """The linear latent space; from a finished anchored autoencoder (`--vae`) or from pictures."""
    from afterimage_demo.latents import anchor_of_vae, fit_anchor
    from afterimage_demo.scenes import pictures

    torch.manual_seed(options.seed)
    material = pictures(np.random.default_rng(options.seed), 160, 128)
    if options.vae:
        from diffusers import AutoencoderKL

        vae = AutoencoderKL.from_pretrained(options.vae, torch_dtype=torch.float32).eval()
        torch.save(vae.state_dict(), options.out / "vae-average.pt")
        values = anchor_of_vae(vae, material)
    else:
        values = fit_anchor(material)
    torch.save(values, options.out / "anchor.pt")


def vae(options, preset):
    from afterimage_demo.vae_training import VaeTraining

    training = VaeTraining(preset, options.out, options.device, options.seed)
    if options.resume:
        training.resume()
    training.train(options.hours)


def flow(options, preset):
    from afterimage_demo.workers import run_together

    if options.start:
        from afterimage_demo.bundle import restore_from_bundle

        options.restored = restore_from_bundle(preset, options.start, options.out).state_dict()
        anchor(argparse.Namespace(**{**vars(options), "vae": options.start / "vae"}), preset)
    run_together(options.workers, train_flow, options, preset)


def train_flow(workers, options, preset):
    """One of the processes that train together."""
    from afterimage_demo.flow_training import FlowTraining

    training = FlowTraining(preset, options.out, options.device, options.seed, workers)
    if options.start:
        training.networks.load_state_dict(options.restored)
        training.after_weights()
        training.hours = options.spent
    elif options.resume and training.checkpoint.exists():
        training.resume()
    else:
        training.begin()
    if workers.rank == 0:
        for name, network in training.networks.items():
            print(f"{name}: {sum(p.numel() for p in network.parameters()):,} parameters")
    training.train(options.hours or preset.hours)


def pack(options, preset):
    from afterimage_demo.bundle import write_bundle

    size = write_bundle(preset, options.out, options.bundle)
    print(f"{options.bundle}: {size:,} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=["anchor", "vae", "flow", "pack"])
    parser.add_argument("--out", type=Path, default=Path("work"), help="working folder: checkpoints and tokenizers")
    parser.add_argument("--preset", choices=list(PRESETS), default="cpu")
    parser.add_argument("--hours", type=float, default=0.0, help="stop here even if the schedule is longer")
    parser.add_argument("--resume", action="store_true", help="continue from the checkpoint in --out")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="flow stage: processes of one thread each that train together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vae", type=Path, help="anchor stage: a diffusers VAE folder to start from")
    parser.add_argument("--start", type=Path, help="flow stage: continue from a bundle when the working folder is lost")
    parser.add_argument("--spent", type=float, default=0.0, help="with --start: hours of the schedule that the bundle has had")
    parser.add_argument("--bundle", type=Path, default=Path("bundle"), help="pack stage: where the bundle goes")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_float32_matmul_precision("high")
    torch.set_num_threads(options.threads)
    {"anchor": anchor, "vae": vae, "flow": flow, "pack": pack}[options.stage](options, PRESETS[options.preset])


if __name__ == "__main__":
    main()
