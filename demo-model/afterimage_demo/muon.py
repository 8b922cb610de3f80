"""Muon (Jordan et al. 2024) for hidden matrices, AdamW for embeddings, modulations and in/out projections."""

import math

import torch
from torch import nn

# these are read one row at a time or meet data directly; orthogonal updates do not suit them
NOT_HIDDEN = ("norm.linear", "norm1.linear", "norm1_context", "norm_out", "embedding", "shared", "relative", "x_embedder",
              "time_text", "transformer.proj_out", "conv_in", "conv_out")  # fmt: skip
# start as principal components with small entries: Adam's constant step would wipe them out
GENTLE = ("patch_embedding", "position_embedding")
NEWTON_SCHULZ = (3.4445, -4.775, 2.0315)


def orthogonalise(stack, steps=5):
    """Nearest semi-orthogonal matrices of a stack [count, rows, columns], by Newton-Schulz iteration."""
    flipped = stack.shape[1] > stack.shape[2]
    x = stack.transpose(1, 2) if flipped else stack
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = NEWTON_SCHULZ
    for _ in range(steps):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.transpose(1, 2) if flipped else x


class Muon:
    """Both optimisers behind one step; gradients are clipped to norm 1 together. `workers` divide the iteration."""

    def __init__(self, module, learning_rate, workers, weight_decay=0.01, momentum=0.95):
        self.workers = workers
        hidden, rest, gentle = {}, [], []
        for name, parameter in module.named_parameters():
            if any(part in name for part in GENTLE):
                gentle.append(parameter)
            elif parameter.ndim in (2, 4) and not any(part in name for part in NOT_HIDDEN):
                hidden[name] = parameter
            else:
                rest.append(parameter)
        self.hidden, self.learning_rate, self.weight_decay, self.momentum = hidden, learning_rate, weight_decay, momentum
        self.buffers = {name: torch.zeros_like(p) for name, p in hidden.items()}
        self.adam = torch.optim.AdamW(
            [dict(params=rest, scale=1.0), dict(params=gentle, scale=0.05)], lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.0
        )
        self.parameters = [*hidden.values(), *rest, *gentle]

    @torch.no_grad()
    def step(self, factor):
        """One update with the learning rate times `factor`."""
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        shapes = {}
        for name, parameter in self.hidden.items():
            if parameter.grad is not None:
                shapes.setdefault((parameter.shape[0], parameter[0].numel()), []).append(name)
        rate = self.learning_rate * factor
        for shape, names in shapes.items():
            stack = torch.stack([self.hidden[name].grad.reshape(shape) for name in names])
            for index, name in enumerate(names):
                buffer = self.buffers[name].view(shape)
                buffer.lerp_(stack[index], 1 - self.momentum)
                stack[index].lerp_(buffer, self.momentum)
            own = slice(self.workers.rank, None, self.workers.count)
            updates = torch.zeros_like(stack)
            updates[own] = orthogonalise(stack[own])
            self.workers.sum(updates)
            for index, name in enumerate(names):
                parameter = self.hidden[name]
                parameter.mul_(1 - rate * self.weight_decay)
                parameter.sub_(updates[index].reshape(parameter.shape), alpha=rate * 0.2 * math.sqrt(max(shape)))
        for group in self.adam.param_groups:
            group["lr"] = rate * group["scale"]
        self.adam.step()
        for parameter in self.parameters:
            parameter.grad = None

    def state_dict(self):
        return {"buffers": self.buffers, "adam": self.adam.state_dict()}

    def load_state_dict(self, state):
        for name, buffer in state["buffers"].items():
            self.buffers[name].copy_(buffer)
        self.adam.load_state_dict(state["adam"])
