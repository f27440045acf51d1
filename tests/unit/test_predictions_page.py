"""Ground truth that is drawn beside predictions: what is odd about annotations stops no training."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from splitnest import recipes
from splitnest.data.coco import CocoDetection
from splitnest.errors import DataError
from splitnest.evaluation.model import make_evaluator
from splitnest.recipe import DetectionRecipe, overrides
from splitnest.training.data import open_validation
from splitnest.training.page import ground_truth

SQUARE = [[1, 1, 6, 1, 6, 6, 1, 6]]
BOX = [1, 1, 5, 5]


def data_of(tmp_path: Path, *annotations: dict[str, Any]) -> CocoDetection:
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "a.png")
    rows = [{"id": n, "image_id": 1, "category_id": 1, **row} for n, row in enumerate(annotations, start=1)]
    image = {"id": 1, "file_name": "a.png", "height": 20, "width": 30}
    content = {"images": [image], "annotations": rows, "categories": [{"id": 1, "name": "cat"}]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    return CocoDetection(tmp_path, tmp_path / "a.json")


@pytest.mark.parametrize("masks", [True, False])
def test_no_objects(tmp_path: Path, masks: bool) -> None:
    dataset = data_of(tmp_path)
    truth = ground_truth(dataset[0], dataset, masks)
    assert len(truth) == 0
    assert (truth.masks is not None) == masks


@pytest.mark.parametrize(
    ("annotation", "objects", "pixels"),
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
def test_odd_annotations(tmp_path: Path, annotation: dict[str, Any], objects: int, pixels: int) -> None:
    dataset = data_of(tmp_path, annotation)
    truth = ground_truth(dataset[0], dataset, masks=True)
    assert truth.masks is not None
    assert (len(truth), truth.masks.sum()) == (objects, pixels)
    assert len(ground_truth(dataset[0], dataset, masks=False)) == objects


def test_masks_that_cannot_be_evaluated_are_named_before_the_training(tmp_path: Path) -> None:
    data_of(tmp_path, {"bbox": BOX})
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
        recipe = overrides.apply(recipes.get(name), values)
        assert isinstance(recipe, DetectionRecipe)
        if has_masks:
            with pytest.raises(DataError, match=r"annotation 1 of a\.png has no segmentation"):
                open_validation(recipe)
        else:
            dataset = open_validation(recipe)
            assert dataset is not None
            assert make_evaluator(recipe, dataset).iou_types == ("bbox",)
