"""Ground truth beside predictions: anomalies of annotations do not stop a training."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from splitnest import zoo
from splitnest.data.detection.dataset import DetectionDataset
from splitnest.errors import DataError
from splitnest.recipe import DetectionRecipe, overrides
from splitnest.tasks import task_of
from splitnest.training.validation import open_validation

SQUARE = [[1, 1, 6, 1, 6, 6, 1, 6]]
BOX = [1, 1, 5, 5]


def dataset_of(tmp_path: Path, *annotations: dict[str, Any]) -> DetectionDataset:
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "a.png")
    rows = [{"id": n, "image_id": 1, "category_id": 1, **row} for n, row in enumerate(annotations, start=1)]
    image = {"id": 1, "file_name": "a.png", "height": 20, "width": 30}
    content = {"images": [image], "annotations": rows, "categories": [{"id": 1, "name": "cat"}]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    return DetectionDataset.from_coco(tmp_path, tmp_path / "a.json")


@pytest.mark.parametrize("masks", [True, False])
def test_image_without_instances_has_empty_ground_truth(tmp_path: Path, masks: bool) -> None:
    ground_truth = dataset_of(tmp_path).ground_truth(0, masks=masks)
    assert len(ground_truth) == 0
    assert (ground_truth.masks is not None) == masks


@pytest.mark.parametrize(
    ("annotation", "instances", "pixels"),
    [
        ({"bbox": BOX, "segmentation": SQUARE}, 1, 25),
        ({"bbox": BOX, "segmentation": [*SQUARE, [1, 1, 9, 9], [1, 1, 5, 5, 6, 6, 7], []]}, 1, 25),
        ({"bbox": BOX, "segmentation": [[]]}, 1, 0),
        ({"bbox": BOX}, 1, 0),
        ({"bbox": BOX, "segmentation": {"size": [20, 30], "counts": [10, 5, 585]}}, 1, 5),
        ({"bbox": BOX, "segmentation": {"size": [10, 10], "counts": [10, 5, 85]}}, 1, 0),
        ({"bbox": [5, 5, -3, 2], "segmentation": SQUARE}, 0, 0),
        ({"bbox": [5, 5, 0, 2], "segmentation": SQUARE}, 0, 0),
        ({"bbox": BOX, "segmentation": SQUARE, "iscrowd": 1}, 0, 0),
    ],
)
def test_anomalies_of_annotations_are_no_error(
    tmp_path: Path, annotation: dict[str, Any], instances: int, pixels: int
) -> None:
    dataset = dataset_of(tmp_path, annotation)
    ground_truth = dataset.ground_truth(0, masks=True)
    assert ground_truth.masks is not None
    assert (len(ground_truth), ground_truth.masks.sum()) == (instances, pixels)
    assert len(dataset.ground_truth(0, masks=False)) == instances


def test_masks_that_cannot_be_evaluated_are_an_error_before_the_training(tmp_path: Path) -> None:
    dataset_of(tmp_path, {"bbox": BOX})
    values = {
        "data.root": str(tmp_path),
        "data.classes": ["cat"],
        "data.val_images": ".",
        "data.val_annotations": "a.json",
    }
    for name, has_masks in (
        ("mask_rcnn_resnest50_fpn_1x_coco.mmdet", True),
        ("faster_rcnn_resnest50_fpn_1x_coco.mmdet", False),
    ):
        recipe = overrides.apply(zoo.get(name), values)
        assert isinstance(recipe, DetectionRecipe)
        if has_masks:
            with pytest.raises(
                DataError, match=r"1 of 1 annotations have no segmentation, such as annotation 1 of a\.png"
            ):
                open_validation(recipe)
        else:
            dataset = open_validation(recipe)
            assert dataset is not None
            assert task_of(recipe).evaluator(dataset, recipe).iou_types == ("bbox",)
