#!/usr/bin/env python3
"""Parity cases of FLUX inpainting: what diffusers' FluxInpaintPipeline makes with the tiny bundles of the parity kit.

    make_inpaint.py OUT [--only NAME ...] [--kit FOLDER] [--bundles FOLDER]

OUT receives cases-inpaint/<case>/ with case.json, the picture, the mask, expected PNG(s) and tensors.safetensors, in the format of
the parity kit; README.md beside this script says what is new. A case finds its bundle at ../../bundles/<bundle>, as those in
`cases` do, so the folder belongs beside `bundles`. Two runs on one machine give the same bytes.

--kit is the folder with make.py, whose pictures and loader are used; --bundles the folder with dev/ and schnell/. Needs what make.py
needs. Runs on the CPU in f32, one thread.
"""

import argparse
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
KIT = HERE
BUNDLES = HERE / "bundles"

# How the command line says it. The rest of the flags are those of `img2img`.
COMMAND, MASK, BLUR, CROP = "img2img", "--mask", "--mask-blur", "--mask-crop"

CASES = {
    "inpaint-hard": {
        "about": "a hard mask whose edges lie between the latent's cells; strength 0.6 of 5 steps runs 3; a cell takes its top left pixel",
        "bundle": "dev", "image": {"size": [64, 48], "seed": 31, "noise": 24}, "mask": {"kind": "hard", "size": [64, 48]},
        "prompt": "The portrait of an old sailor", "strength": 0.6, "size": "64x48", "steps": 5, "guidance": 3.5, "seed": 41, "tensors": "full",
    },
    "inpaint-strength-one": {
        "about": "strength 1: all steps run, from noise alone (sigma 1); the posterior is drawn before the noise all the same; no --size: the picture's",
        "bundle": "dev", "image": {"size": [64, 48], "seed": 32, "noise": 20}, "mask": {"kind": "hard", "size": [64, 48]},
        "prompt": "autumn, flat colors", "strength": 1.0, "steps": 3, "guidance": 3.5, "seed": 42,
    },
    "inpaint-two": {
        "about": "two pictures: one posterior sample and one mask for both, then one draw of [2,16,h,w]",
        "bundle": "dev", "image": {"size": [48, 64], "seed": 33, "noise": 24}, "mask": {"kind": "hard", "size": [48, 64]},
        "prompt": "watercolor sketch", "strength": 0.75, "size": "48x64", "steps": 4, "guidance": 2.5, "seed": 43, "num_images": 2,
    },
    "inpaint-grey-mask": {
        "about": "a mask of another size and shape with levels around 127 and 128: Lanczos to the output's size, then 1 from level 128 on",
        "bundle": "dev", "image": {"size": [64, 48], "seed": 34, "noise": 20}, "mask": {"kind": "grey", "size": [45, 70], "seed": None},
        "prompt": "a red fox", "strength": 0.7, "size": "64x48", "steps": 4, "guidance": 3.5, "seed": 44,
    },
    "inpaint-colour-mask": {
        "about": "an RGB mask of another size: every channel is resized and rounded to 8 bits first, then luma (601) is taken",
        "bundle": "dev", "image": {"size": [64, 48], "seed": 35, "noise": 20}, "mask": {"kind": "colour", "size": [80, 42], "seed": None},
        "prompt": "a red fox", "strength": 0.7, "size": "64x48", "steps": 4, "guidance": 3.5, "seed": 45,
    },
    "inpaint-blur": {
        "about": "mask_processor.blur(mask, 4) at the mask's own size, before it is resized; thin parts vanish and thin gaps close; the picture is resized too",
        "bundle": "dev", "image": {"size": [96, 72], "seed": 36, "noise": 20}, "mask": {"kind": "thin", "size": [96, 72]}, "mask_blur": 4,
        "prompt": "warm windows", "strength": 0.6, "size": "64x48", "steps": 5, "guidance": 3.5, "seed": 46,
    },
    "inpaint-white": {
        "about": "a white mask: the picture that FluxImg2ImgPipeline makes with the same arguments, bit for bit",
        "bundle": "dev", "image": {"size": [48, 32], "seed": 37, "noise": 20}, "mask": {"kind": "flat", "size": [48, 32], "level": 255},
        "prompt": "red umbrellas", "strength": 0.6, "size": "48x32", "steps": 5, "guidance": 3.5, "seed": 47, "equals": "img2img",
    },
    "inpaint-black": {
        "about": "a black mask: the picture's latents come out as they went in, so this is the decoded posterior sample",
        "bundle": "dev", "image": {"size": [48, 32], "seed": 37, "noise": 20}, "mask": {"kind": "flat", "size": [48, 32], "level": 0},
        "prompt": "red umbrellas", "strength": 0.6, "size": "48x32", "steps": 5, "guidance": 3.5, "seed": 47, "equals": "latents",
    },
    "inpaint-one-step": {
        "about": "a strength that is next to nothing runs one step; the kept part is blended in without noise",
        "bundle": "dev", "image": {"size": [48, 32], "seed": 38, "noise": 20}, "mask": {"kind": "hard", "size": [48, 32]},
        "prompt": "x", "strength": 0.001, "size": "48x32", "steps": 4, "guidance": 3.5, "seed": 48,
    },
    "inpaint-schnell": {
        "about": "without guidance and shift; the size is rounded down to 64x48, picture and mask are resized to that",
        "bundle": "schnell", "image": {"size": [70, 61], "seed": 39, "noise": 20}, "mask": {"kind": "hard", "size": [70, 61]},
        "prompt": "autumn, flat colors", "strength": 0.75, "size": "70x61", "steps": 4, "seed": 49,
    },
    "inpaint-crop": {
        "about": "padding_mask_crop 8 around a small part: the region grows to the output's shape; the result is put back into the picture, whose size it keeps; --size is rounded down to 64x48 after the region was made for 70x50",
        "bundle": "dev", "image": {"size": [96, 80], "seed": 50, "noise": 24}, "mask": {"kind": "box", "size": [96, 80], "box": [57, 18, 70, 41]}, "mask_crop": 8,
        "prompt": "a red fox", "strength": 0.8, "size": "70x50", "steps": 4, "guidance": 3.5, "seed": 50,
    },
    "inpaint-crop-columns": {
        "about": "the region cannot grow to the output's shape: columns left and right are filled (1.125 of the first column less 0.125 of the second), one more on the left",
        "bundle": "dev", "image": {"size": [72, 80], "seed": 51, "noise": 24}, "mask": {"kind": "box", "size": [72, 80], "box": [30, 6, 41, 71]}, "mask_crop": 5,
        "prompt": "a red fox", "strength": 0.8, "size": "64x48", "steps": 4, "guidance": 3.5, "seed": 51, "tolerance": {"max_diff": 1, "psnr": 66.0},
    },
    "inpaint-crop-rows": {
        "about": "as inpaint-crop-columns with rows, an enlarged region and a schnell model",
        "bundle": "schnell", "image": {"size": [59, 40], "seed": 52, "noise": 24}, "mask": {"kind": "box", "size": [59, 40], "box": [4, 9, 55, 20]}, "mask_crop": 3,
        "prompt": "a red fox", "strength": 0.8, "size": "48x64", "steps": 4, "seed": 52,
    },
    "inpaint-crop-blur": {
        "about": "padding_mask_crop and a blurred mask: every level above 0 counts for the region, and the result is laid over the picture softly; two pictures",
        "bundle": "dev", "image": {"size": [80, 64], "seed": 53, "noise": 24}, "mask": {"kind": "hard", "size": [80, 64], "scale": 2}, "mask_blur": 4, "mask_crop": 2,
        "prompt": "a red fox", "strength": 0.8, "size": "48x48", "steps": 3, "guidance": 3.5, "seed": 53, "num_images": 2,
    },
}  # fmt: skip

# The names of tensors.safetensors that every case has; those with "tensors": "full" have all.
LIGHT = ("sigmas", "latent_mask", "latents_final")


def draw_mask(spec):
    """A mask from integers only."""
    import numpy as np
    from PIL import Image, ImageDraw

    w, h = spec["size"]
    kind = spec["kind"]
    if kind == "flat":
        return Image.new("L", (w, h), spec["level"])
    if kind in ("hard", "box", "thin"):
        mask = Image.new("L", (w, h), 0)
        draw = ImageDraw.Draw(mask)
        if kind == "box":
            x1, y1, x2, y2 = spec["box"]
            draw.rectangle([x1, y1, x2 - 1, y2 - 1], fill=255)
            draw.rectangle([x1, y1, x1 + 2, y1 + 1], fill=0)
        elif kind == "hard":
            n = spec.get("scale", 1) + 1
            draw.ellipse([w // n, h // n, w // n + w // 3, h // n + h // 3], fill=255)
            draw.rectangle([w // 5, h // 4, w // 5 + w // 5, h // 4 + h // 5], fill=255)
        else:
            draw.rectangle([w // 4, h // 4, w * 7 // 8, h * 5 // 6], fill=255)
            draw.rectangle([w // 2, h // 4, w // 2 + 3, h * 5 // 6], fill=0)
            draw.rectangle([w // 8, 0, w // 8 + 2, h], fill=255)
            draw.rectangle([0, h // 8, w, h // 8 + 1], fill=255)
        return mask
    rng = np.random.RandomState(spec["seed"])
    if kind == "grey":
        cells = rng.randint(122, 134, (h // 5 + 1, w // 5 + 1))
        cells[:2, :3], cells[-3:, -2:] = 255, 0
        return Image.fromarray(np.kron(cells, np.ones((5, 5), int))[:h, :w].astype(np.uint8), "L")
    if kind == "colour":
        cells = rng.randint(0, 256, (h // 4 + 1, w // 4 + 1, 3))
        # green chosen so that the luma is next to the threshold
        rest = 19595 * cells[..., 0] + 7471 * cells[..., 2]
        cells[..., 1] = np.clip(((128 << 16) - rest) // 38470 + rng.randint(-2, 3, rest.shape), 0, 255)
        return Image.fromarray(np.kron(cells, np.ones((4, 4, 1), int))[:h, :w].astype(np.uint8), "RGB")
    raise SystemExit(f"unknown mask {kind}")


def cells(mask, size, gray_first=False, filter=None, level=128, at=(0, 0), luma=None):
    """The mask of the latent, as it is and as mistakes would make it."""
    import numpy as np
    from PIL import Image

    mask = mask.convert("L") if gray_first else mask.convert("RGB")
    mask = mask.resize(size, Image.Resampling.LANCZOS if filter is None else filter)
    if luma:
        a = (np.asarray(mask.convert("RGB")) * np.array(luma)).sum(2)
    else:
        a = np.asarray(mask.convert("L"))
    return (a >= level)[at[1] :: 8, at[0] :: 8]


def seeded(spec, size):
    """The first seed whose mask tells the right way from all the wrong ones."""
    from PIL import Image

    f = Image.Resampling
    wrong = [{"filter": f.NEAREST}, {"filter": f.BILINEAR}, {"filter": f.BICUBIC}, {"level": 127}, {"level": 129}, {"at": (4, 4)}]
    if spec["kind"] == "colour":
        wrong += [{"gray_first": True}, {"luma": (1 / 3, 1 / 3, 1 / 3)}, {"luma": (0.2126, 0.7152, 0.0722)}]
    for seed in range(1, 5000):
        mask = draw_mask({**spec, "seed": seed})
        right = cells(mask, size)
        if right.any() and not right.all() and all((cells(mask, size, **w) != right).any() for w in wrong):
            return seed
    raise SystemExit("no seed tells the ways of preparing a mask apart")


def run_reference(kit, ref, case, folder):
    """Runs the pipeline and returns (pictures, tensors, facts, prepared files)."""
    import numpy as np
    from diffusers import FluxImg2ImgPipeline, FluxInpaintPipeline, FluxPipeline
    from diffusers.utils import load_image
    from PIL import Image

    torch = kit.torch_()
    image, mask = load_image(str(folder / "input.png")), load_image(str(folder / "mask.png"))
    n, steps, strength = case.get("num_images", 1), case["steps"], case["strength"]
    width, height = kit.parse_size(case["size"]) if "size" in case else image.size
    kit.check_tokenizers(ref, case["prompt"])
    parts = dict(
        scheduler=ref.scheduler, vae=ref.vae, transformer=ref.transformer,
        text_encoder=ref.clip, tokenizer=ref.tokenizer, text_encoder_2=ref.t5, tokenizer_2=ref.tokenizer_2,
    )  # fmt: skip
    pipe = FluxInpaintPipeline(**parts)
    pipe.set_progress_bar_config(disable=True)
    if "mask_blur" in case:
        mask = pipe.mask_processor.blur(mask, case["mask_blur"])

    rec, calls, encoded, blended = {}, [], [], []

    def on_transformer(module, args, kwargs, output):
        calls.append((kwargs["hidden_states"].clone(), output[0].clone(), kwargs["timestep"].clone(), kwargs["guidance"]))

    def on_encode(x, *args, **kwargs):
        out = encode(x, *args, **kwargs)
        encoded.append((x.clone(), out.latent_dist.mean.clone(), out.latent_dist.logvar.clone()))
        return out

    def on_mask(*args, **kwargs):
        out = prepare(*args, **kwargs)
        rec["packed_mask"] = out[0].clone()
        rec["mask_pixels"] = args[0].clone()
        return out

    def on_step(pipe, i, t, values):
        blended.append(values["latents"].clone())
        return {}

    hook = ref.transformer.register_forward_hook(on_transformer, with_kwargs=True)
    encode, prepare = ref.vae.encode, pipe.prepare_mask_latents
    ref.vae.encode, pipe.prepare_mask_latents = on_encode, on_mask
    gen = torch.Generator("cpu").manual_seed(case["seed"])
    common = dict(
        prompt=case["prompt"], image=image, height=height, width=width, strength=strength, num_inference_steps=steps,
        guidance_scale=float(case.get("guidance", 3.5)), num_images_per_prompt=n,
    )  # fmt: skip
    with torch.no_grad():
        images = pipe(
            **common, mask_image=mask, padding_mask_crop=case.get("mask_crop"), generator=gen, output_type="pil", callback_on_step_end=on_step
        ).images
    hook.remove()
    ref.vae.encode = encode

    # what SEMANTICS.md says, in its order, must give the same bits
    again = torch.Generator("cpu").manual_seed(case["seed"])
    h, w = 2 * (height // 16), 2 * (width // 16)
    pixels, mean, logvar = encoded[0]
    config = ref.vae.config
    noise_of_posterior = torch.randn(mean.shape, generator=again)
    z = (mean + torch.exp(0.5 * logvar) * noise_of_posterior - config.shift_factor) * config.scaling_factor
    noise = torch.randn((n, 16, h, w), generator=again)
    torch.randn(mean.shape, generator=again)  # the masked picture's posterior, which nothing uses
    assert torch.equal(gen.get_state(), again.get_state()), "order of the draws"
    assert len(encoded) == 2 and torch.equal(encoded[1][0], pixels * (rec["mask_pixels"] < 0.5))
    pack = lambda x: FluxPipeline._pack_latents(x.expand(n, -1, -1, -1), n, 16, h, w)
    cell = rec["mask_pixels"][0, 0, ::8, ::8]
    assert cell.shape == (h, w) and torch.equal(pack(cell.expand(1, 16, h, w)), rec["packed_mask"])
    t_start = int(max(steps - min(steps * strength, steps), 0))
    sigmas = ref.scheduler.sigmas[t_start:]
    assert len(calls) == len(blended) == len(sigmas) - 1
    assert torch.equal(sigmas[:-1], torch.stack([c[2][0] for c in calls])) or (sigmas[:-1] - torch.stack([c[2][0] for c in calls])).abs().max() < 1e-6
    x = pack(sigmas[0] * noise + (1 - sigmas[0]) * z)
    if strength == 1.0:
        assert sigmas[0] == 1 and torch.equal(x, pack(noise))
    m = pack(cell.expand(1, 16, h, w)) == 1
    for i, (given, velocity, _, guidance) in enumerate(calls):
        assert torch.equal(x, given), "latents"
        assert (guidance is None) == (not ref.transformer.config.guidance_embeds)
        s = sigmas[i + 1]
        kept = pack(s * noise + (1 - s) * z) if i < len(calls) - 1 else pack(z)
        x = torch.where(m, x + (sigmas[i + 1] - sigmas[i]) * velocity, kept)
        assert torch.equal(x, blended[i]), "blending"

    rec.update(
        image_latents=z, noise=noise, sigmas=sigmas.clone(), latents_start=calls[0][0],
        velocity_first=calls[0][1], velocity_last=calls[-1][1], latents_first=blended[0], latents_final=blended[-1], latent_mask=cell.to(torch.uint8),
    )  # fmt: skip
    prepared = {
        "prepared.png": Image.fromarray(((pixels[0] * 0.5 + 0.5) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy(), "RGB"),
        "prepared-mask.png": Image.fromarray((rec["mask_pixels"][0, 0] * 255).to(torch.uint8).numpy(), "L").convert("1"),
    }
    crop = case.get("mask_crop")
    facts = {
        "crop_region": list(pipe.mask_processor.get_crop_region(mask, width, height, pad=crop)) if crop is not None else None,
        "cells": f"{int(cell.sum())} of {cell.numel()}",
    }
    if case.get("equals") == "img2img":
        other = FluxImg2ImgPipeline(**parts)
        other.set_progress_bar_config(disable=True)
        with torch.no_grad():
            theirs = other(**common, generator=torch.Generator("cpu").manual_seed(case["seed"]), output_type="latent").images
            pictures = other(**common, generator=torch.Generator("cpu").manual_seed(case["seed"]), output_type="pil").images
        assert torch.equal(theirs, rec["latents_final"]) and all(a.tobytes() == b.tobytes() for a, b in zip(images, pictures))
        facts["equals_img2img"] = True
    if case.get("equals") == "latents":
        assert torch.equal(rec["latents_final"], pack(z))
        facts["equals_decoded_posterior"] = True
    if crop is None:
        assert images[0].size == (16 * (width // 16), 16 * (height // 16))
    else:
        assert images[0].size == image.size
        for picture in images:
            a, b, m = (np.asarray(p.convert("RGB")).astype(int) for p in (picture, image, mask))
            assert (a == b)[m == 0].all(), "the picture outside the mask"
    assert all(np.isfinite(np.asarray(v.float())).all() for v in rec.values())
    del rec["packed_mask"], rec["mask_pixels"]
    return images, rec, facts, prepared


def cli_args(case):
    up = f"../../bundles/{case['bundle']}"
    args = [COMMAND, "input.png", MASK, "mask.png", "--base", f"{up}/base"]
    for key, flag in (
        ("prompt", "--prompt"), ("strength", "--strength"), ("mask_blur", BLUR), ("mask_crop", CROP), ("size", "--size"), ("steps", "--steps"),
        ("guidance", "--guidance"), ("seed", "--seed"), ("num_images", "--num-images"),
    ):  # fmt: skip
        if case.get(key) is not None:
            args += [flag, str(case[key])]
    return args + ["--device", "cpu", "--dtype", "f32", "--output", "{out}/image.png"]


def make_case(kit, ref, name, case, out):
    from safetensors.torch import save_file

    torch = kit.torch_()
    folder = out / "cases-inpaint" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    kit.write_image(folder / "input.png", case["image"])
    spec = case["mask"]
    if "seed" in spec:
        spec = {**spec, "seed": seeded(spec, kit.parse_size(case["size"]))}
    draw_mask(spec).save(folder / "mask.png", optimize=True)
    images, tensors, facts, prepared = run_reference(kit, ref, case, folder)
    expect = []
    for i, image in enumerate(images, 1):
        end = f"-{i}" if len(images) > 1 else ""
        image.save(folder / f"expected{end}.png", optimize=True)
        expect.append({"file": f"expected{end}.png", "output": f"image{end}.png"})
    files = {"prepared_mask": "prepared-mask.png"}
    prepared["prepared-mask.png"].save(folder / "prepared-mask.png", optimize=True)
    if "mask_crop" in case:
        files["prepared_image"] = "prepared.png"
        prepared["prepared.png"].save(folder / "prepared.png", optimize=True)
    kept = {k: v.contiguous() for k, v in tensors.items() if case.get("tensors") == "full" or k in LIGHT}
    save_file(kept, str(folder / "tensors.safetensors"))
    kit.write_json(
        folder / "case.json",
        {
            "name": name,
            "about": case["about"],
            "bundle": case["bundle"],
            "args": cli_args(case),
            "expect": expect,
            "tolerance": {"max_diff": 2, "psnr": 60.0, **case.get("tolerance", {})},
            "inpaint": {
                "image": "input.png",
                "mask": "mask.png",
                "mask_blur": case.get("mask_blur"),
                "mask_crop": case.get("mask_crop"),
                **facts,
                **files,
            },
            "reference": {
                "width": images[0].width,
                "height": images[0].height,
                "steps_run": len(tensors["sigmas"]) - 1,
                "tensors": sorted(kept),
            },
        },
    )
    kit.readable(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), metavar="NAME")
    parser.add_argument("--kit", type=Path, default=KIT)
    parser.add_argument("--bundles", type=Path, default=BUNDLES)
    args = parser.parse_args()
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(args.kit))
    import make as kit

    kit.quiet()
    loaded = {}
    for name in args.only:
        case = CASES[name]
        if case["bundle"] not in loaded:
            loaded[case["bundle"]] = kit.Reference(args.bundles / case["bundle"])
        make_case(kit, loaded[case["bundle"]], name, case, args.out)
        print(f"case   {name}", flush=True)


if __name__ == "__main__":
    main()
