"""The quick starts of the four code bases run with changed imports, and give what ``splitnest.load`` gives."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import splitnest
from helpers import opencv
from helpers.pages import blocks
from helpers.paths import ROOT
from helpers.quick_starts import CHECKPOINTS, DETECTIONS, DETECTOR, POSE, PROPOSALS, SEGMENTOR, SMALL, Recorder

Enter = Callable[[Path], None]
CALLS = {
    "init_detector": "mmdet.apis import inference_detector, init_detector",
    "DetInferencer": "mmdet.apis import DetInferencer",
    "mmseg": "mmseg.apis import",
    "mmpose": "mmpose.apis import",
    "detectron2": "detectron2.engine import",
}
"""Script -> line that is in no other script of the page."""


def run(script: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run a script of the page in the current folder, and return its names."""
    page = blocks(ROOT / "docs" / "migration.md", "python")
    (text,) = (block.text for block in page if f"from splitnest.compat.{CALLS[script]}" in block.text)
    monkeypatch.setitem(sys.modules, "cv2", opencv.module())
    names: dict[str, Any] = {}
    exec(compile(text, script, "exec"), names)
    return names


def loaded(name: str) -> splitnest.Predictor:
    """Return the published model of this name with the checkpoint in the current folder, and with smaller images."""
    changes = {"input.long_side": SMALL[name][0], "input.short_side": SMALL[name][1]} if name in SMALL else {}
    if name == DETECTOR:
        changes |= {"model.rpn_post_nms_topk_test": PROPOSALS, "model.max_detections": DETECTIONS}
    return splitnest.load(name, weights=CHECKPOINTS[name], device="cpu", overrides=changes)


@pytest.fixture(scope="module")
def detections(detector_folder: Path) -> splitnest.Detections:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(detector_folder)
        return loaded(DETECTOR).predict("demo/demo.jpg")[0]


def test_init_detector(
    detector_folder: Path, detections: splitnest.Detections, enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(detector_folder)
    result = run("init_detector", monkeypatch)["result"]
    expected = detections
    instances = result.pred_instances
    assert len(instances) == len(expected) > 0
    assert set(instances.keys()) == {"bboxes", "scores", "labels", "masks"}
    assert (instances.bboxes.dtype, instances.labels.dtype, instances.masks.dtype) == (
        torch.float32,
        torch.int64,
        torch.bool,
    )
    for name, values in (("bboxes", expected.boxes), ("scores", expected.scores), ("labels", expected.labels)):
        assert np.array_equal(instances[name].numpy(), values)
    assert np.array_equal(instances.masks.numpy(), expected.masks)
    assert (result.img_path, result.ori_shape) == ("demo/demo.jpg", expected.image_size)
    certain = instances[instances.scores > float(instances.scores.median())]
    assert 0 < len(certain) < len(instances)


def test_det_inferencer(
    detector_folder: Path,
    detections: splitnest.Detections,
    enter: Enter,
    monkeypatch: pytest.MonkeyPatch,
    viewer: Recorder,
) -> None:
    enter(detector_folder)
    expected, result = detections, run("DetInferencer", monkeypatch)["result"]
    (row,) = result["predictions"]
    assert row["bboxes"] == expected.boxes.tolist()
    assert row["scores"] == expected.scores.tolist()
    assert row["labels"] == expected.labels.tolist()
    assert [mask["size"] for mask in row["masks"]] == [list(expected.image_size)] * len(expected)
    assert [picture.shape for picture in viewer.pictures] == [(*expected.image_size, 3)]
    image = np.asarray(Image.open("demo/demo.jpg"))
    assert np.array_equal(viewer.pictures[0], result["visualization"][0])
    assert np.array_equal(viewer.pictures[0], expected.draw(image, score_threshold=0.3))
    assert json.loads(Path("outputs/preds/demo.json").read_text()) == row
    assert Image.open("outputs/vis/demo.jpg").size == expected.image_size[::-1]


def test_mmseg(segmentor_folder: Path, enter: Enter, monkeypatch: pytest.MonkeyPatch, viewer: Recorder) -> None:
    enter(segmentor_folder)
    result = run("mmseg", monkeypatch)["result"]
    (expected,) = loaded(SEGMENTOR).predict("demo/demo.png")
    labels = result.pred_sem_seg.data
    assert (labels.dtype, tuple(labels.shape)) == (torch.int64, (1, *expected.image_size))
    assert np.array_equal(labels[0].numpy(), expected.labels)
    assert len(np.unique(expected.labels)) > 1
    logits = result.seg_logits.data
    assert tuple(logits.shape) == (19, *expected.image_size)
    assert torch.equal(logits.argmax(dim=0), labels[0])
    assert len(viewer.pictures) == 2
    assert np.array_equal(viewer.pictures[0], expected.draw(np.asarray(Image.open("demo/demo.png"))))
    assert Image.open("result.jpg").size == expected.image_size[::-1]


def test_mmpose(pose_folder: Path, enter: Enter, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(pose_folder)
    names = run("mmpose", monkeypatch)
    (result,) = names["results"]
    (expected,) = loaded(POSE).predict("demo.jpg", boxes_xywh="whole")
    instances = result.pred_instances
    assert isinstance(instances.keypoints, np.ndarray)
    assert instances.keypoints.shape == (1, 17, 2)
    assert np.array_equal(instances.keypoints, expected.keypoints)
    assert np.array_equal(instances.keypoint_scores, expected.scores)
    assert np.array_equal(instances.bboxes, expected.boxes)
    assert instances.bbox_scores.tolist() == [1.0]
    assert Image.open("vis_results.jpg").size == expected.image_size[::-1]


def test_detectron2(detectron2_folder: Path, enter: Enter, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(detectron2_folder)
    outputs = run("detectron2", monkeypatch)["outputs"]
    model = splitnest.load("mask_rcnn_R_50_FPN_3x.detectron2", device="cpu")
    (expected,) = model.predict("input.jpg")
    expected = expected[expected.scores > 0.5]
    instances = outputs["instances"].to("cpu")
    assert len(instances) == len(expected) > 0
    assert np.array_equal(instances.pred_boxes.tensor.numpy(), expected.boxes)
    assert np.array_equal(instances.scores.numpy(), expected.scores)
    assert np.array_equal(instances.pred_classes.numpy(), expected.labels)
    assert np.array_equal(instances.pred_masks.numpy(), expected.masks)
    assert instances.image_size == expected.image_size
    height, width = expected.image_size
    assert Image.open("output.png").size == (round(width * 1.2), round(height * 1.2))
