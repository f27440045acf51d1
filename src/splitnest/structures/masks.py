"""Mask formats: dense masks, COCO run-length encoding (RLE) and polygons."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def mask_to_rle(mask: np.ndarray) -> dict[str, Any]:
    """Encode a mask, bool ``[H, W]``, as compressed COCO RLE: ``{"size": [H, W], "counts": str}``."""
    from hotcoco.mask import encode

    rle = encode(np.ascontiguousarray(mask))
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}


def segments_to_rles(segments: np.ndarray, ids: np.ndarray) -> list[dict[str, Any]]:
    """Encode the segments of a map as compressed COCO RLE, in time that does not depend on their number.

    Args:
        segments: Segment id of each pixel, integers ``[H, W]``.
        ids: Ids of S segments, ``[S]``.
    """
    from hotcoco.mask import rle_to_string

    size = [int(side) for side in segments.shape]
    flat = segments.ravel(order="F")
    starts = np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1])
    values, ends = flat[starts], np.append(starts[1:], len(flat))
    order = np.argsort(values, kind="stable")
    bounds = (np.searchsorted(values, ids, side, sorter=order).tolist() for side in ("left", "right"))
    rles = []
    for first, last in zip(*bounds, strict=True):
        runs = order[first:last]
        edges = np.column_stack([starts[runs], ends[runs]]).ravel()
        counts = np.diff(edges, prepend=0, append=len(flat))  # background and segment take turns
        counts = counts if counts[-1] else counts[:-1]
        rles.append({"size": size, "counts": rle_to_string({"size": size, "counts": counts.tolist()})})
    return rles


def rle_to_mask(rle: dict[str, Any]) -> np.ndarray:
    """Decode compressed or uncompressed COCO RLE to a mask, bool ``[H, W]``."""
    from hotcoco.mask import decode

    return np.ascontiguousarray(decode(rle).astype(bool))


def rle_crop(rle: dict[str, Any]) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode the part of a COCO RLE in the bounding box of its pixels.

    Returns:
        bool ``[H', W']``, and left and top of the box in pixels; a mask without pixels gives an empty part.
    """
    from hotcoco.mask import decode, to_bbox

    left, top, width, height = map(int, to_bbox(rle))
    return decode(rle)[top : top + height, left : left + width].astype(bool), (left, top)


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
