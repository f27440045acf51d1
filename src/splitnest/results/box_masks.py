"""Masks as the part of the picture that they are in: of 100 objects in 8 megapixels all pixels would be 800 MB.

Shapes: N masks, H x W pixels of the picture.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class BoxMasks:
    """N masks of one picture.

    Attributes:
        crops: bool ``[h, w]`` each, whatever part of the picture holds all of a mask; it may be empty.
        corners: int64 ``[N, 2]``, row and column of the first pixel of each crop.
        image_size: (H, W) of the picture.
    """

    crops: tuple[NDArray[np.bool_], ...]
    corners: NDArray[np.int64]
    image_size: tuple[int, int]

    @classmethod
    def of_dense(cls, masks: NDArray[np.bool_]) -> Self:
        """Take masks ``[N, H, W]``, all of the picture."""
        return cls(tuple(masks), np.zeros((len(masks), 2), np.int64), (masks.shape[1], masks.shape[2]))

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, rows: slice | NDArray[Any]) -> Self:
        """Some of the masks: by a slice, an array of numbers, or a bool ``[N]`` array."""
        numbers = np.arange(len(self))[rows]
        return type(self)(tuple(self.crops[number] for number in numbers), self.corners[numbers], self.image_size)

    def slices(self, row: int) -> tuple[slice, slice]:
        """Return where in the picture a crop is."""
        (top, left), (height, width) = self.corners[row].tolist(), self.crops[row].shape
        return slice(top, top + height), slice(left, left + width)

    def dense(self) -> NDArray[np.bool_]:
        """Return bool ``[N, H, W]``."""
        masks = np.zeros((len(self), *self.image_size), bool)
        for row, crop in enumerate(self.crops):
            masks[row, *self.slices(row)] = crop
        return masks

    def rles(self) -> list[dict[str, Any]]:
        """Return each as compressed COCO RLE, ``{"size": [H, W], "counts": str}``, ready for JSON."""
        return [_rle(crop, corner, self.image_size) for crop, corner in zip(self.crops, self.corners, strict=True)]


def _rle(crop: NDArray[np.bool_], corner: NDArray[np.int64], image_size: tuple[int, int]) -> dict[str, Any]:
    """Encode a crop as a mask of the whole picture: runs down its columns, the first one of pixels outside."""
    from hotcoco.mask import fr_py_objects

    height, width = image_size
    columns = np.zeros((crop.shape[1], crop.shape[0] + 2), np.int8)
    columns[:, 1:-1] = crop.T
    column, row = np.nonzero(np.diff(columns))  # where runs begin and, after each, where they end
    bounds = (corner[1] + column) * height + corner[0] + row
    ends_at_once = np.flatnonzero(bounds[1:-1:2] == bounds[2::2])  # at the end of a column the next one goes on
    bounds = np.delete(bounds, np.concatenate((2 * ends_at_once + 1, 2 * ends_at_once + 2)))
    counts = np.diff(bounds, prepend=0, append=height * width)
    if len(bounds) and bounds[-1] == height * width:
        counts = counts[:-1]
    found = fr_py_objects({"size": [height, width], "counts": counts.tolist()}, height, width)
    return {"size": [height, width], "counts": found["counts"].decode("ascii")}


def checked_box_masks(name: str, masks: BoxMasks, count: int, image_size: tuple[int, int]) -> BoxMasks:
    """Check that there is one mask for each of ``count`` objects, inside a picture of ``image_size``.

    Raises:
        ValueError: If not.
    """
    if len(masks) != count or masks.image_size != image_size:
        raise ValueError(f"{name} are {len(masks)} of {masks.image_size}, not {count} of {image_size}.")
    ends = masks.corners + np.array([crop.shape for crop in masks.crops], np.int64).reshape(-1, 2)
    if len(masks) and (masks.corners.min() < 0 or (ends > image_size).any()):
        raise ValueError(f"{name} reach out of the picture of {image_size}.")
    return masks
