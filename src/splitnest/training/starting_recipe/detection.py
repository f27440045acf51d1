"""First recipe of a detector: boxes, instance masks or panoptic segments."""

from collections.abc import Iterator
from typing import Any

from splitnest.data.recognition.recognized import Recognized
from splitnest.training.starting_recipe.boxes import anchor_sizes, multi_scale, short_side, sizes_of
from splitnest.training.starting_recipe.entry import Entry
from splitnest.training.starting_recipe.length import length
from splitnest.training.starting_recipe.machine import Machine

BASES = {
    "detection": "faster_rcnn_resnest50_fpn_1x_coco.mmdet",
    "instance": "mask_rcnn_resnest50_fpn_1x_coco.mmdet",
    "panoptic": "panoptic_fpn_resnest200_3x_coco.detectron2",
}
"""Published model of each task."""

SMALL_BATCH = 4
SMALL_SHORT_SIDE, SMALL_MAX_SHORT_SIDE = 300, 480
FULL_SHORT_SIDE, FULL_MAX_SHORT_SIDE = 800, 1200

PUBLISHED_BATCH = 16
GB_PER_IMAGE = 2.2
"""Memory in GB that an image of a published detector needs in training, at 800 pixels."""


def small_entries(recognized: Recognized, num_images: int, machine: Machine) -> Iterator[Entry]:
    """Yield the entries of a small detector that trains on a CPU."""
    sizes = sizes_of(recognized.train)
    usual = 192 if recognized.task == "panoptic" else SMALL_SHORT_SIDE
    short = min(short_side(sizes, usual, SMALL_MAX_SHORT_SIDE), max(64, sizes.short))
    long = round(short * max(1.25, sizes.long / sizes.short) / 4) * 4
    scale = short / sizes.short
    backbone = {"depth": 14, "planes": 32, "stem_width": 16, "norm": "bn", "frozen_stages": 0}
    yield Entry("model.backbone", backbone, f"a small ResNeSt, for {machine}; the published one is depth 50, planes 64")
    yield Entry("model.fpn_channels", 64, "in proportion to the backbone, as the other heads")
    yield Entry("model.fpn_norm", "bn", "from scratch, normalization makes training stable")
    yield Entry("model.box_head", "2fc")
    yield Entry("model.box_fc_channels", 256)
    if recognized.task == "instance":
        yield Entry("model.mask_channels", 64)
        yield Entry("model.mask_norm", "bn")
    if recognized.task == "panoptic":
        yield Entry("model.mask_channels", 32)
        yield Entry("model.mask_norm", "bn")
        panoptic = {"channels": 32, "norm": "bn", "min_stuff_area": round(4096 * scale**2)}
        yield Entry("model.panoptic", panoptic, "stuff segments with fewer pixels are dropped")
    yield from _model(sizes, scale)
    yield Entry("model.rpn_post_nms_topk", 300, "fewer regions than the published 1000: less time for each image")
    yield Entry("model.rpn_pre_nms_topk", 400)
    yield Entry("model.roi_samples", 64)
    yield Entry("model.rpn_samples", 128)
    why = (
        f"images have {sizes.short} x {sizes.long} pixels; a small box has {sizes.small:.0f}, and in the input "
        f"{sizes.small * scale:.0f}"
    )
    yield Entry("input", {"short_side": short, "long_side": long}, why)
    steps = length(num_images, SMALL_BATCH, 10, 700, 3000)
    yield Entry("train.batch_size", SMALL_BATCH, "images of an iteration")
    yield from steps.entries()
    yield Entry("train.optimizer", "adamw", "from scratch, AdamW learns in fewer iterations than SGD")
    yield Entry("train.lr", 0.002, f"for AdamW and a batch of {SMALL_BATCH}")
    yield Entry("train.weight_decay", 0.02)
    yield Entry("train.schedule", "cosine", "falls to 0 at the end")
    yield Entry("train.precision", machine.precision, _precision(machine))
    yield Entry("train.workers", 1)
    yield Entry("train.init_from", None, "from scratch: no published weights fit this small network")
    yield Entry("train.short_sides", multi_scale(short), "each image is resized to one of them")
    yield Entry("train.short_side_sampling", "choice")
    yield Entry("train.long_side", round(long * 1.1))
    yield Entry("train.color_jitter", 0.2, "brightness, contrast and saturation vary")


def full_entries(
    recognized: Recognized, num_images: int, machine: Machine, base: Any, init_from: str | None
) -> Iterator[Entry]:
    """Yield the entries of a published detector that is fine-tuned.

    Args:
        recognized: Dataset.
        num_images: Number of training images.
        machine: Machine.
        base: Recipe of the published model.
        init_from: Weights to start from; None for random ones.
    """
    sizes = sizes_of(recognized.train)
    short = min(short_side(sizes, min(FULL_SHORT_SIDE, max(sizes.short, 320)), FULL_MAX_SHORT_SIDE), 1333)
    long = max(round(short * 1333 / 800), round(short * sizes.long / sizes.short))
    if init_from is None:
        yield Entry("model.backbone.frozen_stages", 0, "random weights are not frozen")
    yield from _model(sizes, short / sizes.short)
    why = f"images have {sizes.short} x {sizes.long}, a small box has {sizes.small:.0f} pixels"
    yield Entry("input.short_side", short, why)
    yield Entry("input.long_side", min(long, 2000))
    batch = batch_size(machine, num_images)
    published = base.train
    lr = published.lr * batch / (published.batch_size if isinstance(published.batch_size, int) else PUBLISHED_BATCH)
    steps = length(num_images, batch, 12 if init_from else 36, 1500, 90_000)
    yield Entry("train.epochs", None)
    yield from _batch(batch, machine)
    yield from steps.entries()
    yield Entry("train.lr", float(f"{lr:.3g}"), f"{published.lr:g} for {published.batch_size} images, in proportion")
    yield Entry("train.schedule", "cosine", "falls to 0 at the end, whatever the length")
    yield Entry("train.precision", machine.precision, _precision(machine))
    yield Entry("train.workers", machine.workers, "half of the CPU cores")
    yield from starting_weights(init_from)
    yield Entry("train.short_sides", multi_scale(short), "each image is resized to one of them")
    yield Entry("train.long_side", min(long, 2000))


def starting_weights(init_from: str | None) -> Iterator[Entry]:
    """Yield the entry of the weights to start from."""
    why = (
        "published weights; layers of other classes start at random"
        if init_from
        else "from scratch: published weights were neither in the cache nor could be downloaded"
    )
    yield Entry("train.init_from", init_from, why)


def batch_size(machine: Machine, num_images: int, gb_per_image: float = GB_PER_IMAGE) -> int:
    """Return the batch size that fits a machine: a power of two, at most that of the published models."""
    batch = 2
    while batch < PUBLISHED_BATCH and 2 * batch * gb_per_image <= (machine.gpu_gb or 8.0) and 2 * batch <= num_images:
        batch *= 2
    return batch


def _batch(batch: int, machine: Machine) -> Iterator[Entry]:
    yield Entry("train.batch_size", batch, f"as many images as fit {machine}, at most {PUBLISHED_BATCH}")


def _model(sizes: Any, scale: float) -> Iterator[Entry]:
    anchors = anchor_sizes(sizes, scale)
    if anchors is not None:
        why = f"small boxes have {sizes.small * scale:.0f} pixels in the input; the usual anchors begin at 32"
        yield Entry("model.anchor_sizes", list(anchors), why)
    if sizes.most > 70:
        count = -(-2 * sizes.most // 100) * 100
        yield Entry("model.max_detections", count, f"an image has up to {sizes.most} boxes")


def _precision(machine: Machine) -> str:
    return "fast here" if machine.has_bf16 else "bfloat16 is not fast on this machine"
