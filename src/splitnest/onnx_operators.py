"""How ONNX computes the operators of a detector: see ``splitnest.detection.operators``.

Each function builds a piece of graph while a network is exported.

Shapes: G groups of n boxes, R regions, C channels.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from onnx import TensorProto
from onnxscript import opset18

from splitnest.detection.operators import ROI_STRIDES

op: Any = opset18


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return what the exporter of torch needs to know."""
    operators = torch.ops.splitnest
    return {operators.suppress.default: _suppress, operators.pool_regions.default: _pool_regions}


def _suppress(boxes: Any, scores: Any, iou: float, least: float) -> Any:
    count = op.Gather(op.Shape(scores), op.Constant(value_ints=[1]), axis=0)
    limits = (op.Constant(value_float=value) for value in (iou, least))
    chosen = op.NonMaxSuppression(boxes, op.Unsqueeze(scores, op.Constant(value_ints=[1])), count, *limits)
    places = op.Gather(chosen, op.Constant(value_ints=[0, 2]), axis=1)  # group and box; the class between is always 0
    nothing = op.Expand(op.Constant(value_int=0), op.Shape(scores))
    ones = op.Expand(op.Constant(value_int=1), op.Shape(op.Gather(chosen, op.Constant(value_int=0), axis=1)))
    return op.Cast(op.ScatterND(nothing, places, ones), to=TensorProto.BOOL)


def _pool_regions(levels: Sequence[Any], rois: Any, assigned: Any, output_size: int) -> Any:
    number = op.Shape(rois, start=0, end=1)
    channels = op.Shape(levels[0], start=1, end=2)
    side = op.Constant(value_ints=[output_size])
    pooled = op.Expand(op.Constant(value_float=0.0), op.Concat(number, channels, side, side, axis=0))
    boxes = op.Slice(
        rois, op.Constant(value_ints=[1]), op.Constant(value_ints=[5]), op.Constant(value_ints=[1])
    )  # of each row what is behind the number of its image
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
