"""First recipe of image classification."""

import math
from collections.abc import Iterator
from typing import Any

from splitnest.data.recognition.recognized import Recognized
from splitnest.training.starting_recipe.detection import starting_weights
from splitnest.training.starting_recipe.entry import Entry
from splitnest.training.starting_recipe.machine import Machine
from splitnest.training.starting_recipe.semantic import image_sides

BASE, SMALL_BASE = "resnest50_imagenet.official", "resnest14d_imagenet.timm"

SMALL_BATCH = 50
SMALL_SIDE = 112
SMALL_ITERATIONS = 2400
"""Number of iterations at 32 pixels; larger images take fewer."""

GB_PER_IMAGE = 0.12
"""Memory in GB that an image of 224 pixels needs in training."""


def small_entries(recognized: Recognized, num_images: int, machine: Machine) -> Iterator[Entry]:
    """Yield the entries of a small classifier that trains on a CPU."""
    short, _ = image_sides(recognized)
    size = max(32, min(SMALL_SIDE, short // 16 * 16))
    stride = 2 if size < 64 else 4
    batch = max(2, min(SMALL_BATCH, num_images // 4))
    iterations = SMALL_ITERATIONS if size < 64 else SMALL_ITERATIONS // 2
    epochs = max(10, min(200, math.ceil(iterations * batch / num_images)))
    yield Entry("model.backbone.planes", 32, f"half the published width, for {machine}")
    yield Entry("model.backbone.stem_width", 16)
    yield Entry("model.backbone.stem_stride", stride, "half the published one, for small images" if stride == 2 else "")
    yield Entry("input.size", size, f"images have a short side of {short} pixels")
    yield Entry("input.crop_fraction", 1.0, "whole images are classified")
    yield Entry("train.batch_size", batch, "images of an iteration")
    yield Entry("train.epochs", epochs, f"{math.ceil(num_images / batch) * epochs} iterations over {num_images} images")
    lr = 0.1 * batch / SMALL_BATCH
    yield Entry("train.lr", float(f"{lr:.3g}"), f"0.1 for {SMALL_BATCH} images, in proportion")
    yield Entry("train.weight_decay", 0.0005)
    yield Entry("train.crop_area", [0.4, 1.0], "few images: crops keep most of the object")
    yield Entry("train.policy", "rand_augment", "few images: they are varied")
    yield Entry("train.policy_magnitude", 9)
    yield Entry("train.drop_block", 0.0)
    yield Entry("train.evaluate_every", max(1, epochs // 10), "epochs; the best model is best.pt")
    yield Entry("train.save_every", max(1, epochs // 10), "epochs; an interrupted training resumes from there")
    yield Entry("train.workers", 0 if size < 64 else 1)
    yield Entry("train.init_from", None, "from scratch: no published weights fit this small network")


def full_entries(
    recognized: Recognized, num_images: int, machine: Machine, base: Any, init_from: str | None
) -> Iterator[Entry]:
    """Yield the entries of a published classifier that is fine-tuned; arguments as in ``detection.full_entries``."""
    batch = 2
    limit = (machine.gpu_gb or 4.0) / GB_PER_IMAGE
    while batch < 64 and 2 * batch <= limit and 8 * batch <= num_images:
        batch *= 2
    epochs = 20 if init_from else 100
    lr = (0.01 if init_from else 0.1) * batch / 32
    yield Entry("train.batch_size", batch, f"as many images as fit {machine}, at most an eighth of all")
    yield Entry("train.epochs", epochs, f"{math.ceil(num_images / batch) * epochs} iterations over {num_images} images")
    yield Entry("train.lr", float(f"{lr:.3g}"), "in proportion to the batch")
    yield Entry("train.warmup_epochs", 1)
    yield Entry("train.policy", "rand_augment", "the images are varied")
    yield Entry("train.policy_magnitude", 9)
    yield Entry("train.mixup", 0.0)
    yield Entry("train.drop_block", 0.0)
    yield Entry("train.dropout", 0.2)
    yield Entry("train.zero_init_last", False)
    yield Entry("train.evaluate_every", 1, "epochs; the best model is best.pt")
    yield Entry("train.precision", machine.precision)
    yield Entry("train.workers", machine.workers, "half of the CPU cores")
    yield from starting_weights(init_from)
