"""Batch: images of several sizes in one padded tensor, with the ground truth for losses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from splitnest.structures.instances import Instances, copy_to
from splitnest.structures.panoptic_labels import UNLABELED
from splitnest.structures.person import Person


@dataclass(frozen=True)
class Batch:
    """Normalized images, padded at the right and bottom to one size.

    Attributes:
        images: ``[N, 3, H, W]``.
        sizes: (height, width) of each image in the tensor, without padding.
        original_sizes: (height, width) of each original image; results are in its pixels.
        instances: Ground-truth instances of each image (detection, instance and panoptic segmentation only).
        names: Name of each image in messages.
        semantic: uint8 ``[N, H, W]``, ground-truth class of each pixel, or ``UNLABELED`` (255), as in the padding; for
            a panoptic model 0 for things, 1 for the first stuff class.
        people: Person that each crop was taken from (pose only).
        keypoints: ``[N, K, 3]``, ground-truth x and y in pixels of the crop, and 1 for labeled keypoints, 0 for others
            (pose only).
        labels: int64 ``[N]``, ground-truth class of each image; or class probabilities ``[N, num_classes]`` of mixed
            images (classification only).
        seeds: Per-image seeds for anchor and RoI sampling; sampling then does not depend on the other images of the
            batch.

    Raises:
        ValueError: A field has another length than ``sizes``.
    """

    images: Tensor
    sizes: tuple[tuple[int, int], ...]
    original_sizes: tuple[tuple[int, int], ...]
    instances: tuple[Instances, ...] | None = None
    names: tuple[str, ...] | None = None
    semantic: Tensor | None = None
    people: tuple[Person, ...] | None = None
    keypoints: Tensor | None = None
    labels: Tensor | None = None
    seeds: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("original_sizes", "instances", "names", "semantic", "people", "keypoints", "labels", "seeds"):
            value = getattr(self, name)
            if value is not None and len(value) != len(self.sizes):
                raise ValueError(f"{len(self.sizes)} images have {len(value)} {name}")

    def pin_memory(self) -> Self:
        """Return the batch with its tensors in pinned memory, from which ``to`` copies without blocking."""
        instances = self.instances and tuple(each.pin_memory() for each in self.instances)
        semantic, keypoints, labels = (
            None if tensor is None else tensor.pin_memory() for tensor in (self.semantic, self.keypoints, self.labels)
        )
        images = self.images.pin_memory()
        return replace(self, images=images, instances=instances, semantic=semantic, keypoints=keypoints, labels=labels)

    def to(self, device: torch.device, dtype: torch.dtype) -> Self:
        """Return the batch with its tensors on ``device``, floating-point ones as ``dtype``."""
        instances = self.instances and tuple(each.to(device, dtype) for each in self.instances)
        semantic, keypoints = (None if t is None else copy_to(t, device) for t in (self.semantic, self.keypoints))
        labels = None if self.labels is None else copy_to(self.labels, device, dtype if self.labels.ndim == 2 else None)
        images = copy_to(self.images, device, dtype)
        return replace(self, images=images, instances=instances, semantic=semantic, keypoints=keypoints, labels=labels)

    def __len__(self) -> int:
        return len(self.sizes)


def collate(
    images: Sequence[Tensor],
    original_sizes: Sequence[tuple[int, int]] | None = None,
    divisor: int = 1,
    instances: Sequence[Instances] | None = None,
    names: Sequence[str] | None = None,
    semantic: Sequence[Tensor] | None = None,
    people: Sequence[Person] | None = None,
    keypoints: Sequence[Tensor] | None = None,
    labels: Tensor | None = None,
    seeds: Sequence[int] | None = None,
    min_size: tuple[int, int] = (0, 0),
) -> Batch:
    """Pad normalized images with zeros to a common size, rounded up to multiples of ``divisor``, and stack them.

    Args:
        images: Images ``[3, H, W]``.
        original_sizes: (height, width) of the original images; None if the images were not resized.
        divisor: Divisor of the padded height and width in pixels.
        instances, names, people, labels, seeds: Same as in ``Batch``.
        semantic: uint8 label map ``[H, W]`` of each image.
        keypoints: ``[K, 3]`` of each image, as in ``Batch``.
        min_size: Minimum padded (height, width) in pixels, before rounding up.

    Raises:
        ValueError: There are no images, or a list has another length.
    """
    if not images:
        raise ValueError("a batch needs at least one image")
    sizes = tuple((image.shape[1], image.shape[2]) for image in images)
    height, width = (-(-max(side) // divisor) * divisor for side in zip(*sizes, min_size, strict=True))

    def pad(tensor: Tensor, value: int) -> Tensor:
        return F.pad(tensor, (0, width - tensor.shape[-1], 0, height - tensor.shape[-2]), value=value)

    return Batch(
        torch.stack([pad(image, 0) for image in images]),
        sizes,
        sizes if original_sizes is None else tuple(original_sizes),
        None if instances is None else tuple(instances),
        None if names is None else tuple(names),
        None if semantic is None else torch.stack([pad(labels, UNLABELED) for labels in semantic]),
        None if people is None else tuple(people),
        None if keypoints is None else torch.stack(list(keypoints)),
        labels,
        None if seeds is None else tuple(seeds),
    )
