"""Several processes that train one model: each takes its own pictures, gradients are averaged after every step.

One thread per process is quicker than several threads in one (their barriers wait for the slowest core).
"""

import os
import tempfile
from pathlib import Path

import torch
import torch.distributed as distributed
import torch.multiprocessing as multiprocessing


class Workers:
    """What one of `count` equal processes says to the others; alone it says nothing."""

    def __init__(self, rank=0, count=1):
        self.rank, self.count = rank, count

    def sum(self, values):
        """Sum a tensor over all processes, in place; all of them get the same bits."""
        if self.count > 1:
            distributed.all_reduce(values)
        return values

    def average_gradients(self, parameters, *totals):
        """Average the gradients over all processes and return the sums of the numbers in `totals`."""
        if self.count == 1:
            return totals
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([*(g.flatten() for g in gradients), gradients[0].new_tensor(totals)])
        self.sum(flat)
        parts = flat[: -len(totals)].div_(self.count).split([g.numel() for g in gradients])
        torch._foreach_copy_(gradients, [part.view_as(g) for part, g in zip(parts, gradients, strict=True)])
        return flat[-len(totals) :].tolist()

    @torch.no_grad()
    def agree(self, tensors):
        """Everybody takes the first process's values: rounding must not let the copies drift apart."""
        if self.count > 1:
            flat = torch.cat([t.flatten() for t in tensors])
            distributed.broadcast(flat, 0)
            for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
                tensor.copy_(part.view_as(tensor))


def _member(rank, count, meeting, task, arguments):
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=count)
    task(Workers(rank, count), *arguments)
    distributed.destroy_process_group()


def run_together(count, task, *arguments):
    """Run `task(workers, *arguments)` in `count` processes, the first of them this one."""
    if count == 1:
        task(Workers(), *arguments)
        return
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        meeting = Path(folder, "meeting").resolve()
        others = [context.Process(target=_member, args=(rank, count, meeting, task, arguments), daemon=True) for rank in range(1, count)]
        for process in others:
            process.start()
        _member(0, count, meeting, task, arguments)
        for process in others:
            process.join()
