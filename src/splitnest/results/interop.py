"""The forms of boxes and masks that COCO files and the supervision package use."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from splitnest.errors import UsageError


def xyxy_to_xywh(boxes_xyxy: np.ndarray) -> np.ndarray:
    """Convert corners to COCO's (left, top, width, height).

    Args:
        boxes_xyxy: [N, 4] in pixels.

    Returns:
        float64 [N, 4] in pixels; float64 so that a float32 corner loses nothing in the subtraction.
    """
    boxes = np.asarray(boxes_xyxy, dtype=np.float64)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def xywh_to_xyxy(boxes_xywh: np.ndarray) -> np.ndarray:
    """Convert COCO's (left, top, width, height) to corners, float64 [N, 4] in pixels."""
    boxes = np.asarray(boxes_xywh, dtype=np.float64)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def mask_to_rle(mask: np.ndarray) -> dict[str, Any]:
    """Encode a mask, bool [H, W], as compressed COCO RLE: ``{"size": [H, W], "counts": str}``, ready for JSON."""
    from hotcoco.mask import encode

    rle = encode(np.ascontiguousarray(mask))
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}


def rle_to_mask(rle: dict[str, Any]) -> np.ndarray:
    """Decode COCO RLE, compressed or not, to bool [H, W]."""
    from hotcoco.mask import decode

    return np.ascontiguousarray(decode(rle).astype(bool))


def polygons_to_mask(polygons: Sequence[np.ndarray], size_hw: tuple[int, int]) -> np.ndarray:
    """Rasterise polygons, x and y in turn, by COCO's rule to their union, bool [H, W]; none give an empty mask."""
    from hotcoco.mask import decode, fr_py_objects, merge

    height, width = size_hw
    if not polygons:
        return np.zeros(size_hw, dtype=bool)
    rles = fr_py_objects([polygon.tolist() for polygon in polygons], height, width)
    return np.ascontiguousarray(decode(merge(rles)).astype(bool))


def import_supervision() -> ModuleType:
    """Import the optional package supervision.

    Raises:
        UsageError: If it is not installed.
    """
    try:
        import supervision
    except ImportError as error:
        raise UsageError(
            "to_supervision() needs the package supervision, which is not installed: pip install 'splitnest[viz]'."
        ) from error
    return supervision
