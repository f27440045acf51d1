"""``init_model`` and ``inference_topdown`` of mmpose 1."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.compat import images, openmmlab
from splitnest.compat.mmengine.structures import InstanceData
from splitnest.compat.mmpose.structures import PoseDataSample
from splitnest.compat.openmmlab import Configuration, OpenMMLabModel
from splitnest.errors import UsageError
from splitnest.inference.person_boxes import WHOLE_IMAGE
from splitnest.structures import Poses

__all__ = ["inference_topdown", "init_model"]


def init_model(
    config: Configuration,
    checkpoint: str | Path | None = None,
    device: str = "cuda:0",
    cfg_options: Mapping[str, Any] | None = None,
) -> OpenMMLabModel:
    """Return a pose estimator.

    Args:
        config: Path of a configuration, name of a published model, or a configuration.
        checkpoint: Path or address of the checkpoint; None for random weights.
        device: Name of the device.
        cfg_options: Values of the configuration by dotted key, in place of its own.

    Raises:
        UsageError: The configuration is not valid, or its model is none of the family.
        WeightsError: The checkpoint cannot be read, or does not fit.
    """
    return openmmlab.init_model(config, checkpoint, device, cfg_options, ("pose",))


def inference_topdown(
    model: OpenMMLabModel,
    img: str | Path | NDArray[np.uint8],
    bboxes: Sequence[Sequence[float]] | NDArray[np.floating] | None = None,
    bbox_format: str = "xyxy",
) -> list[PoseDataSample]:
    """Estimate the pose of each person in an image.

    Args:
        model: Pose estimator that ``init_model`` returned.
        img: Path or URL of the image, or uint8 BGR array ``[H, W, 3]``.
        bboxes: Boxes of the persons ``[N, 4]`` in pixels; None or none takes the whole image as the box of one person.
        bbox_format: ``"xyxy"`` or ``"xywh"``.

    Returns:
        Result of each person.

    Raises:
        UsageError: A box has no area, or the format is another one.
        DataError: The image cannot be read.
    """
    if bbox_format not in ("xyxy", "xywh"):
        raise UsageError(f"bbox_format is {bbox_format!r}. Give 'xyxy' or 'xywh'.")
    boxes: Any = WHOLE_IMAGE
    if bboxes is not None and len(bboxes):
        boxes = np.array(bboxes, np.float64)
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise UsageError(f"bboxes has the shape {list(boxes.shape)}. Give [N, 4].")
        if bbox_format == "xyxy":
            boxes[:, 2:] -= boxes[:, :2]
        boxes = [boxes]
    (poses,) = model.predictor.predict(images.read_rgb(img), boxes_xywh=boxes)
    assert isinstance(poses, Poses)
    return [_to_data_sample(poses, row, images.path_of(img)) for row in range(len(poses))]


def _to_data_sample(poses: Poses, row: int, path: str | None) -> PoseDataSample:
    rows = slice(row, row + 1)
    instances = InstanceData(
        keypoints=poses.keypoints[rows].copy(),
        keypoint_scores=poses.scores[rows].copy(),
        keypoints_visible=poses.scores[rows].copy(),
        bboxes=poses.boxes[rows].copy(),
        bbox_scores=poses.box_scores[rows].copy(),
    )
    return PoseDataSample(metainfo={"img_path": path, "ori_shape": poses.image_size}, pred_instances=instances)
