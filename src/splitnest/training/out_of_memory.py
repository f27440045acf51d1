"""What is said when memory runs out: which batch size would fit."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from splitnest.errors import UsageError
from splitnest.processes import world_size
from splitnest.recipe import Recipe, Training
from splitnest.training.memory import Memory, estimate, images_at_once

USABLE = 0.8
"""Share of the memory that an estimated step may take; the rest is for workspaces and for the libraries themselves."""

CPU_REFUSALS = ("can't allocate memory", "not enough memory")
"""What torch's CPU allocator says in a RuntimeError, on Linux and on Windows (``c10/core/impl/alloc_cpu.cpp``)."""


@contextmanager
def plain_memory_errors(recipe: Recipe, facts: Training, device: torch.device) -> Iterator[None]:
    """Say which batch size would fit when a training inside runs out of memory.

    Args:
        recipe: Of the training.
        facts: Its section ``train``.
        device: That trains.

    Raises:
        UsageError: Memory ran out.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)  # which hold the tensors of the step
        raise UsageError(explain(estimate(recipe, facts), facts, device, total_memory(device))) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is no memory left, of a GPU or of the machine."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in CPU_REFUSALS)


def explain(memory: Memory, facts: Training, device: torch.device, total: int | None) -> str:
    """Return what to change when a step runs out of memory.

    Args:
        memory: Estimate of a step.
        facts: Section ``train`` of the recipe.
        device: That trains.
        total: Bytes that it has; None where the system does not tell.
    """
    part = images_at_once(facts)
    room = (
        part
        if total is None
        else int((USABLE * total - (sum(memory) - memory.activations)) * part / memory.activations)
    )
    fits = max(min(room, part // 2), 0)  # what the estimate takes for possible was not
    known = "" if total is None else f", and {device} has {total / 2**20:.0f} MB in all"
    text = f"Memory ran out. A step with {part} images in a forward pass takes {memory}{known}."
    if not fits:
        return f"{text} Not even one image would fit: make the input smaller, or set train.precision=bf16."
    divisor = next(
        n
        for n in range(1, facts.batch_size + 1)
        if facts.batch_size % n == 0 and facts.batch_size <= n * fits * world_size()
    )
    largest = fits * facts.accumulate * world_size()
    return (
        f"{text} By the estimate {fits} would fit: set train.batch_size={largest}, and the learning "
        f"rate in proportion, or keep the batch and set train.accumulate={divisor}."
    )


def total_memory(device: torch.device) -> int | None:
    """Return the bytes of memory that a process may have on ``device``; None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    if sys.platform == "win32":
        return None
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return installed if limit == resource.RLIM_INFINITY else min(limit, installed)
