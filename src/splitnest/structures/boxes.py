"""Box formats: xyxy corners and COCO's xywh."""

import numpy as np


def xyxy_to_xywh(boxes_xyxy: np.ndarray) -> np.ndarray:
    """Convert xyxy boxes to COCO's xywh (left, top, width, height).

    Args:
        boxes_xyxy: ``[N, 4]`` in pixels.

    Returns:
        float64 ``[N, 4]`` in pixels; float32 would round the differences of the corners.
    """
    boxes = np.asarray(boxes_xyxy, dtype=np.float64)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def xywh_to_xyxy(boxes_xywh: np.ndarray) -> np.ndarray:
    """Convert COCO's xywh boxes (left, top, width, height) to xyxy, float64 ``[N, 4]`` in pixels."""
    boxes = np.asarray(boxes_xywh, dtype=np.float64)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
