"""Several processes that train or evaluate together, by torch's process groups; one process is the plain case.

W processes; the rank of each is from 0 to W - 1. What is collective must be called by all of them, in the same order.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from splitnest.errors import SplitnestError

T = TypeVar("T")

TIMEOUT = timedelta(minutes=30)
"""How long a process waits for the others: the first may be writing a checkpoint or drawing pictures."""

GRACE_S = 3.0
"""How long a process that lost another one waits, so that whoever started them learns of the other one first."""


class PeerLostError(SplitnestError):
    """Another process ended in the middle of common work."""


def are_asked_for() -> bool:
    """Whether this is one of several processes that ``torchrun`` started."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextmanager
def together() -> Iterator[None]:
    """Join the other processes that ``torchrun`` started, and leave them at the end; nothing for one process.

    Tensors on the CPU go through gloo, those on CUDA through NCCL.

    Raises:
        PeerLostError: Another process ended, so this one cannot go on.
    """
    if not are_asked_for() or dist.is_initialized():
        yield
        return
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(local_rank())
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=TIMEOUT)
    try:
        yield
    except RuntimeError as error:
        if not any(word in str(error) for word in ("gloo", "NCCL", "Connection")):
            raise
        time.sleep(GRACE_S)
        raise PeerLostError("Another process ended, so this one does, too. See what it said.") from error
    finally:
        dist.destroy_process_group()


def world_size() -> int:
    """Return how many processes work together; 1 where there is no process group."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return which of them this is."""
    return dist.get_rank() if dist.is_initialized() else 0


def local_rank() -> int:
    """Return which of the processes on this machine this is, and so which of its GPUs it has."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return rank() == 0


def say(text: str) -> None:
    """Print a line, once for all processes."""
    if is_first():
        print(text, flush=True)


def mean_count(count: int | Tensor, like: Tensor, least: int = 1) -> Tensor | float:
    """Return the mean over all processes of what a loss is divided by; collective.

    Gradients are averaged over processes, so a sum that is divided by the mean count has the gradient that one process
    has on the images of all.

    Args:
        count: Of this process.
        like: Tells the device.
        least: Of the counts of all processes together.
    """
    if not dist.is_initialized():
        return count.clamp(min=least) if isinstance(count, Tensor) else max(count, least)
    total = torch.as_tensor(count, dtype=torch.float64, device=like.device).clone()
    dist.all_reduce(total)
    return total.clamp(min=least) / world_size()


def mean_of(values: Tensor) -> Tensor:
    """Return the mean of a tensor over all processes; collective."""
    if not dist.is_initialized():
        return values
    total = values.detach().clone()
    dist.all_reduce(total)
    return total / world_size()


def mean_where(values: Tensor, counts: bool) -> Tensor:
    """Return the mean of a tensor over the processes where it counts; their own where it counts in none; collective."""
    if not dist.is_initialized():
        return values
    total = torch.cat([values.detach().flatten() * counts, values.new_tensor([counts])])
    dist.all_reduce(total)
    return (total[:-1] / total[-1]).view_as(values) if total[-1] else values


def largest(*values: int) -> list[int]:
    """Return the largest of each number over all processes; collective."""
    if not dist.is_initialized():
        return list(values)
    found = torch.tensor(values)
    dist.all_reduce(found, dist.ReduceOp.MAX)
    return found.tolist()


def gathered(value: T) -> list[T]:
    """Return the values of all processes, in the order of their ranks, to the first; nothing to the others; collective.

    Values are pickled: give compact ones.
    """
    if not dist.is_initialized():
        return [value]
    found: list[Any] | None = [None] * world_size() if is_first() else None
    dist.gather_object(value, found)
    return found or []


def from_first(make: Callable[[], T]) -> T:
    """Return to all processes what ``make`` returns to the first, which alone calls it; collective."""
    if not dist.is_initialized():
        return make()
    values: list[Any] = [make() if is_first() else None]
    dist.broadcast_object_list(values)
    found: T = values[0]
    return found
