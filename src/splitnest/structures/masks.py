"""Mask formats: dense masks, COCO run-length encoding (RLE) and polygons."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def mask_to_rle(mask: np.ndarray) -> dict[str, Any]:
    """Encode a mask, bool ``[H, W]``, as compressed COCO RLE: ``{"size": [H, W], "counts": str}``."""
    from hotcoco.mask import encode

    rle = encode(np.ascontiguousarray(mask))
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}


def rle_to_mask(rle: dict[str, Any]) -> np.ndarray:
    """Decode compressed or uncompressed COCO RLE to a mask, bool ``[H, W]``."""
    from hotcoco.mask import decode

    return np.ascontiguousarray(decode(rle).astype(bool))


def polygons_to_mask(polygons: Sequence[np.ndarray], size_hw: tuple[int, int]) -> np.ndarray:
    """Rasterize the union of polygons by COCO's rule.

    Args:
        polygons: Polygons ``[x1, y1, x2, y2, ...]`` in pixels; an empty sequence gives an empty mask.
        size_hw: Height and width of the mask in pixels.

    Returns:
        bool ``[H, W]``.
    """
    from hotcoco.mask import decode, fr_py_objects, merge

    height, width = size_hw
    if not polygons:
        return np.zeros(size_hw, dtype=bool)
    rles = fr_py_objects([polygon.tolist() for polygon in polygons], height, width)
    return np.ascontiguousarray(decode(merge(rles)).astype(bool))
