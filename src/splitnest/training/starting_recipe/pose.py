"""First recipe of pose estimation."""

from collections.abc import Iterator
from typing import Any

from splitnest.data.recognition.recognized import Recognized
from splitnest.training.starting_recipe.detection import batch_size, starting_weights
from splitnest.training.starting_recipe.entry import Entry
from splitnest.training.starting_recipe.length import length
from splitnest.training.starting_recipe.machine import Machine

BASE = "simplebaseline_resnest50_256x192_coco.mmpose"

SMALL_BATCH = 12
FEW = 100
"""Number of persons under which augmentation is mild: so few are learned by heart."""

GB_PER_PERSON = 0.25
"""Memory in GB that a crop of 256 x 192 pixels needs in training."""


def small_entries(recognized: Recognized, num_persons: int, machine: Machine) -> Iterator[Entry]:
    """Yield the entries of a small pose estimator that trains on a CPU."""
    batch = max(2, min(SMALL_BATCH, num_persons))
    backbone = {"depth": 14, "planes": 32, "stem_width": 16}
    yield Entry("model.backbone", backbone, f"a small ResNeSt, for {machine}; the published one is depth 50, planes 64")
    yield Entry("model.deconv_channels", [64, 64, 64], "in proportion to the backbone")
    yield Entry("train.epochs", None)
    yield Entry("train.batch_size", batch, "crops of persons in an iteration")
    yield from length(num_persons, batch, 60, 300, 3000, "persons").entries()
    yield Entry("train.lr", 0.002, "for Adam, from scratch")
    yield Entry("train.schedule", "cosine", "falls to 0 at the end")
    yield Entry("train.precision", machine.precision)
    yield Entry("train.init_from", None, "from scratch: no published weights fit this small network")
    yield Entry("train.workers", 1)
    if not recognized.can_flip:
        yield Entry("train.flip", 0.0, "it is not known which keypoints a flip swaps: data.keypoints.flip_pairs")
    if num_persons < FEW:
        yield Entry("train.half_body", 0.0, f"only {num_persons} persons: they are varied little, and learned by heart")
        yield Entry("train.shift", 0.05)
        yield Entry("train.scale", 0.1)
        yield Entry("train.rotation", 10)


def full_entries(
    recognized: Recognized, num_persons: int, machine: Machine, base: Any, init_from: str | None
) -> Iterator[Entry]:
    """Yield the entries of a published pose estimator that is fine-tuned; see ``detection.full_entries``."""
    batch = 2 * batch_size(machine, max(2, num_persons // 2), 2 * GB_PER_PERSON)
    published = base.train
    lr = published.lr * batch / published.batch_size
    yield Entry("train.epochs", None)
    yield Entry("train.batch_size", batch, f"as many crops of persons as fit {machine}")
    yield from length(num_persons, batch, 60 if init_from else 140, 1500, 90_000, "persons").entries()
    yield Entry("train.lr", float(f"{lr:.3g}"), f"{published.lr:g} for {published.batch_size} crops, in proportion")
    yield Entry("train.schedule", "cosine", "falls to 0 at the end, whatever the length")
    yield Entry("train.precision", machine.precision)
    yield Entry("train.workers", machine.workers, "half of the CPU cores")
    if not recognized.can_flip:
        yield Entry("train.flip", 0.0, "it is not known which keypoints a flip swaps: data.keypoints.flip_pairs")
    yield from starting_weights(init_from)
