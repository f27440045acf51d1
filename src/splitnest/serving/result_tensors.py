"""Results as tensors of the Open Inference Protocol, with the images of a request along the first axis."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.errors import UsageError
from splitnest.serving.served_model import ServedModel
from splitnest.structures import Classification, Detections, PanopticSegmentation, Poses, Result, SemanticSegmentation
from splitnest.tasks import task_of

Tensors = dict[str, tuple[str, NDArray[Any]]]
"""Type and values of each output."""

_DATATYPES = {"f": "FP32", "i": "INT64", "O": "BYTES"}

_Arrays = dict[str, NDArray[Any]]


def result_tensors(results: Sequence[Result]) -> Tensors:
    """Return the outputs for the images of a request.

    Rows of instances, segments or persons are padded to the largest number in one of the images: with zeros, and -1 in
    labels. ``counts`` says how many there are.

    Args:
        results: Result of each image, at least one.

    Raises:
        UsageError: Label maps of images of different sizes cannot be one tensor.
    """
    per_image = [_ARRAYS[type(result)](result) for result in results]
    tensors = {name: _stack(name, [arrays[name] for arrays in per_image]) for name in per_image[0]}
    return {name: (_DATATYPES[values.dtype.kind], values) for name, values in tensors.items()}


def output_metadata(model: ServedModel) -> list[dict[str, Any]]:
    """Return name, type and shape of each output of a model; -1 is a size that depends on the images."""
    recipe = model.predictor.recipe
    empty = task_of(recipe).empty_result(recipe, (1, 1))
    example = _ARRAYS[type(empty)](empty)
    fixed = {"probabilities": [-1, len(model.categories)], "image_sizes": [-1, 2], "counts": [-1]}
    rows = []
    for name, array in example.items():
        shape = fixed.get(name) or [
            -1,
            *(-1 if axis < _num_open(name) else size for axis, size in enumerate(array.shape)),
        ]
        rows.append({"name": name, "datatype": _DATATYPES[array.dtype.kind], "shape": shape})
    return rows


def _num_open(name: str) -> int:
    """Return the number of leading axes of an array whose size depends on the image."""
    return 2 if name in ("label_map", "segments") else 1


def _classification(result: Classification) -> _Arrays:
    return {"probabilities": result.probabilities, **_size(result)}


def _detections(result: Detections) -> _Arrays:
    arrays = {"boxes": result.boxes, "scores": result.scores, "labels": result.labels}
    if (masks := result.box_masks) is not None:
        arrays["masks"] = np.array([rle["counts"] for rle in masks.rles()], object)
    return {**arrays, **_counted(result)}


def _poses(result: Poses) -> _Arrays:
    return {
        "keypoints": result.keypoints,
        "scores": result.scores,
        "boxes": result.boxes,
        "box_scores": result.box_scores,
        "labels": result.labels,
        **_counted(result),
    }


def _semantic(result: SemanticSegmentation) -> _Arrays:
    labels = result.labels.astype(np.int64)
    labels[result.labels == result.unlabeled(result.categories)] = -1
    return {"label_map": labels, **_size(result)}


def _panoptic(result: PanopticSegmentation) -> _Arrays:
    rows = result.segments_info
    return {
        "segments": result.segments.astype(np.int64),
        "segment_ids": np.array([row["id"] for row in rows], np.int64),
        "labels": np.array([row["category"] for row in rows], np.int64),
        "scores": np.array([1.0 if row["score"] is None else row["score"] for row in rows], np.float32),
        **_counted(result),
    }


def _size(result: Result) -> _Arrays:
    return {"image_sizes": np.array(result.image_size, np.int64)}


def _counted(result: Detections | Poses | PanopticSegmentation) -> _Arrays:
    return {"counts": np.array(len(result), np.int64), **_size(result)}


_ARRAYS: dict[type, Callable[[Any], _Arrays]] = {
    Classification: _classification,
    Detections: _detections,
    PanopticSegmentation: _panoptic,
    Poses: _poses,
    SemanticSegmentation: _semantic,
}


def _stack(name: str, arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Stack the arrays of the images along a new first axis; the first axis of each is padded."""
    if name in ("label_map", "segments"):
        if len({array.shape for array in arrays}) > 1:
            raise UsageError(
                "The images have different sizes, so their label maps are no tensor. Send one image in a request."
            )
        return np.stack(arrays)
    if arrays[0].ndim == 0 or name in ("probabilities", "image_sizes"):
        return np.stack(arrays)
    most = max(map(len, arrays))
    fill: Any = -1 if name == "labels" else "" if arrays[0].dtype == object else 0
    stacked = np.full((len(arrays), most, *arrays[0].shape[1:]), fill, arrays[0].dtype)
    for target, array in zip(stacked, arrays, strict=True):
        target[: len(array)] = array
    return stacked
