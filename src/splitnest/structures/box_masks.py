"""Masks cropped to a part of the image; 100 dense masks of an 8-megapixel image would take 800 MB.

Shapes: N masks, H x W pixels of the image.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from splitnest.structures.masks import rle_to_mask


@dataclass(frozen=True, eq=False)
class BoxMasks:
    """N cropped masks of one image.

    Attributes:
        crops: bool ``[h, w]`` each, a part of the image that contains the whole mask; it may be empty.
        corners: int64 ``[N, 2]``, row and column of the top left pixel of each crop.
        image_size: Height and width of the image in pixels.
    """

    crops: tuple[NDArray[np.bool_], ...]
    corners: NDArray[np.int64]
    image_size: tuple[int, int]

    @classmethod
    def from_dense(cls, masks: NDArray[np.bool_]) -> Self:
        """Wrap dense masks, bool ``[N, H, W]``, without a copy."""
        return cls(tuple(masks), np.zeros((len(masks), 2), np.int64), (masks.shape[1], masks.shape[2]))

    @classmethod
    def from_rles(cls, rles: Sequence[Any], image_size: tuple[int, int]) -> Self:
        """Decode the compressed RLE of the masks of an image, one at a time: dense masks would take more memory."""
        crops, corners = [], np.zeros((len(rles), 2), np.int64)
        for index, rle in enumerate(rles):
            mask = rle_to_mask(rle)
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            if len(rows):
                corners[index] = rows[0], columns[0]
                mask = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
            crops.append(mask if len(rows) else np.zeros((0, 0), bool))
        return cls(tuple(crops), corners, image_size)

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, rows: slice | NDArray[Any]) -> Self:
        """Select masks by a slice, an array of indices, or a bool array ``[N]``."""
        indices = np.arange(len(self))[rows]
        return type(self)(tuple(self.crops[index] for index in indices), self.corners[indices], self.image_size)

    def slices(self, row: int) -> tuple[slice, slice]:
        """Return the rows and columns of a crop in the image."""
        (top, left), (height, width) = self.corners[row].tolist(), self.crops[row].shape
        return slice(top, top + height), slice(left, left + width)

    def dense(self) -> NDArray[np.bool_]:
        """Return dense masks, bool ``[N, H, W]``."""
        masks = np.zeros((len(self), *self.image_size), bool)
        for row, crop in enumerate(self.crops):
            masks[row, *self.slices(row)] = crop
        return masks

    def rles(self) -> list[dict[str, Any]]:
        """Return the masks as compressed COCO RLE, ``{"size": [H, W], "counts": str}``, JSON serializable."""
        return [_rle(crop, corner, self.image_size) for crop, corner in zip(self.crops, self.corners, strict=True)]


def _rle(crop: NDArray[np.bool_], corner: NDArray[np.int64], image_size: tuple[int, int]) -> dict[str, Any]:
    """Encode a crop as a mask of the whole image: run lengths in column-major order, background first."""
    from hotcoco.mask import fr_py_objects

    height, width = image_size
    columns = np.zeros((crop.shape[1], crop.shape[0] + 2), np.int8)
    columns[:, 1:-1] = crop.T
    column, row = np.nonzero(np.diff(columns))  # start and end of each run of ones, alternating
    bounds = (corner[1] + column) * height + corner[0] + row
    joined = np.flatnonzero(bounds[1:-1:2] == bounds[2::2])  # runs that continue at the top of the next column
    bounds = np.delete(bounds, np.concatenate((2 * joined + 1, 2 * joined + 2)))
    counts = np.diff(bounds, prepend=0, append=height * width)
    if len(bounds) and bounds[-1] == height * width:
        counts = counts[:-1]
    rle = fr_py_objects({"size": [height, width], "counts": counts.tolist()}, height, width)
    return {"size": [height, width], "counts": rle["counts"].decode("ascii")}


def check_box_masks(name: str, masks: BoxMasks, count: int, image_size: tuple[int, int]) -> None:
    """Check the number of masks and the image size.

    Args:
        name: Field name in messages, as in ``Detections.masks``.
        masks: Masks.
        count: Expected number of masks.
        image_size: Expected height and width of the image in pixels.

    Raises:
        ValueError: The masks have another number or image size, or a crop crosses the image border.
    """
    if len(masks) != count or masks.image_size != image_size:
        raise ValueError(f"{name} has {len(masks)} masks of size {masks.image_size}, not {count} of size {image_size}.")
    ends = masks.corners + np.array([crop.shape for crop in masks.crops], np.int64).reshape(-1, 2)
    if len(masks) and (masks.corners.min() < 0 or (ends > image_size).any()):
        raise ValueError(f"{name} has a crop that crosses the border of the image of size {image_size}.")
