"""Flow matching: transformer, text encoders, image tower and Redux embedder, trained together from scratch.

x_s = (1 - s) x0 + s noise, target noise - x0, plain mean squared error. Times are logit-normal or uniform with FLUX's own
shift, and a share of them is nearly pure noise, where the layout is decided.
"""

import copy
import math
import os
import signal
import time
from collections import deque
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional

from .flux import encode_prompts, pack, pool_tokens, redux_tokens, shifted, velocity
from .latents import Anchor
from .muon import Muon
from .networks import VIEW_NOISE, build_networks, start_image_tower, start_readout
from .prompt_tokens import PromptTokens, write_tokenizers
from .scenes import ScenePool, pictures
from .workers import Workers

VIEW_SHARE = 0.75  # batches that show a picture
POOLED_SHARE, THINNED_SHARE = 0.2, 0.1  # of those: weakened Redux tokens, as "image strength" knobs serve them
ZERO_TEXT_SHARE = 0.04  # prompt-less batches with zeros, as diffusers does without text encoders
HIGH_NOISE_SHARE, UNIFORM_SHARE = 0.2, 0.15
ENLARGED_SHARE = 0.7  # of the windows: they start from an enlarged small picture, as the second pass does
WARM_UP = 60
REPORT_EVERY, SAVE_EVERY_SECONDS = 50, 240


class Clock:
    """Hours spent: process time on a CPU (a paused or contended run keeps its schedule), wall time on a GPU."""

    def __init__(self, device):
        self.now = time.process_time if device == "cpu" else time.monotonic
        self.last = self.now()

    def hours(self):
        """Hours since the last call."""
        before, self.last = self.last, self.now()
        return (self.last - before) / 3600


class Material:
    """Pools of scenes for the frames of the current phase; painted when first drawn."""

    def __init__(self, preset, rng, scene_rng):
        self.preset, self.rng, self.scene_rng, self.pools = preset, rng, scene_rng, {}

    def draw(self, hours):
        phase = next(p for p in self.preset.phases if hours < p.until)
        shares = np.array([share for _, share in phase.rows])
        frames = phase.rows[self.rng.choice(len(shares), p=shares / shares.sum())][0]
        frame = frames[self.rng.integers(len(frames))]
        fresh = 1 if frame.window else self.preset.scenes_per_step  # windows of large pictures are slow to paint
        if frame not in self.pools:
            # rare frames keep few scenes: memory and the painting before the first batch
            self.pools[frame] = ScenePool(self.scene_rng, frame, self.preset.siglip["image_size"], self.preset.variation_amount,
                                          self.preset.pool_capacity, max(8, self.preset.pool_start // len(frames)))  # fmt: skip
            fresh = 0
        pool = self.pools[frame]
        pool.paint(fresh)
        rows, columns = frame.tokens
        context = self.preset.t5_length + (self.preset.siglip["image_size"] // self.preset.siglip["patch_size"]) ** 2
        count = max(self.preset.smallest_batch, self.preset.tokens_per_batch // (rows * columns + context))
        with_view = self.rng.random() < VIEW_SHARE
        return frame, with_view, pool.batch(count, with_view)


class FlowTraining:
    """`workers` share one model: what a step is about is drawn from `rng`, equal in all of them, its pictures from `scene_rng`."""

    def __init__(self, preset, folder, device="cpu", seed=0, workers=None):
        self.preset, self.folder, self.device, self.seed = preset, Path(folder), device, seed
        self.workers = workers or Workers()
        torch.manual_seed(seed)
        self.rng = np.random.default_rng(seed + 1)
        if not (self.folder / "tokenizer_2/tokenizer.json").exists():
            write_tokenizers(self.folder, preset.t5_length)
        self.tokens = PromptTokens(self.folder, preset.t5_length)
        self.anchor = Anchor(torch.load(self.folder / "anchor.pt"), device)
        networks = build_networks(preset, self.folder)
        self.networks, self.step, self.hours = networks.to(device), 0, 0.0
        self.losses = deque(maxlen=400)

    def begin(self):
        views = pictures(self.rng, 300, self.preset.siglip["image_size"]) * 2 - 1
        start_image_tower(self.networks, self.preset, views)
        self.start_last_layer()
        self.after_weights()

    @torch.no_grad()
    def start_last_layer(self, batches=12):
        """Fit the last layer to pictures of the native frame, so that training starts from what the link alone can tell."""
        frame = self.preset.phases[-1].rows[0][0][0]
        pool = ScenePool(self.rng, frame, self.preset.siglip["image_size"], self.preset.variation_amount, 10**6, 64)
        seen, wanted = [], []
        hook = self.networks["transformer"].proj_out.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].flatten(0, 1).cpu()))
        for _ in range(batches):
            targets, views = pool.plain_pairs(16)
            clean = pack(self.anchor.encode(targets.to(self.device)))
            sigmas, noise = torch.rand(len(clean), device=self.device).lerp(torch.ones(1, device=self.device), 0.7), torch.randn_like(clean)
            x = torch.lerp(clean, noise, sigmas[:, None, None])
            condition = self.condition(self.networks, [""] * len(clean), views.to(self.device), (0, None), False)
            velocity(self.networks, x, sigmas, torch.ones_like(sigmas), *condition, frame.positions().to(self.device))
            wanted.append((noise - clean).flatten(0, 1).cpu())
        hook.remove()
        start_readout(self.networks, torch.cat(seen), torch.cat(wanted))

    def after_weights(self):
        self.average = copy.deepcopy(self.networks).eval().requires_grad_(False)
        self.optimiser = Muon(self.networks, self.preset.learning_rate, self.workers)

    @property
    def checkpoint(self):
        return self.folder / "flow.pt"

    def save(self):
        state = dict(
            networks=self.networks.state_dict(), average=self.average.state_dict(), optimiser=self.optimiser.state_dict(),
            step=self.step, hours=self.hours, numpy_rng=self.rng.bit_generator.state,
        )  # fmt: skip
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, self.checkpoint)  # a run that is killed while saving keeps the previous checkpoint

    def resume(self):
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=False)
        self.after_weights()
        self.networks.load_state_dict(state["networks"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.hours = state["step"], state["hours"]
        self.rng.bit_generator.state = state["numpy_rng"]

    def rate_factor(self, hours):
        """Warm-up, constant, and a linear fall over the last part of the schedule."""
        left = max(0.0, 1 - hours / self.preset.hours) / self.preset.cooldown
        return min(1.0, (self.step + 1) / WARM_UP, max(0.03, left))

    def sigmas(self, count, frame):
        draw = self.rng.random()
        if draw < HIGH_NOISE_SHARE and frame.largest_sigma == 1:
            return 0.85 + 0.15 * torch.rand(count, device=self.device)
        if draw < HIGH_NOISE_SHARE + UNIFORM_SHARE:
            base = torch.rand(count, device=self.device).clamp(0.001, 0.999)
        else:
            base = torch.sigmoid(torch.randn(count, device=self.device))
        return shifted(base, frame.whole_tokens()) * frame.largest_sigma

    def weakening(self):
        """How the Redux tokens of a batch are weakened: (pooled side or 0, kept tokens or None)."""
        grid, draw = self.preset.siglip["image_size"] // self.preset.siglip["patch_size"], self.rng.random()
        if draw < POOLED_SHARE:
            return int(self.rng.integers(2, grid)), None
        if draw < POOLED_SHARE + THINNED_SHARE:
            return 0, torch.randperm(grid * grid)[: int(grid * grid * self.rng.uniform(0.4, 1))]
        return 0, None

    def condition(self, networks, prompts, views, weakening, zero_text):
        states, pooled = encode_prompts(networks, self.tokens, prompts, self.device)
        if zero_text:
            states, pooled = states * 0, pooled * 0
        if views is not None:
            side, kept = weakening
            redux = redux_tokens(networks, views)
            redux = pool_tokens(redux, side) if side else redux if kept is None else redux[:, kept]
            states = torch.cat([states, redux], 1)
        return states, pooled

    @torch.no_grad()
    def guided_target(self, x, sigmas, guidance, condition, positions):
        """What classifier-free guidance of the averaged model would say; the guidance embedding learns it."""
        one = torch.ones_like(guidance)
        with_condition = velocity(self.average, x, sigmas, one, *condition, positions)
        nothing = self.condition(self.average, [""] * len(x), None, None, False)
        without = velocity(self.average, x, sigmas, one, *nothing, positions)
        gain = self.preset.guidance_gain * (guidance - 1)
        return with_condition + gain[:, None, None] * (with_condition - without)

    def enlarged(self, targets, frame):
        """Packed latents of the targets as an enlarged picture of the native size shows them."""
        shrink = self.preset.native_side / math.sqrt(frame.height * frame.width)
        small = functional.interpolate(targets, scale_factor=shrink, mode="bicubic", antialias=True)
        large = functional.interpolate(small, targets.shape[2:], mode="bicubic", antialias=True)
        return pack(self.anchor.encode(large.clamp(0, 1)))

    def refining(self, clean, enlarged, noise):
        """(sigmas, x, target) on the straight way from a noised enlarged picture to the sharp one.

        So the second pass learns to add what enlarging lost; on the way to the enlarged picture itself it would not.
        """
        native = torch.tensor(self.preset.refine_strength)
        first = float(shifted(native, (self.preset.native_side // 16) ** 2)) * self.rng.uniform(0.8, 1.15)
        share = 0.02 + 0.98 * torch.rand(len(clean), device=self.device)
        start = (1 - first) * enlarged + first * noise
        return first * share, torch.lerp(clean, start, share[:, None, None]), (start - clean) / first

    def batch_loss(self, frame, targets, views, prompts, distil_started):
        device, count = self.device, len(prompts)
        clean = pack(self.anchor.encode(targets.to(device)))
        if views is not None:
            views = views.to(device)
            views = views + VIEW_NOISE * torch.randn_like(views)
        sigmas, noise = self.sigmas(count, frame), torch.randn_like(clean)
        x = (1 - sigmas[:, None, None]) * clean + sigmas[:, None, None] * noise
        target = noise - clean
        enlarged = frame.window is not None and self.rng.random() < ENLARGED_SHARE
        if enlarged:
            sigmas, x, target = self.refining(clean, self.enlarged(targets.to(device), frame), noise)
        positions = frame.positions().to(device)
        weakening = self.weakening()
        zero_text = self.rng.random() < ZERO_TEXT_SHARE and not any(prompts)
        distil = distil_started and self.rng.random() < self.preset.distil_share and not enlarged
        guidance = torch.ones(count, device=device)
        if distil or enlarged or not distil_started:  # where it is not distilled, the guidance value must not matter
            guidance = guidance + 5 * torch.rand(count, device=device)
        if distil:
            condition = self.condition(self.average, prompts, views, weakening, zero_text)
            target = self.guided_target(x, sigmas, guidance, condition, positions)
        condition = self.condition(self.networks, prompts, views, weakening, zero_text)
        result = velocity(self.networks, x, sigmas, guidance, *condition, positions)
        loss = functional.mse_loss(result.float(), target.float())
        if not distil:
            kind = ("text", "image")[views is not None] + ("-window" if frame.window else "")
            self.losses.append((kind, loss.item()))
        return loss

    def train(self, until_hours):
        """Train until the schedule or `until_hours` is over, saving every few minutes."""
        own = [self.seed, self.workers.rank, self.step]  # a resumed run sees new pictures, not the first ones again
        torch.manual_seed(int(np.random.SeedSequence(own).generate_state(1)[0]))
        material, clock = Material(self.preset, self.rng, np.random.default_rng(own)), Clock(self.device)
        saved = reported = time.monotonic()
        asked, stopped = [], False
        signal.signal(signal.SIGTERM, lambda *_: asked.append(True))  # a stop request saves first
        parameters, averages = list(self.networks.parameters()), list(self.average.parameters())
        self.workers.agree([*parameters, *averages])
        while not stopped and self.hours < min(until_hours, self.preset.hours):
            frame, with_view, (targets, views, prompts) = material.draw(self.hours)
            with torch.autocast(self.device.split(":")[0], dtype=torch.bfloat16, enabled=self.preset.autocast):
                loss = self.batch_loss(frame, targets, views if with_view else None, prompts, self.hours > self.preset.distil_from)
            loss.backward()
            spent, stopped = self.workers.average_gradients(parameters, clock.hours(), float(bool(asked)))
            self.optimiser.step(self.rate_factor(self.hours))
            self.hours += spent
            self.step += 1
            keep = min(self.preset.average, (self.step + 1) / (self.step + 12))
            with torch.no_grad():
                torch._foreach_lerp_(averages, parameters, 1 - keep)
            if self.step % REPORT_EVERY == 0:
                self.workers.agree([*parameters, *averages])
                self.report(self.hours, time.monotonic() - reported)
                reported = time.monotonic()
            if time.monotonic() - saved > SAVE_EVERY_SECONDS and self.workers.rank == 0:
                self.save()
                saved = time.monotonic()
        if self.workers.rank == 0:
            self.save()

    def report(self, hours, seconds):
        if self.workers.rank > 0:
            return
        kinds = {}
        for kind, loss in self.losses:
            kinds.setdefault(kind, []).append(loss)
        means = "  ".join(f"{kind} {np.mean(values[-100:]):.4f}" for kind, values in sorted(kinds.items()))
        print(f"step {self.step}  {hours:.3f} h  {seconds / REPORT_EVERY:.2f} s/step  {means}", flush=True)
