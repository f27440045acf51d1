"""First recipe of semantic segmentation."""

from collections.abc import Iterator
from typing import Any

from splitnest.data.images.size import image_size
from splitnest.data.recognition.recognized import Recognized
from splitnest.data.recognition.tree import spread
from splitnest.training.starting_recipe.detection import batch_size, starting_weights
from splitnest.training.starting_recipe.entry import Entry
from splitnest.training.starting_recipe.length import length
from splitnest.training.starting_recipe.machine import Machine

BASE = "deeplabv3plus_resnest101_d8_cityscapes.mmseg"

SMALL_BATCH = 4
SMALL_SHORT_SIDE = 360
FULL_SHORT_SIDE = 1024
GB_PER_IMAGE = 4.0
"""Memory in GB that a crop of 512 x 1024 pixels needs in training."""


def image_sides(recognized: Recognized) -> tuple[int, int]:
    """Return the median short and long side of a sample of the images in pixels."""
    folder = recognized.root / recognized.data["train_images"]
    sizes = sorted(sorted(image_size(folder / name)) for name in spread(recognized.train.names, 50))
    short, long = sizes[len(sizes) // 2]
    return short, long


def small_entries(recognized: Recognized, num_images: int, machine: Machine) -> Iterator[Entry]:
    """Yield the entries of a small segmentor that trains on a CPU."""
    original_short, original_long = image_sides(recognized)
    short = min(SMALL_SHORT_SIDE, max(64, original_short))
    long = round(short * original_long / original_short)
    crop = [max(64, round(side * 0.65 / 32) * 32) for side in (short, min(long, 2 * short))]
    backbone = {"depth": 26, "planes": 16, "stem_width": 16, "norm": "bn"}
    yield Entry("model.backbone", backbone, f"a small ResNeSt, for {machine}; the published one has depth 101")
    yield Entry("model.head_channels", 48, "in proportion to the backbone")
    yield Entry("model.auxiliary_channels", 32)
    yield Entry("model.norm", "bn")
    sides = {"short_side": short, "long_side": long}
    yield Entry("input", sides, f"images have {original_short} x {original_long} pixels; whole images are segmented")
    yield Entry("train.crop_size", crop, "two thirds of each side: parts of images are learned")
    yield Entry("train.batch_size", SMALL_BATCH, "crops of an iteration")
    yield from length(num_images, SMALL_BATCH, 50, 600, 3000).entries()
    yield Entry("train.optimizer", "adamw", "from scratch, AdamW learns in fewer iterations than SGD")
    yield Entry("train.lr", 0.003, f"for AdamW and a batch of {SMALL_BATCH}")
    yield Entry("train.weight_decay", 0.02)
    yield Entry("train.schedule", {"type": "poly", "min_lr": 0.0}, "falls to 0 at the end")
    yield Entry("train.precision", machine.precision)
    yield Entry("train.workers", 1)
    yield Entry("train.resize_ratios", [0.75, 2.0], "crops show objects at several sizes")
    kept = max(1000, crop[0] * crop[1] // 18)
    yield Entry("train.ohem", {"threshold": 0.7, "min_kept": kept}, "hard pixels count, such as those of rare classes")
    yield Entry("train.photometric_distortion", False)
    yield Entry("train.ema_decay", 0.99, "the average of the last weights is evaluated")
    yield Entry("train.init_from", None, "from scratch: no published weights fit this small network")


def full_entries(
    recognized: Recognized, num_images: int, machine: Machine, base: Any, init_from: str | None
) -> Iterator[Entry]:
    """Yield the entries of a published segmentor that is fine-tuned; arguments as in ``detection.full_entries``."""
    original_short, original_long = image_sides(recognized)
    short = min(FULL_SHORT_SIDE, original_short)
    long = round(short * original_long / original_short)
    crop = [max(64, min(512, short) // 32 * 32), max(64, min(1024, long) // 32 * 32)]
    pixels = crop[0] * crop[1] / (512 * 1024)
    batch = batch_size(machine, num_images, GB_PER_IMAGE * pixels)
    published = base.train
    lr = published.lr * batch / published.batch_size
    yield Entry("input.short_side", short, f"images have {original_short} x {original_long} pixels")
    yield Entry("input.long_side", long)
    yield Entry("train.crop_size", crop, "parts of images are learned")
    yield Entry("train.batch_size", batch, f"as many crops as fit {machine}")
    yield from length(num_images, batch, 60 if init_from else 150, 2000, 80_000).entries()
    yield Entry("train.lr", float(f"{lr:.3g}"), f"{published.lr:g} for {published.batch_size} crops, in proportion")
    yield Entry("train.precision", machine.precision)
    yield Entry("train.workers", machine.workers, "half of the CPU cores")
    yield from starting_weights(init_from)
