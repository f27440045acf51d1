"""Metrics and predictions do not depend on the batch size, though the images differ in size."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import splitnest
from helpers.families import FAMILIES, load_small, random_image, whole_image_boxes
from splitnest.structures import Detections

SIZES_WH = ((60, 40), (40, 60), (96, 64), (64, 96), (60, 44), (90, 30), (30, 90), (96, 60))
BATCH_SIZES = (2, 8)
CLASSES = ("circle", "square")


def write_dataset(root: Path, predictor: splitnest.Predictor) -> None:
    """Write images of several sizes, annotated with the best predictions for each image alone."""
    (root / "images").mkdir()
    rows: list[dict[str, Any]] = []
    for index, (width, height) in enumerate(SIZES_WH):
        pixels = np.random.default_rng(index).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"{index}.png")
        (result,) = predictor.predict(pixels)
        assert isinstance(result, Detections)
        rows += result[:8].to_coco(index)
    images = [
        {"id": index, "file_name": f"{index}.png", "width": width, "height": height}
        for index, (width, height) in enumerate(SIZES_WH)
    ]
    annotations = [{**row, "id": number, "iscrowd": 0} for number, row in enumerate(rows, start=1)]
    categories = [{"id": id_, "name": name} for id_, name in enumerate(CLASSES, start=1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations.json").write_text(json.dumps(content))


def test_metrics_of_a_detector(tmp_path: Path) -> None:
    name = "mask_rcnn_resnest50_fpn_1x_coco.mmdet"
    overrides = {
        **FAMILIES[name],
        **{"input.short_side": 96, "input.long_side": 200, "data.classes": CLASSES, "data.root": str(tmp_path)},
        **{"data.val_images": "images", "data.val_annotations": "annotations.json"},
    }
    predictor = splitnest.load(name, weights=None, device="cpu", overrides=overrides)
    write_dataset(tmp_path, predictor)
    alone = splitnest.evaluate(predictor)
    assert 0.1 < alone["box_ap"] < 1
    for batch_size in BATCH_SIZES:
        assert splitnest.evaluate(predictor, batch_size=batch_size) == pytest.approx(alone, abs=1e-6)


@pytest.mark.parametrize(
    "name",
    [
        "resnest50_imagenet.official",
        "mask_rcnn_resnest50_fpn_1x_coco.detectron2",
        "cascade_mask_rcnn_resnest50_fpn_1x_coco.mmdet",
        "panoptic_fpn_resnest200_3x_coco.detectron2",
        "pspnet_resnest101_d8_cityscapes.mmseg",
        "simplebaseline_resnest50_256x192_coco.mmpose",
    ],
)
def test_predictions_of_every_task(name: str) -> None:
    """In float64, so that rounding decides no near-ties of untrained networks."""
    predictor = load_small(name)
    predictor.module.double()
    images = [random_image(height, width) for width, height in SIZES_WH]
    boxes = whole_image_boxes(predictor, images)
    alone = [result.to_dict() for result in predictor.predict(images, **boxes)]
    for batch_size in BATCH_SIZES:
        together = [result.to_dict() for result in predictor.predict(images, batch_size=batch_size, **boxes)]
        assert _close(together, alone)


def _close(one: Any, other: Any) -> bool:
    """Return whether two nested results have the same structure, and numbers that are equal up to rounding."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_close(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_close, one, other))
    return one == (pytest.approx(other, rel=1e-4, abs=1e-4) if isinstance(one, float) else other)
