"""Columns of the files of results, and the conversion of results to rows and back; nothing is rounded.

Shapes: N instances, K keypoints. Every task has ``key``, ``height`` and ``width`` of the image in pixels, and
``error``, None for a result. Boxes are xyxy in pixels, masks the ``counts`` of compressed COCO RLE, whose size is that
of the image.

detection      boxes [N, 4], scores [N], labels [N], masks [N] (None for a model without masks)
pose           boxes [N, 4], box_scores [N], labels [N], keypoints [N, K, 2], keypoint_scores [N, K]
semantic       label_map: PNG, one channel, 255 (65535 in 16 bits) for unlabeled pixels
panoptic       segments: PNG of COCO's panoptic format; segments_info; and the columns of detection
classification top_labels [5], top_probabilities [5], probabilities [num_classes]
features       features [C]
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.images.read import decode_image, decode_values
from splitnest.scanning.options import What
from splitnest.structures import (
    Classification,
    Detections,
    PanopticSegmentation,
    Poses,
    Result,
    SemanticSegmentation,
)
from splitnest.structures.box_masks import BoxMasks
from splitnest.structures.categories import Categories
from splitnest.visualize.write import encoded_image

Row = dict[str, Any]

TOP = 5
"""Number of the most probable classes that have columns of their own."""


def schema_of(task: str, what: What, categories: Categories) -> Any:
    """Return the schema (``pyarrow.Schema``) of the results of a task, or of features."""
    import pyarrow as pa

    number = pa.float32()
    detections = [
        ("boxes", pa.list_(pa.list_(number, 4))),
        ("scores", pa.list_(number)),
        ("labels", pa.list_(pa.int32())),
        ("masks", pa.list_(pa.string())),
    ]
    info = pa.struct(
        [
            ("id", pa.int32()),
            ("category", pa.int32()),
            ("isthing", pa.bool_()),
            ("score", pa.float64()),
            ("area", pa.int64()),
        ]
    )
    num_keypoints = len(categories.keypoint_names)
    columns = {
        "detection": detections,
        "instance": detections,
        "pose": [
            ("boxes", pa.list_(pa.list_(number, 4))),
            ("box_scores", pa.list_(number)),
            ("labels", pa.list_(pa.int32())),
            ("keypoints", pa.list_(pa.list_(number, 2 * num_keypoints))),
            ("keypoint_scores", pa.list_(pa.list_(number, num_keypoints))),
        ],
        "semantic": [("label_map", pa.binary())],
        "panoptic": [("segments", pa.binary()), ("segments_info", pa.list_(info)), *detections],
        "classification": [
            ("top_labels", pa.list_(pa.int32())),
            ("top_probabilities", pa.list_(number)),
            ("probabilities", pa.list_(number)),
        ],
    }
    own = [("features", pa.list_(number))] if what == "features" else columns[task]
    common = [("key", pa.string()), ("height", pa.int32()), ("width", pa.int32()), ("error", pa.string())]
    return pa.schema([*common, *own])


def error_row(key: str, message: str) -> Row:
    """Return the row of an image that cannot be read."""
    return {"key": key, "error": message}


def result_row(key: str, result: Result) -> Row:
    """Return the row of a result."""
    height, width = result.image_size
    common = {"key": key, "height": height, "width": width}
    match result:
        case Detections():
            return common | _detection_values(result)
        case Poses():
            flat = result.keypoints.reshape(len(result), 2 * result.keypoints.shape[1])
            return common | {
                "boxes": result.boxes.tolist(),
                "box_scores": result.box_scores,
                "labels": result.labels,
                "keypoints": flat.tolist(),
                "keypoint_scores": result.scores.tolist(),
            }
        case SemanticSegmentation():
            return common | {"label_map": encoded_image(result.labels)}
        case PanopticSegmentation():
            values = {} if result.detections is None else _detection_values(result.detections)
            infos = [dict(info) for info in result.segments_info]
            return common | {"segments": encoded_image(result.to_coco_png()), "segments_info": infos, **values}
        case Classification():
            top = result.topk(TOP)
            return common | {
                "top_labels": [item.label for item in top],
                "top_probabilities": [item.probability for item in top],
                "probabilities": result.probabilities,
            }


def feature_row(key: str, image_size: tuple[int, int], features: NDArray[np.float32]) -> Row:
    """Return the row of a feature vector ``[C]``."""
    return {"key": key, "height": image_size[0], "width": image_size[1], "features": features}


def row_reader(task: str, categories: Categories) -> Callable[[Mapping[str, Any]], Result]:
    """Return the function from a row without an error to the result that ``result_row`` was called with.

    Raises:
        KeyError: The task is unknown.
    """
    readers: dict[str, Callable[[Mapping[str, Any], Categories], Result]] = {
        "detection": _detections,
        "instance": _detections,
        "pose": _poses,
        "semantic": _semantic,
        "panoptic": _panoptic,
        "classification": _classification,
    }
    return partial(_read, readers[task], categories)


def _read(
    read: Callable[[Mapping[str, Any], Categories], Result], categories: Categories, row: Mapping[str, Any]
) -> Result:
    return read(row, categories)


def _detection_values(result: Detections) -> Row:
    masks = result.box_masks
    return {
        "boxes": result.boxes.tolist(),
        "scores": result.scores,
        "labels": result.labels,
        "masks": None if masks is None else [rle["counts"] for rle in masks.rles()],
    }


def _size(row: Mapping[str, Any]) -> tuple[int, int]:
    return int(row["height"]), int(row["width"])


def _array(values: Any, dtype: Any, *shape: int) -> NDArray[Any]:
    return np.array(values, dtype).reshape(len(values), *shape)


def _detections(row: Mapping[str, Any], categories: Categories) -> Detections:
    size, masks = _size(row), row["masks"]
    rles = None if masks is None else [{"size": list(size), "counts": counts} for counts in masks]
    return Detections(
        boxes=_array(row["boxes"], np.float32, 4),
        scores=_array(row["scores"], np.float32),
        labels=_array(row["labels"], np.int64),
        masks=None if rles is None else BoxMasks.from_rles(rles, size),
        image_size=size,
        categories=categories,
    )


def _poses(row: Mapping[str, Any], categories: Categories) -> Poses:
    num_keypoints = len(categories.keypoint_names)
    return Poses(
        keypoints=_array(row["keypoints"], np.float32, num_keypoints, 2),
        scores=_array(row["keypoint_scores"], np.float32, num_keypoints),
        boxes=_array(row["boxes"], np.float32, 4),
        box_scores=_array(row["box_scores"], np.float32),
        labels=_array(row["labels"], np.int64),
        image_size=_size(row),
        categories=categories,
    )


def _semantic(row: Mapping[str, Any], categories: Categories) -> SemanticSegmentation:
    labels = decode_values(row["label_map"], f"The label map of {row['key']}")
    dtype = SemanticSegmentation.label_dtype(categories)
    return SemanticSegmentation(labels.astype(dtype), image_size=_size(row), categories=categories)


def _panoptic(row: Mapping[str, Any], categories: Categories) -> PanopticSegmentation:
    red, green, blue = np.moveaxis(
        decode_image(row["segments"], f"The segments of {row['key']}").astype(np.int32), 2, 0
    )
    return PanopticSegmentation(
        red + 256 * green + 65536 * blue,
        row["segments_info"],
        None if row["boxes"] is None else _detections(row, categories),
        image_size=_size(row),
        categories=categories,
    )


def _classification(row: Mapping[str, Any], categories: Categories) -> Classification:
    return Classification(_array(row["probabilities"], np.float32), image_size=_size(row), categories=categories)
