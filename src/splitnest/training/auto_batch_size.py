"""Batch size that fills the memory of a device (``train.batch_size: auto``)."""

import torch

from splitnest.distributed import broadcast_from_main, print_once
from splitnest.errors import UsageError
from splitnest.recipe import Recipe, required_training
from splitnest.recipe import overrides as recipe_overrides
from splitnest.training.memory import USABLE_FRACTION, estimate_memory, total_memory

PROBE = 2
"""Images of the forward pass whose memory is estimated; activations are proportional to their number."""


def with_batch_size(recipe: Recipe, num_samples: int, device: torch.device, processes: int = 1) -> Recipe:
    """Return a recipe with a number in place of ``batch_size: auto``; collective.

    Each forward pass gets the largest power of two of images that fits into memory by the estimate, and no more than
    there are samples.

    Args:
        recipe: Recipe with a training section.
        num_samples: Number of training samples.
        device: Device of the training.
        processes: Number of processes, which share the memory of a CPU.

    Raises:
        UsageError: The memory of the device is unknown, or not even one image fits.
    """
    train_cfg = required_training(recipe)
    if train_cfg.batch_size != "auto":
        return recipe
    total = total_memory(device)
    if total is None:
        raise UsageError("train.batch_size is auto, but the memory of this system is unknown. Set it to a number.")
    if device.type == "cpu":
        total //= processes
    per_image_of_batch = train_cfg.accumulate * processes
    probe = recipe_overrides.apply(recipe, {"train.batch_size": PROBE * per_image_of_batch})
    memory = estimate_memory(probe, processes)
    room = (USABLE_FRACTION * total - (sum(memory) - memory.activations)) * PROBE / max(memory.activations, 1)
    images = broadcast_from_main(lambda: min(int(room), num_samples // per_image_of_batch))
    if images < 1:
        raise UsageError(
            f"train.batch_size is auto, but not even one image for each forward pass fits: a step with {PROBE} images "
            f"takes {memory}, {device} has {total / 2**20:.0f} MB, and there are {num_samples} training samples. "
            f"Reduce the input size, train.accumulate or the number of processes, or set train.precision=bf16."
        )
    images = 2 ** (images.bit_length() - 1)
    recipe = recipe_overrides.apply(recipe, {"train.batch_size": images * per_image_of_batch})
    print_once(
        f"train.batch_size=auto: {images * per_image_of_batch}, {images} in each forward pass; learning rate "
        f"{required_training(recipe).peak_lr:.4g}"
    )
    return recipe
