"""Folders as the quick starts of the code bases expect them, and the viewer that shows their pictures.

Weights are those of recordings, configurations those of the published models with smaller images.
"""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageShow

from helpers import oracle
from helpers.upstream_rows import python_text

DETECTOR, SEGMENTOR, POSE = (
    "mask-rcnn_r50-caffe_fpn_1x_coco",
    "pspnet_r50-d8_4xb2-40k_cityscapes-512x1024",
    "td-hm_res50_8xb64-210e_coco-256x192",
)
CHECKPOINTS = {
    DETECTOR: "mask_rcnn_r50_caffe_fpn_1x_coco_bbox_mAP-0.38__segm_mAP-0.344_20200504_231812-0ebd1859.pth",
    SEGMENTOR: "pspnet_r50-d8_512x1024_40k_cityscapes_20200605_003338-2966598c.pth",
    POSE: "td-hm_res50_8xb64-210e_coco-256x192-04af38ce_20220923.pth",
}
SMALL = {DETECTOR: (320, 192), SEGMENTOR: (256, 128)}
"""Size of images in place of the published one."""

PROPOSALS, DETECTIONS = 50, 10
"""Maximum numbers of proposals and detections of the detector, in place of 1000 and 100."""


def small_pipeline(steps: list[dict[str, Any]], size: tuple[int, int]) -> list[dict[str, Any]]:
    return [{**step, "scale": size} if step["type"] == "Resize" else step for step in steps]


def write_files(folder: Path, name: str, recording: str, config: dict[str, Any]) -> Path:
    """Write configuration, checkpoint and image, and return the folder."""
    oracle.checkpoint(recording, folder).rename(folder / CHECKPOINTS[name])
    (folder / f"{name}.py").write_text(python_text(config))
    (folder / "demo").mkdir()
    return folder


class Recorder(ImageShow.Viewer):
    """Viewer that keeps the pictures that it should show."""

    def __init__(self) -> None:
        self.pictures: list[np.ndarray] = []

    def show(self, image: Image.Image, **options: Any) -> int:
        self.pictures.append(np.asarray(image))
        return 1
