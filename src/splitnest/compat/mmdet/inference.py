"""Detection with the functions of mmdetection 3."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from splitnest.compat.images import as_list, path_of, read_rgb
from splitnest.compat.mmdet.structures import DetDataSample
from splitnest.compat.mmengine.structures import InstanceData
from splitnest.compat.openmmlab import Configuration, OpenMMLabModel, init_model
from splitnest.errors import UsageError
from splitnest.structures import Detections

TASKS = ("detection", "instance")

ImageType = str | Path | NDArray[np.uint8]
"""Path or URL of an image, or uint8 BGR array ``[H, W, 3]``."""


def init_detector(
    config: Configuration,
    checkpoint: str | Path | None = None,
    palette: str | Sequence[Sequence[int]] = "none",
    device: str = "cuda:0",
    cfg_options: Mapping[str, Any] | None = None,
) -> OpenMMLabModel:
    """Return a detector.

    Args:
        config: Path of a configuration, name of a published model, or a configuration.
        checkpoint: Path or address of the checkpoint; None for random weights.
        palette: RGB colors of the classes in drawings, or ``"none"`` for their own.
        device: Name of the device.
        cfg_options: Values of the configuration by dotted key, in place of its own.

    Raises:
        UsageError: The configuration is not valid, its model is none of the family, or an option is not available.
        WeightsError: The checkpoint cannot be read, or does not fit.
    """
    check_palette(palette)
    model = init_model(config, checkpoint, device, cfg_options, TASKS)
    set_palette(model, palette)
    return model


def check_palette(palette: str | Sequence[Sequence[int]]) -> None:
    """Raise a UsageError for a palette that is known by its name only, or that is a device."""
    if isinstance(palette, str) and palette != "none":
        raise UsageError(
            f"palette is {palette!r}. Give a list of RGB colors, or 'none'; a device is given by name: device='cpu'."
        )


def set_palette(model: OpenMMLabModel, palette: str | Sequence[Sequence[int]]) -> None:
    """Set the colors of a model's classes, where some are given."""
    if isinstance(palette, str):
        return
    if len(palette) < len(model.dataset_meta["classes"]):
        raise UsageError(f"palette has {len(palette)} colors for {len(model.dataset_meta['classes'])} classes.")
    model.dataset_meta["palette"] = [tuple(color) for color in palette]


def inference_detector(
    model: OpenMMLabModel,
    imgs: ImageType | Sequence[ImageType],
    test_pipeline: Any = None,
    text_prompt: str | None = None,
    custom_entities: bool = False,
) -> DetDataSample | list[DetDataSample]:
    """Detect in one image or several.

    Args:
        model: Detector that ``init_detector`` returned.
        imgs: Path or BGR array, or a list of these.
        test_pipeline: None: the test pipeline is that of the configuration.
        text_prompt: None: there are no models with prompts.
        custom_entities: False: there are no models with prompts.

    Returns:
        Result of the image, or a list of results if ``imgs`` is a list or a tuple.

    Raises:
        UsageError: An argument is not available.
        DataError: An image cannot be read.
    """
    if test_pipeline is not None:
        raise UsageError("test_pipeline: splitnest has the test pipeline of the configuration only. Omit it.")
    if text_prompt is not None or custom_entities:
        raise UsageError("text_prompt and custom_entities: splitnest has no models with prompts. Omit them.")
    several, is_batch = as_list(imgs)
    samples = [detect(model, image) for image in several]
    return samples if is_batch else samples[0]


def detect(model: OpenMMLabModel, image: ImageType) -> DetDataSample:
    """Return the detections in one image."""
    (result,) = model.predictor.predict(read_rgb(image))
    assert isinstance(result, Detections)
    return to_data_sample(result, path_of(image), model.predictor.device)


def to_data_sample(result: Detections, path: str | None, device: torch.device) -> DetDataSample:
    """Return detections as mmdetection has them.

    Args:
        result: Detections.
        path: Path of the image; None for an array.
        device: Device of the tensors.
    """
    instances = InstanceData(
        scores=torch.tensor(result.scores, device=device),
        bboxes=torch.tensor(result.boxes, device=device),
        labels=torch.tensor(result.labels, device=device),
    )
    if result.masks is not None:
        instances.masks = torch.tensor(result.masks, device=device)
    metainfo = {"img_id": 0, "img_path": path, "ori_shape": result.image_size}
    return DetDataSample(metainfo=metainfo, pred_instances=instances)
