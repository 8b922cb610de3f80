"""Measure a training folder: the table of figures the demo model is judged by, and sample grids to look at.

    python evaluate.py --out work                     256², 28 steps, 64 held-out sources
    python evaluate.py --out work --quick             32 sources, 12 steps, only variations and colour words

Held-out sources come from another seed of the painter. Every figure stands beside an ideal (the painter's own variation of
the same specification) and a control.
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from PIL import Image

from afterimage_demo import measures, scenes, variation
from afterimage_demo.bundle import load_trained
from afterimage_demo.colours import TINT_WORDS
from afterimage_demo.flux import sample
from afterimage_demo.latents import Anchor
from afterimage_demo.painting import paint
from afterimage_demo.presets import PRESETS
from afterimage_demo.prompt_tokens import PromptTokens
from afterimage_demo.scenes import Frame

DECODE_AT_ONCE = 8


class Model:
    def __init__(self, options):
        self.preset, self.options = PRESETS[options.preset], options
        self.vae, self.networks, self.state = load_trained(self.preset, options.out, average=not options.raw)
        self.tokens = PromptTokens(options.out, self.preset.t5_length)
        self.anchor = Anchor(torch.load(options.out / "anchor.pt"))

    def decode(self, latents):
        return torch.cat([(self.vae.decode(part).sample / 2 + 0.5).clamp(0, 1) for part in latents.split(DECODE_AT_ONCE)])

    def encode(self, pictures):
        return torch.cat([self.vae.encode(part * 2 - 1).latent_dist.mean for part in pictures.split(DECODE_AT_ONCE)])

    def views(self, pictures):
        return torch.stack([scenes.to_view(picture, self.preset.siglip["image_size"]) for picture in pictures])

    def generate(self, prompts, pictures=None, frame=None, seed=0, **changes):
        """Pictures of the frame's size; sources may have any size."""
        arguments = {"steps": self.options.steps, "guidance": self.options.guidance, **changes}
        views = None if pictures is None else self.views(pictures)
        start, parts = arguments.pop("start", None), []
        for first in range(0, len(prompts), 16):
            part = slice(first, first + 16)
            parts.append(sample(self.networks, self.tokens, prompts[part], frame or self.frame, None if views is None else views[part],
                                seed=seed + 1000 * first, start=None if start is None else start[part], **arguments))  # fmt: skip
        return self.decode(torch.cat(parts))

    @property
    def frame(self):
        return Frame(self.options.size, self.options.size)

    def two_pass(self, prompts, pictures, side, seed=0):
        """Generate at the native size, enlarge, refine by image-to-image: for sizes above the native one.

        As the engine does it: the small picture's time shift, and as many steps as the strength's share, rounded up.
        """
        native = Frame(self.preset.native_side, self.preset.native_side)
        small = self.generate(prompts, pictures, native, seed)
        large = functional.interpolate(small, (side, side), mode="bicubic", antialias=True).clamp(0, 1)
        strength = self.preset.refine_strength
        run = math.ceil(self.options.steps * strength)
        steps = max(run, round(run / strength))
        # a little more than the share, so that rounding down leaves the steps that are meant
        return self.generate(prompts, pictures, Frame(side, side), seed + 1, start=self.encode(large), steps=steps,
                             strength=(run + 0.5) / steps, shift_tokens=native.whole_tokens())  # fmt: skip


def paint_all(specs, frame, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([paint(spec, frame.height, frame.width, generator) for spec in specs])


def variations(model, rng, specs, results):
    sources = paint_all(specs, model.frame)
    ideal = [paint_all([variation.perturb(rng, s, model.preset.variation_amount) for s in specs], model.frame, seed) for seed in (1, 2)]
    nothing = [""] * len(specs)
    first, second = model.generate(nothing, sources), model.generate(nothing, sources, seed=1)
    results["retrieval"] = {
        "seed 0": measures.retrieval(first, sources), "seed 1": measures.retrieval(second, sources),
        "ideal": measures.retrieval(ideal[0], sources), "chance": 1 / len(specs),
    }  # fmt: skip
    results["layout correlation"] = {
        "seed 0": measures.layout_correlation(first, sources), "ideal": measures.layout_correlation(ideal[0], sources),
        "other source": measures.layout_correlation(first, sources.roll(1, 0)),
    }  # fmt: skip
    results["seed diversity"] = {
        "model": measures.thumbnail_distance(first, second), "ideal": measures.thumbnail_distance(*ideal),
        "to source": measures.thumbnail_distance(first, sources), "other source": measures.thumbnail_distance(first, first.roll(1, 0)),
    }  # fmt: skip
    return sources, first, second


def first_look(model, rng, specs, results, count=12):
    """What one step from pure noise has read off the sources, 1 being all that they tell about their variations.

    The best that a first step can do is the mean of all variations; the mean of all pictures would be 0.
    """
    sources = paint_all(specs, model.frame)
    painted = [paint_all([variation.perturb(rng, s, model.preset.variation_amount) for s in specs], model.frame, seed) for seed in range(count)]
    latents = torch.stack([model.anchor.encode(p) for p in painted])
    mean = latents.mean(0)
    best = ((latents - mean) ** 2).mean().item() * count / (count - 1)
    blind = ((latents - latents.mean((0, 1, 3, 4), keepdim=True)) ** 2).mean().item()
    drawn = sample(model.networks, model.tokens, [""] * len(specs), model.frame, model.views(sources), steps=1, guidance=1.0)
    error = ((drawn - latents) ** 2).mean().item()
    results["first look"] = {"read": (blind - error) / (blind - best), "error": error, "best": best, "blind": blind}


def colour_words(model, sources, plain, results):
    count = min(len(sources), 36)
    words = [TINT_WORDS[index % len(TINT_WORDS)] for index in range(count)]
    tinted = model.generate(words, sources[:count])

    def obeyed(pictures):
        return float(np.mean([measures.same_colour(w, c) for w, c in zip(words, measures.dominant_colours(pictures), strict=True)]))

    results["colour word"] = {"obeyed": obeyed(tinted), "without the word": obeyed(plain[:count]),
                              "layout kept": measures.layout_correlation(tinted, sources[:count])}  # fmt: skip
    return words, tinted


def styles(model, sources, plain, results):
    count = min(len(sources), 36)
    night = model.generate(["night"] * count, sources[:count])
    grey = model.generate(["black and white"] * count, sources[:count])
    bright = measures.mean_lightness(plain[:count]) > 30
    colourful = measures.mean_chroma(plain[:count]) > 15
    darker = measures.mean_lightness(night) < 0.7 * measures.mean_lightness(plain[:count])
    paler = measures.mean_chroma(grey) < 0.4 * measures.mean_chroma(plain[:count])
    results["night"] = {"darker": darker[bright].float().mean().item(), "layout kept": measures.layout_correlation(night, sources[:count])}
    results["black and white"] = {"less coloured": paler[colourful].float().mean().item()}


def text_only(model, results):
    words = ("red", "green", "blue", "yellow", "white", "black")
    prompts = [f"a {front} circle on a {back} background" for back in words for front in words if front != back]
    pictures = model.generate(prompts)
    rng = np.random.default_rng(0)
    from afterimage_demo.colours import named_colour

    means = torch.tensor(np.array([np.mean([named_colour(rng, word) for _ in range(16)], 0) for word in words]), dtype=torch.float32)
    references = measures.lab(means[:, :, None, None])[:, :, 0, 0]
    space, tenth = measures.lab(pictures), pictures.shape[2] // 10
    middle = pictures.shape[2] // 2
    edge = torch.cat([space[:, :, :tenth].flatten(2), space[:, :, -tenth:].flatten(2)], 2).median(2).values
    centre = space[:, :, middle - tenth : middle + tenth, middle - tenth : middle + tenth].flatten(2).median(2).values

    def hit(values, position):
        nearest = torch.cdist(values, references).argmin(1)
        return float(np.mean([words[i] == prompt.split()[position] for i, prompt in zip(nearest, prompts, strict=True)]))

    results["text only"] = {"object": hit(centre, 1), "background": hit(edge, -2), "chance": 1 / 6}
    return pictures


def autoencoder(model, results, photographs):
    _, specs = scenes.held_out(16, seed=4711)
    painted = paint_all(specs, Frame(256, 256))
    results["vae"] = {"painted 256": measures.psnr(model.decode(model.encode(painted)), painted)}
    pictures = [load_picture(path) for path in photographs]
    if not pictures:
        rng = np.random.default_rng(4712)
        pictures = list(paint_all([variation.out_of_focus(rng) for _ in range(4)], Frame(512, 512)))
        # fine grain: what a camera adds and the painter does not
        pictures = [(p + 0.01 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1) for p in pictures]
    values = [measures.psnr(model.decode(model.encode(p[None])), p[None]) for p in pictures]
    results["vae"]["photograph-like 512"] = float(np.mean(values))


def image_to_image(model, sources, results):
    count = min(16, len(sources))
    latents, outputs = model.encode(sources[:count]), {}
    for strength in (0.3, 0.6, 0.9):
        outputs[strength] = model.generate([""] * count, start=latents, strength=strength)
    results["image-to-image"] = {str(s): measures.psnr(y, sources[:count]) for s, y in outputs.items()}
    return outputs


def larger(model, specs, results, sides):
    for side in sides:
        sources = paint_all(specs[:16], Frame(side, side))
        generated = model.two_pass([""] * len(sources), sources, side)
        results[f"retrieval {side}"] = {"model": measures.retrieval(generated, sources), "chance": 1 / len(sources)}
        yield side, sources, generated


def load_picture(path):
    """A photograph, cropped to multiples of 16 and at most 512 px: [3, height, width]."""
    image = Image.open(path).convert("RGB")
    image.thumbnail((512, 512), Image.LANCZOS)
    width, height = (side // 16 * 16 for side in image.size)
    return torch.from_numpy(np.array(image.crop((0, 0, width, height)))).permute(2, 0, 1).float() / 255


def save_grid(rows, path, side=128):
    """Rows of pictures, each [3, height, width], scaled to squares."""
    small = [torch.cat([functional.interpolate(x[None], (side, side), mode="bilinear", antialias=True)[0] for x in row], 2) for row in rows]
    pixels = (torch.cat(small, 1).clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, optimize=True)


def report(results):
    for name, values in results.items():
        print(f"{name:20}", "  ".join(f"{key} {value:.3g}" for key, value in values.items()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("work"))
    parser.add_argument("--preset", choices=list(PRESETS), default="cpu")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--count", type=int, default=64, help="held-out sources")
    parser.add_argument("--steps", type=int, default=28)
    parser.add_argument("--guidance", type=float, default=3.5)
    parser.add_argument("--quick", action="store_true", help="32 sources, 12 steps, variations and colour words only")
    parser.add_argument("--raw", action="store_true", help="the weights themselves instead of their average")
    parser.add_argument("--large", type=int, nargs="*", default=[512, 1024], help="sizes for two-pass generation")
    parser.add_argument("--photographs", type=Path, nargs="*", default=[], help="pictures for the autoencoder figure")
    parser.add_argument("--grids", type=Path, help="folder for sample grids and the figures as JSON")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if options.quick:
        options.count, options.steps = min(options.count, 32), min(options.steps, 12)
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    model, results = Model(options), {}
    print(f"step {model.state['step']}, {model.state['hours']:.2f} h")
    rng, specs = scenes.held_out(options.count)
    sources, first, second = variations(model, rng, specs, results)
    first_look(model, np.random.default_rng(5), specs[:32], results)
    _, tinted = colour_words(model, sources, first, results)
    grids = {"variations": [row for row in zip(sources[:16], first, second, tinted, strict=False)]}
    if not options.quick:
        styles(model, sources, first, results)
        drawn = text_only(model, results)
        grids["text"] = [list(drawn[i * 6 : i * 6 + 6]) for i in range(5)]
        autoencoder(model, results, options.photographs)
        outputs = image_to_image(model, sources, results)
        grids["image-to-image"] = [[sources[i], *(y[i] for y in outputs.values())] for i in range(8)]
        for side, originals, generated in larger(model, specs, results, options.large):
            grids[f"variations-{side}"] = list(zip(originals[:8], generated[:8], strict=True))
    report(results)
    if options.grids:
        for name, rows in grids.items():
            save_grid(rows, options.grids / f"{name}.png")
        path = options.grids / "figures.json"
        path.write_text(json.dumps({**model.state, "figures": results}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
