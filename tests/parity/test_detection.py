"""Detection models against recordings of mmdetection and detectron2."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import splitnest
from helpers import oracle
from helpers.families import detector_of
from helpers.ordinary import marked, names_of
from helpers.paths import INPUTS
from splitnest.data.images.normalize import normalize, resize_image
from splitnest.inference.detection_tta import DetectionTTA
from splitnest.models.detection.panoptic_fpn import PanopticFPN
from splitnest.structures import Detections, PanopticSegmentation
from splitnest.structures.batch import collate

MODELS = [
    pytest.param("faster_rcnn_resnest50_fpn_1x_coco.mmdet", marks=pytest.mark.parity),
    "mask_rcnn_resnest50_fpn_1x_coco.detectron2",
    pytest.param("mask_rcnn_resnest50_fpn_1x_coco.mmdet", marks=pytest.mark.parity),
    pytest.param("faster_rcnn_resnest50_dcn_fpn_1x_coco.detectron2", marks=pytest.mark.parity),
    pytest.param("faster_rcnn_resnet50_fpn_1x_coco.detectron2", marks=pytest.mark.parity),
    pytest.param("cascade_rcnn_resnet50_fpn_1x_coco.detectron2", marks=pytest.mark.parity),
    pytest.param("cascade_mask_rcnn_resnest50_fpn_1x_coco.detectron2", marks=pytest.mark.parity),
    pytest.param("cascade_mask_rcnn_resnest50_fpn_1x_coco.mmdet", marks=pytest.mark.parity),
]
OTHER_FEATURES = "mask_rcnn_R_50_FPN_3x_dconv_c3-c5.detectron2"
"""Recording that is not of the weights that it describes.

detectron2 itself (main branch, built for the CPU), with ``upstream_model`` and these weights, differs from it by 1.4 to
2.7 standard deviations in p2 to p6, and by 0.07 in the scores; ours differ from detectron2's by less than 3e-5 and
2e-5. No other gain of offsets, convolutions or norms, order of offsets, stage, stride or input gives the recording.
"""

ORDINARY = [
    *marked([n for n in names_of("mmdet", "detectron2") if not n.startswith("panoptic") and n != OTHER_FEATURES], []),
    pytest.param(
        OTHER_FEATURES, marks=[pytest.mark.parity, pytest.mark.xfail(strict=True, reason="not of its own weights")]
    ),
]
MASK_MODELS = ["mask_rcnn_resnest50_fpn_1x_coco.mmdet", "mask_rcnn_resnest50_fpn_1x_coco.detectron2"]
INCONSISTENT = [
    "faster_rcnn_R_50_FPN_3x.detectron2",
    "mask_rcnn_R_50_FPN_3x.detectron2",
]
"""Recordings whose ``.e2e`` is of other weights: its detections in scene_a are not those of the recording itself."""

END_TO_END = [n for n in names_of("mmdet", "detectron2") if oracle.exists(f"{n}.e2e") and n not in INCONSISTENT]


def check_detections(detections: Detections, recorded: dict[str, np.ndarray], prefix: str = "") -> None:
    matched = oracle.matches(detections, *(recorded[prefix + key] for key in ("boxes", "scores", "classes")))
    assert len(detections) == len(matched)
    assert (matched >= 0).mean() >= 0.98  # near-ties may swap in the suppression
    if prefix + "masks_packed" in recorded:
        assert detections.masks is not None
        masks = oracle.unpacked(recorded[prefix + "masks_packed"], recorded[prefix + "masks_shape"])
        for mask, index in zip(masks, matched, strict=True):
            wrong, union = (mask ^ detections.masks[index]).sum(), (mask | detections.masks[index]).sum()
            # One pixel is over 3% of a mask of 33: it has a probability of 0.499995 here, 0.5 in the recording.
            assert index < 0 or wrong <= max(0.03 * union, 1)


@pytest.mark.parametrize("name", [*MODELS, *ORDINARY])
def test_model(name: str, tmp_path: Path) -> None:
    predictor, image = oracle.model(name, tmp_path), oracle.image("scene_a")
    outputs = record_outputs(predictor)
    (detections,) = predictor.predict(image, resize=False)
    check_stages(predictor, outputs, name)
    check_detections(detections, oracle.results(name))


def record_outputs(predictor: splitnest.Predictor) -> dict[str, Any]:
    """Return a dictionary that receives the outputs of the parts of a detector."""
    module, detector = predictor.module, detector_of(predictor.module)
    parts = {"backbone": detector.backbone, "neck": detector.neck, "rpn": detector.rpn}
    if isinstance(module, PanopticFPN):
        parts["semantic_head"] = module.semantic_head
    return oracle.record_outputs(**parts)


@torch.inference_mode()
def check_stages(predictor: splitnest.Predictor, outputs: dict[str, Any], name: str) -> None:
    """Compare the outputs of the parts of a detector for scene_a with a recording."""
    record, recorded, detector = oracle.recording(name), oracle.results(name), detector_of(predictor.module)
    stages = {**outputs["backbone"], **outputs["neck"]}
    if "sem_seg_logits" in record["features"]:
        stages["sem_seg_logits"] = outputs["semantic_head"][0]
    for stage, values in record["features"].items():
        assert oracle.distance(stages[stage], values) < 1e-4, stage
    (proposals,) = detector.rpn.propose(outputs["rpn"], [oracle.image("scene_a").shape[:2]])
    best = next(recorded[key] for key in ("proposal_scores", "proposal_logits") if key in recorded)
    spread = torch.cat([level.logits.flatten() for level in outputs["rpn"]]).std().item()
    bound = 1e-4 if detector.rpn.rank_by == "scores" else 1e-4 * max(spread, 1)
    assert np.abs(np.sort(best) - np.sort(proposals.scores[: len(best)].numpy())).max() < bound


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("panoptic_fpn_resnest200_3x_coco.detectron2", marks=pytest.mark.parity),
        "panoptic_fpn_R_50_1x.detectron2",
    ],
)
def test_panoptic_model(name: str, tmp_path: Path) -> None:
    """Stages, instances, stuff, and the merged segments agree, and the segments are in the same order."""
    predictor, recorded = oracle.model(name, tmp_path), oracle.results(name)
    module, image = predictor.module, oracle.image("scene_a")
    outputs = record_outputs(predictor)
    (result,) = predictor.predict(image, resize=False)
    check_stages(predictor, outputs, name)
    assert isinstance(result, PanopticSegmentation)
    assert result.detections is not None
    check_detections(result.detections, recorded)
    (semantic,) = module.semantic(outputs["semantic_head"], predictor.batch([image]))
    assert (semantic == recorded["sem_seg_argmax"]).mean() > 0.9999
    assert (result.segments == recorded["panoptic"]).mean() > 0.9999
    num_things = len(module.detector.categories)
    rows = [
        (row["isthing"], row["category"] + (0 if row["isthing"] else 1 - num_things)) for row in result.segments_info
    ]
    expected = oracle.recording(name)["segments_info"]
    assert rows == [(row["isthing"], row["category_id"]) for row in expected]
    for ours, theirs in zip(result.segments_info, expected, strict=True):
        assert (ours["score"] or 0) == pytest.approx(theirs.get("score", 0), abs=2e-3)


@pytest.mark.parity
@pytest.mark.parametrize("name", [*MASK_MODELS, *END_TO_END])
def test_end_to_end(name: str, tmp_path: Path) -> None:
    """An image file is resized by the published rule, and a batch has images of two sizes."""
    recorded = oracle.results(f"{name}.e2e")
    predictor = oracle.model(name, tmp_path)
    (result,) = predictor.predict(INPUTS / "scene_b.png")
    assert result.image_size == (250, 333)
    results = dict(zip(("resized_", "batch_a_", "batch_b_"), (result, *batch_of_two(predictor)), strict=True))
    for prefix, result in results.items():
        detections = result
        if isinstance(result, PanopticSegmentation):
            assert (result.segments == recorded[f"{prefix}panoptic"]).mean() > 0.999
            detections = result.detections
        check_detections(detections, recorded, prefix)


@pytest.mark.parity
def test_end_to_end_tta(tmp_path: Path) -> None:
    """Views have two sizes, with their flips; the recording agrees only if three views are padded to one size."""
    name = "mask_rcnn_resnest50_fpn_1x_coco.detectron2"
    predictor = oracle.model(name, tmp_path)
    input_cfg = predictor.recipe.input.model_copy(update={"short_side": 400})
    detections = DetectionTTA(predictor.module, input_cfg, short_sides=(320, 400))(oracle.image("scene_b"))
    assert detections.image_size == (250, 333)
    check_detections(detections, oracle.results(f"{name}.e2e"), "tta_")


def batch_of_two(predictor: splitnest.Predictor) -> list[Any]:
    """Predict for scene_a as it is and for scene_b at 400x300, in one batch."""
    input_cfg = predictor.recipe.input
    scene_a, scene_b = oracle.image("scene_a"), oracle.image("scene_b")
    smaller = input_cfg.model_copy(update={"short_side": 300, "long_side": 400})
    tensors = [normalize(image, input_cfg) for image in (scene_a, resize_image(scene_b, smaller))]
    assert tensors[1].shape == (3, 300, 400)
    batch = collate(tensors, [scene_a.shape[:2], scene_b.shape[:2]], input_cfg.divisor)
    with torch.inference_mode():
        return predictor.module.predict(batch)
