"""Out-of-memory errors with a batch size that would fit."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from splitnest.device import is_out_of_memory
from splitnest.distributed import world_size
from splitnest.errors import UsageError
from splitnest.recipe import Recipe, Training, required_training
from splitnest.training.memory import USABLE_FRACTION, Memory, estimate_memory, images_per_forward, total_memory


@contextmanager
def plain_memory_errors(recipe: Recipe, device: torch.device, *, built: bool = True) -> Iterator[None]:
    """Replace an out-of-memory error of a training inside the context by one that names a batch size that would fit.

    Args:
        recipe: Recipe of the training.
        device: Device of the training.
        built: Whether the model is that of the recipe, by which its memory is estimated.

    Raises:
        UsageError: Memory ran out.
    """
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)  # frees the tensors of the step
        train_cfg = required_training(recipe)
        if not built:
            raise UsageError(
                f"Memory ran out in a step with {images_per_forward(train_cfg)} images in a forward pass. Reduce "
                f"train.batch_size, or increase train.accumulate."
            ) from error
        raise UsageError(explain(estimate_memory(recipe), train_cfg, device, total_memory(device))) from error


def explain(memory: Memory, train_cfg: Training, device: torch.device, total: int | None) -> str:
    """Return the message for a step that runs out of memory.

    Args:
        memory: Estimate of a step.
        train_cfg: Section ``train`` of the recipe.
        device: Device of the training.
        total: Memory of the device in bytes; None if unknown.
    """
    images = images_per_forward(train_cfg)
    room = images
    if total is not None:
        room = int((USABLE_FRACTION * total - (sum(memory) - memory.activations)) * images / memory.activations)
    fits = max(min(room, images // 2), 0)  # at most half: the estimate may have allowed what just failed
    limit = "" if total is None else f", and {device} has {total / 2**20:.0f} MB"
    text = f"Memory ran out. A step with {images} images in a forward pass takes {memory}{limit}."
    if not fits:
        return f"{text} Not even one image fits. Reduce the input size, or set train.precision=bf16."
    accumulate = next(
        n
        for n in range(1, train_cfg.num_images + 1)
        if train_cfg.num_images % n == 0 and train_cfg.num_images <= n * fits * world_size()
    )
    batch_size = fits * train_cfg.accumulate * world_size()
    return (
        f"{text} About {fits} would fit: set train.batch_size={batch_size} and scale train.lr with it, or keep the "
        f"batch size and set train.accumulate={accumulate}."
    )
