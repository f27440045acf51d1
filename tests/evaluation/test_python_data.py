"""Training and evaluation on data from Python, of every task."""

from pathlib import Path
from typing import Any

import pytest

import splitnest
from helpers.families import FAMILIES, PANOPTIC, load_small
from helpers.python_data import ClassItems, LabelMapItems, PersonItems, SceneItems, SegmentItems
from splitnest.errors import DataError

TASKS: dict[str, tuple[type[SceneItems], str, dict[str, Any]]] = {
    "resnest50_imagenet.official": (
        ClassItems,
        "top1",
        {"data.classes": ["cat", "dog", "owl"], "train.crop_size": 32},
    ),
    "faster_rcnn_resnest50_fpn_1x_coco.mmdet": (SceneItems, "box_ap", {"train.short_sides": [32]}),
    PANOPTIC: (SegmentItems, "pq", {"train.short_sides": [32], "model.roi_samples": 8, "model.rpn_post_nms_topk": 20}),
    "pspnet_resnest101_d8_cityscapes.mmseg": (LabelMapItems, "miou", {"train.crop_size": [48, 64]}),
    "simplebaseline_resnest50_256x192_coco.mmpose": (PersonItems, "ap", {}),
}
"""Model of each task, its items, a metric, and values of a small training."""

ONE_STEP = {"train.iterations": 1, "train.schedule": "cosine", "train.batch_size": 2, "train.init_from": None}
FROM_RANDOM = {"model.backbone.frozen_stages": 0, "train.workers": 0, "train.precise_bn_batches": 0}


@pytest.mark.parametrize("name", TASKS)
def test_every_task_trains_and_evaluates(name: str, tmp_path: Path) -> None:
    items, metric, small = TASKS[name]
    overrides = {**FAMILIES[name], **ONE_STEP, **FROM_RANDOM, **small}
    run = splitnest.train(
        name, overrides, train_data=items(8), val_data=items(2, 1), out=tmp_path / "run", device="cpu"
    )
    assert metric in run.metrics
    again = splitnest.evaluate(splitnest.load(run.last, device="cpu"), data=items(2, 1), workers=1)
    assert again == pytest.approx(run.metrics, nan_ok=True)


def test_faults_name_the_argument() -> None:
    predictor = load_small("pspnet_resnest101_d8_cityscapes.mmseg")
    with pytest.raises(DataError, match=r"The target of data\[0\] is no label map"):
        splitnest.evaluate(predictor, data=SceneItems(1))
    with pytest.raises(DataError, match="data has no items"):
        splitnest.evaluate(predictor, data=[])
