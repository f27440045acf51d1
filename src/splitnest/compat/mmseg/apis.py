"""``init_model``, ``inference_model`` and ``show_result_pyplot`` of mmsegmentation 1."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from splitnest.compat import images, openmmlab
from splitnest.compat.mmengine.structures import PixelData
from splitnest.compat.mmengine.visualization import Visualizer
from splitnest.compat.mmseg.structures import SegDataSample
from splitnest.compat.openmmlab import Configuration, OpenMMLabModel
from splitnest.errors import UsageError
from splitnest.models.segmentation.segmentor import Segmentor

__all__ = ["inference_model", "init_model", "show_result_pyplot"]

ImageType = str | Path | NDArray[np.uint8]
"""Path or URL of an image, or uint8 BGR array ``[H, W, 3]``."""


def init_model(
    config: Configuration,
    checkpoint: str | Path | None = None,
    device: str = "cuda:0",
    cfg_options: Mapping[str, Any] | None = None,
) -> OpenMMLabModel:
    """Return a segmentor.

    Args:
        config: Path of a configuration, name of a published model, or a configuration.
        checkpoint: Path or address of the checkpoint; None for random weights.
        device: Name of the device.
        cfg_options: Values of the configuration by dotted key, in place of its own.

    Raises:
        UsageError: The configuration is not valid, or its model is none of the family.
        WeightsError: The checkpoint cannot be read, or does not fit.
    """
    return openmmlab.init_model(config, checkpoint, device, cfg_options, ("semantic",))


def inference_model(model: OpenMMLabModel, img: ImageType | Sequence[ImageType]) -> SegDataSample | list[SegDataSample]:
    """Segment one image or several.

    Args:
        model: Segmentor that ``init_model`` returned.
        img: Path or BGR array, or a list of these.

    Returns:
        Result of the image, or a list of results if ``img`` is a list or a tuple.

    Raises:
        DataError: An image cannot be read.
    """
    several, is_batch = images.as_list(img)
    samples = [_segment(model, image) for image in several]
    return samples if is_batch else samples[0]


@torch.no_grad()
def _segment(model: OpenMMLabModel, image: ImageType) -> SegDataSample:
    pixels, predictor, module = images.read_rgb(image), model.predictor, model.network
    assert isinstance(module, Segmentor)
    size = (pixels.shape[0], pixels.shape[1])
    (rows,) = module.rows(predictor.prepared_batch([pixels]).images)
    labels = module.to_result([rows], size).labels.astype(np.int64)
    sample = SegDataSample(
        metainfo={"img_path": images.path_of(image), "ori_shape": size},
        pred_sem_seg=PixelData(data=torch.tensor(labels, device=predictor.device)[None]),
    )
    return sample.with_logits(lambda: module.resized(rows, size).get(0, size[0]))


def show_result_pyplot(
    model: OpenMMLabModel,
    img: ImageType,
    result: SegDataSample,
    opacity: float = 0.5,
    title: str = "",
    draw_gt: bool = True,
    draw_pred: bool = True,
    wait_time: float = 0,
    show: bool = True,
    with_labels: bool = True,
    save_dir: str | Path | None = None,
    out_file: str | Path | None = None,
) -> NDArray[np.uint8]:
    """Draw a segmentation on its image.

    Args:
        model: Segmentor that ``init_model`` returned.
        img: Path or BGR array.
        result: Result of the image.
        opacity: Opacity of the classes, over 0 and up to 1.
        title: Name of the picture in ``save_dir``.
        draw_gt: Without effect, as results have no ground truth.
        draw_pred: Whether to draw the prediction.
        wait_time: Without effect, as the viewer is another program.
        show: Whether to open the picture in the viewer of the system.
        with_labels: Whether to draw the class names.
        save_dir: Folder that gets the picture as ``vis_data/vis_image/<title>_0.png`` if there is no ``out_file``.
        out_file: Path of the picture.

    Returns:
        uint8 RGB ``[H, W, 3]``.

    Raises:
        UsageError: The opacity is out of range.
        DataError: The image cannot be read.
        OutputError: The picture cannot be written.
    """
    if not 0 < opacity <= 1:
        raise UsageError(f"opacity is {opacity}. Give a number over 0 and up to 1.")
    if out_file is None and save_dir is not None:
        out_file = Path(save_dir) / "vis_data" / "vis_image" / f"{title}_0.png"
    visualizer = Visualizer(model.dataset_meta, opacity)
    visualizer.add_datasample(
        title, images.read_rgb(img), result, draw_gt, draw_pred, show=show, out_file=out_file, with_labels=with_labels
    )
    return visualizer.get_image()
