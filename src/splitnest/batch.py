"""What a model is given: images of several sizes in one tensor."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from splitnest.data.panoptic_labels import UNLABELLED
from splitnest.data.person_crop import Person

InstanceMask = Sequence[NDArray[np.float64]] | Tensor
"""Polygons, x and y in turn, or bool ``[H, W]``; in pixels of the network's input."""


@dataclass(frozen=True)
class Instances:
    """The ground truth of one image, in pixels of the network's input (after the resize, without padding).

    Attributes:
        boxes: ``[G, 4]``, xyxy.
        labels: int64 ``[G]``, class indices from 0.
        masks: One for each object; None where a data set has boxes alone.
    """

    boxes: Tensor
    labels: Tensor
    masks: tuple[InstanceMask, ...] | None = None

    def __post_init__(self) -> None:
        if self.boxes.shape != (len(self.labels), 4):
            raise ValueError(f"{len(self.labels)} labels do not go with boxes of shape {list(self.boxes.shape)}")
        if self.masks is not None and len(self.masks) != len(self.labels):
            raise ValueError(f"{len(self.labels)} labels have {len(self.masks)} masks")

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device, dtype: torch.dtype) -> Self:
        """Return the objects with their tensors on ``device``, boxes as ``dtype``."""
        masks = self.masks and tuple(m.to(device) if isinstance(m, Tensor) else m for m in self.masks)
        return replace(self, boxes=self.boxes.to(device, dtype), labels=self.labels.to(device), masks=masks)


@dataclass(frozen=True)
class Batch:
    """Normalised images, padded at the right and below to one size.

    Attributes:
        images: ``[N, 3, H, W]``.
        sizes: (height, width) of each image in it, without the padding.
        original_sizes: (height, width) of each photograph, before it was resized: the frame of all results.
        instances: Ground truth of each image, for ``loss``.
        names: What each image is called in messages.
        semantic: uint8 ``[N, H, W]``, the class of each pixel, for ``loss``; of a panoptic model 0 for all things, 1
            for the first stuff. ``UNLABELLED`` (255) where it is not known and in the padding.
        people: Whom each image was cut out around, of a pose estimator.
        keypoints: ``[N, K, 3]``, x and y in pixels of the image, and 1 where it is labelled, otherwise 0; for ``loss``
            of a pose estimator.
        labels: The class of each image, for ``loss`` of a classifier: int64 ``[N]``; or of images that are mixed their
            shares ``[N, num_classes]``.
        seeds: Of what a loss draws at random of each image, so that it does not depend on the rest of the batch.
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
            given = getattr(self, name)
            if given is not None and len(given) != len(self.sizes):
                raise ValueError(f"{len(self.sizes)} images do not go with {len(given)} {name}")

    def to(self, device: torch.device, dtype: torch.dtype) -> Self:
        """Return the batch with its images and ground truth on ``device``, as ``dtype``."""
        instances = self.instances and tuple(of_image.to(device, dtype) for of_image in self.instances)
        semantic, keypoints = (None if t is None else t.to(device) for t in (self.semantic, self.keypoints))
        labels = None if self.labels is None else self.labels.to(device, dtype if self.labels.ndim == 2 else None)
        images = self.images.to(device, dtype)
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
    least_size: tuple[int, int] = (0, 0),
) -> Batch:
    """Pad normalised images with zeros to their common size, rounded up to multiples of ``divisor``.

    Args:
        images: ``[3, H, W]`` each.
        original_sizes: (height, width) of the photographs; None where they were not resized.
        divisor: Of the padded height and width, in pixels.
        instances: Ground truth of each image.
        names: What each image is called in messages.
        semantic: uint8 ``[H, W]`` each, the class or stuff of each pixel.
        people: Whom each image was cut out around.
        keypoints: ``[K, 3]`` each, as of ``Batch``.
        labels, seeds: As of ``Batch``.
        least_size: Height and width that the batch has at least, in pixels, before they are rounded up.

    Raises:
        ValueError: There are no images, or a list has another length.
    """
    if not images:
        raise ValueError("a batch needs at least one image")
    sizes = tuple((image.shape[1], image.shape[2]) for image in images)
    height, width = (-(-max(side) // divisor) * divisor for side in zip(*sizes, least_size, strict=True))

    def padded(tensor: Tensor, value: int) -> Tensor:
        return F.pad(tensor, (0, width - tensor.shape[-1], 0, height - tensor.shape[-2]), value=value)

    return Batch(
        torch.stack([padded(image, 0) for image in images]),
        sizes,
        sizes if original_sizes is None else tuple(original_sizes),
        None if instances is None else tuple(instances),
        None if names is None else tuple(names),
        None if semantic is None else torch.stack([padded(stuff, UNLABELLED) for stuff in semantic]),
        None if people is None else tuple(people),
        None if keypoints is None else torch.stack(list(keypoints)),
        labels,
        None if seeds is None else tuple(seeds),
    )
