"""What a model is given: images of several sizes in one tensor."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Batch:
    """Normalised images, padded at the right and below to one size.

    Attributes:
        images: ``[N, 3, H, W]``.
        sizes: (height, width) of each image in it, without the padding.
        original_sizes: (height, width) of each photograph, before it was resized: the frame of all results.
    """

    images: Tensor
    sizes: tuple[tuple[int, int], ...]
    original_sizes: tuple[tuple[int, int], ...]

    def to(self, device: torch.device, dtype: torch.dtype) -> Self:
        """Return the batch with its images on ``device``, as ``dtype``."""
        return replace(self, images=self.images.to(device, dtype))

    def __len__(self) -> int:
        return len(self.sizes)


def collate(
    images: Sequence[Tensor], original_sizes: Sequence[tuple[int, int]] | None = None, divisor: int = 1
) -> Batch:
    """Pad normalised images with zeros to their common size, rounded up to multiples of ``divisor``.

    Args:
        images: ``[3, H, W]`` each.
        original_sizes: (height, width) of the photographs; None where they were not resized.
        divisor: Of the padded height and width, in pixels.

    Raises:
        ValueError: There are no images.
    """
    if not images:
        raise ValueError("a batch needs at least one image")
    sizes = tuple((image.shape[1], image.shape[2]) for image in images)
    height, width = (-(-max(side) // divisor) * divisor for side in zip(*sizes, strict=True))
    padded = torch.stack([F.pad(image, (0, width - image.shape[2], 0, height - image.shape[1])) for image in images])
    return Batch(padded, sizes, sizes if original_sizes is None else tuple(original_sizes))
