"""Training material: a scene is one spec painted several times; any two of its paintings make a pair.

Painting is what limits a CPU, so every scene is painted four times (the spec itself and three variations of it) and
serves for six ordered pairs (view, target), restyled afresh at each use.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional

from . import variation
from .painting import paint
from .styles import apply_style

VARIATIONS = 3
# width to height of pictures that are squashed into a square; drawn evenly
ASPECTS = (1, 1, 1, 1, 4 / 3, 3 / 2, 16 / 9, 3 / 4, 2 / 3, 9 / 16)


@dataclass(frozen=True)
class Frame:
    """What is painted: a picture of height x width, or a window of it."""

    height: int
    width: int
    window: tuple | None = None  # (top, left, height, width) in pixels, multiples of 16
    largest_sigma: float = 1.0
    squashed: bool = False  # pictures of every shape, each squashed into this frame as the image tower's view is

    @property
    def tokens(self):
        """Token rows and columns."""
        _, _, height, width = self.window or (0, 0, self.height, self.width)
        return height // 16, width // 16

    def positions(self):
        """[tokens, 3] position ids: (0, row, column) in the whole picture, as FLUX numbers them."""
        rows, columns = self.tokens
        top, left = (self.window or (0, 0))[:2]
        ids = torch.zeros(rows, columns, 3)
        ids[..., 1] = (torch.arange(rows) + top // 16)[:, None]
        ids[..., 2] = (torch.arange(columns) + left // 16)[None]
        return ids.view(-1, 3)

    def whole_tokens(self):
        """Token count of the whole picture: what FLUX's time shift depends on."""
        return self.height * self.width // 256


@dataclass(frozen=True)
class Scene:
    pictures: list  # uint8 [3, height, width]; the first is the spec itself
    views: list  # uint8 [3, side, side], squashed to what the image tower sees
    caption: str
    edited: tuple | None  # (picture, prompt) with another background


def to_bytes(picture):
    return (picture * 255).round().to(torch.uint8)


def to_view(picture, side):
    """Squash [3, height, width] (0..1) to the square that the image tower sees; FLUX.1 Redux does the same."""
    if picture.shape[1:] == (side, side):
        return picture
    return functional.interpolate(picture[None], (side, side), mode="bicubic", antialias=True)[0].clamp(0, 1)


def paint_scene(rng, frame, view_side, amount):
    """Sample a spec and paint it with its variations."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    spec = variation.faded(rng, variation.sample_spec(rng))
    specs = [spec] + [variation.perturb(rng, spec, amount) for _ in range(VARIATIONS)]
    aspect = float(rng.choice(ASPECTS)) if frame.squashed else None
    whole = [paint(s, frame.height, frame.width, generator, aspect=aspect) for s in specs] if not frame.window else None
    if whole is None:
        # views need the whole picture, but only small; windows are painted at full size
        ratio = frame.width / frame.height
        small = (view_side, round(view_side * ratio)) if ratio > 1 else (round(view_side / ratio), view_side)
        views = [paint(s, *small, generator) for s in specs]
        pictures = [paint(s, frame.height, frame.width, generator, frame.window) for s in specs]
    else:
        views, pictures = whole, whole
    edited = None
    if spec.family == "shapes" and rng.random() < 0.3:
        word, prompt = variation.background_request(rng)
        other = variation.with_background(rng, specs[1], word)
        edited = (to_bytes(paint(other, frame.height, frame.width, generator, frame.window, aspect)), prompt)
    return Scene([to_bytes(p) for p in pictures], [to_bytes(to_view(v, view_side)) for v in views], spec.caption, edited)


class ScenePool:
    """Scenes of one frame, the oldest replaced first."""

    def __init__(self, rng, frame, view_side, amount, capacity, start):
        self.rng, self.frame, self.view_side, self.amount, self.capacity = rng, frame, view_side, amount, capacity
        self.scenes, self.next = [], 0
        self.paint(start)

    def paint(self, count):
        for _ in range(count):
            self.add(paint_scene(self.rng, self.frame, self.view_side, self.amount))

    def add(self, scene):
        if len(self.scenes) < self.capacity:
            self.scenes.append(scene)
        else:
            self.scenes[self.next % self.capacity] = scene
        self.next += 1

    def batch(self, count, with_view):
        """(targets [count, 3, height, width], views [count, 3, side, side] or None, prompts): 0..1 floats."""
        targets, views, prompts = [], [], []
        for _ in range(count):
            scene = self.scenes[self.rng.integers(len(self.scenes))]
            target, view, prompt = self.pair(scene, with_view)
            targets.append(target)
            views.append(view)
            prompts.append(prompt)
        return torch.stack(targets), torch.stack(views) if with_view else None, prompts

    def plain_pairs(self, count):
        """(targets, views) without any restyling, as `batch` returns them."""
        scenes = [self.scenes[self.rng.integers(len(self.scenes))] for _ in range(count)]
        targets = [scene.pictures[self.rng.integers(1, VARIATIONS + 1)] for scene in scenes]
        return torch.stack(targets).float() / 255, torch.stack([scene.views[0] for scene in scenes]).float() / 255

    def pair(self, scene, with_view):
        """One pair: no prompt 45 %, restyling 45 %, caption 10 % with a view; without one mostly captions."""
        rng = self.rng
        other = int(rng.integers(1, VARIATIONS + 1))
        view_index, target_index = (0, other) if rng.random() < 0.6 else (other, 0)
        target, prompt, draw = scene.pictures[target_index], "", rng.random()
        restyle_share, caption_share = (0.45, 0.1) if with_view else (0.2, 0.65)
        view = scene.views[view_index].float() / 255
        if draw < restyle_share and scene.edited and rng.random() < 0.5:
            target, prompt = scene.edited
            return target.float() / 255, view, prompt
        target = target.float() / 255
        if draw < restyle_share:
            style, colour, prompt = variation.style_request(rng)
            target = apply_style(target, style, colour)
            if with_view and rng.random() < 0.2:
                prompt = f"{scene.caption}, {prompt}"
        elif draw < restyle_share + caption_share:
            prompt = scene.caption
            if not with_view:
                prompt = str(rng.choice(variation.CAPTION_PREFIXES)) + prompt
                if rng.random() < 0.3:
                    style, colour, words = variation.style_request(rng)
                    target, prompt = apply_style(target, style, colour), f"{scene.caption}, {words}"
        return target, view, prompt


def pictures(rng, count, side):
    """[count, 3, side, side] finished pictures of every kind, a third of them restyled, for the autoencoder."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    result = []
    for _ in range(count):
        picture = paint(variation.sample_spec(rng), side, side, generator)
        if rng.random() < 1 / 3:
            style, colour, _ = variation.style_request(rng)
            picture = apply_style(picture, style, colour)
        result.append(picture)
    return torch.stack(result)


def held_out(count, seed=999):
    """Specs that training never sees (another seed of the same painter), for the evaluation."""
    rng = np.random.default_rng(seed)
    return rng, [variation.sample_spec(rng) for _ in range(count)]
