"""ONNX translations of the custom operators of detectors, NMS and multi-level RoIAlign.

Each function builds a part of the graph during an export.

Shapes: G groups of n boxes, R regions, C channels.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from onnx import TensorProto
from onnxscript import opset18

from splitnest.models.detection.roi_align import ROI_STRIDES

op: Any = opset18


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return operator -> translation, for torch's exporter."""
    operators = torch.ops.splitnest  # registered by models.detection.nms and models.detection.roi_align
    return {
        operators.nms_mask.default: _nms_mask,
        operators.multilevel_roi_align.default: _multilevel_roi_align,
    }


def _nms_mask(boxes: Any, scores: Any, iou_threshold: float, score_threshold: float) -> Any:
    count = op.Gather(op.Shape(scores), op.Constant(value_ints=[1]), axis=0)
    limits = (op.Constant(value_float=value) for value in (iou_threshold, score_threshold))
    chosen = op.NonMaxSuppression(boxes, op.Unsqueeze(scores, op.Constant(value_ints=[1])), count, *limits)
    places = op.Gather(chosen, op.Constant(value_ints=[0, 2]), axis=1)  # group and box; the class index is 0
    nothing = op.Expand(op.Constant(value_int=0), op.Shape(scores))
    ones = op.Expand(op.Constant(value_int=1), op.Shape(op.Gather(chosen, op.Constant(value_int=0), axis=1)))
    return op.Cast(op.ScatterND(nothing, places, ones), to=TensorProto.BOOL)


def _multilevel_roi_align(levels: Sequence[Any], rois: Any, assigned: Any, output_size: int) -> Any:
    number = op.Shape(rois, start=0, end=1)
    channels = op.Shape(levels[0], start=1, end=2)
    side = op.Constant(value_ints=[output_size])
    pooled = op.Expand(op.Constant(value_float=0.0), op.Concat(number, channels, side, side, axis=0))
    boxes = op.Slice(
        rois, op.Constant(value_ints=[1]), op.Constant(value_ints=[5]), op.Constant(value_ints=[1])
    )  # columns after the image index
    images = op.Cast(op.Gather(rois, op.Constant(value_int=0), axis=1), to=TensorProto.INT64)
    for index, (maps, stride) in enumerate(zip(levels, ROI_STRIDES, strict=True)):
        chosen = op.Transpose(op.NonZero(op.Equal(assigned, op.Constant(value_int=index))), perm=[1, 0])
        aligned = op.RoiAlign(
            maps,
            op.GatherND(boxes, chosen),
            op.GatherND(images, chosen),
            coordinate_transformation_mode="half_pixel",
            output_height=output_size,
            output_width=output_size,
            sampling_ratio=0,
            spatial_scale=1 / stride,
        )
        pooled = op.ScatterND(pooled, chosen, aligned)
    return pooled
