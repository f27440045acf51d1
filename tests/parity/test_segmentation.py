"""Semantic segmentation models against recordings of mmsegmentation."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import splitnest
from helpers import oracle
from helpers.ordinary import marked, names_of
from helpers.paths import INPUTS
from splitnest.inference.semantic_tta import SemanticTTA
from splitnest.structures import SemanticSegmentation

MODELS = [
    pytest.param("deeplabv3plus_resnest101_d8_cityscapes.mmseg", marks=pytest.mark.parity),
    pytest.param("fcn_resnest101_d8_cityscapes.mmseg", marks=pytest.mark.parity),
    pytest.param("fcn_resnest101_d8_ade20k.mmseg", marks=pytest.mark.parity),
    pytest.param("pspnet_resnest101_d8_ade20k.mmseg", marks=pytest.mark.parity),
    pytest.param("deeplabv3_resnest101_d8_ade20k.mmseg", marks=pytest.mark.parity),
    *marked(
        names_of("mmseg"),
        ["deeplabv3plus_r18-d8_4xb4-80k_isaid-896x896.mmseg"],
    ),
]
TRAINED = [
    "deeplabv3plus_resnest101_d8_cityscapes.mmseg",
    *(name for name in names_of("mmseg") if oracle.exists(f"{name}.train")),
]
MIN_MARGIN = 0.01
"""Minimum margin between the two best logits for labels to be compared."""


def check_labels(result: SemanticSegmentation, recorded: dict[str, np.ndarray], prefix: str = "") -> None:
    compared = recorded[f"{prefix}margin"] > MIN_MARGIN
    assert compared.mean() > 0.9
    assert (result.labels == recorded[f"{prefix}labels"])[compared].all()


@pytest.mark.timeout(900)  # windows of 769 pixels
@pytest.mark.parametrize("name", MODELS)
def test_model(name: str, tmp_path: Path) -> None:
    predictor, record = oracle.model(name, tmp_path), oracle.recording(name)
    module, image = predictor.module, oracle.image(Path(record["image"]).stem)
    features_image = oracle.image(Path(record.get("features_image", record["image"])).stem)
    module.backbone.out = ("c2", "c3", "c4", "c5")
    outputs = oracle.record_outputs(backbone=module.backbone, decode_head=module.decode_head)
    with torch.inference_mode():
        module(predictor.batch([features_image]).images)
        auxiliary_logits = (module.auxiliary_head or module.decode_head)(outputs["backbone"])  # of HRNets there is none
        (rows,) = module.rows(predictor.batch([image]).images)
        stages = {
            **outputs["backbone"],
            "decode_head_logits": outputs["decode_head"],
            "auxiliary_head_logits": auxiliary_logits,
            "first_head_logits": auxiliary_logits,
            "final_logits": rows.get(0, rows.height),
        }
    for stage, values in record["features"].items():
        assert oracle.distance(stages[stage], values) < 1e-4, stage
    (result,) = predictor.predict(image, resize=False)
    check_labels(result, oracle.results(name))


@pytest.mark.parity
@pytest.mark.parametrize("name", ["fcn_resnest101_d8_ade20k.mmseg", "fcn_r50-d8_4xb2-40k_cityscapes-512x1024.mmseg"])
def test_end_to_end(name: str, tmp_path: Path) -> None:
    """An image file is resized by the published rule, without and with test-time augmentation."""
    recorded, changes = oracle.results(f"{name}.e2e"), {}
    if "1024x512" in oracle.recording(f"{name}.e2e").get("resized", ""):  # a smaller image than the published one
        changes = {"input.long_side": 1024, "input.short_side": 512}
    predictor = oracle.model(name, tmp_path, changes)
    (result,) = predictor.predict(INPUTS / "scene_b.png")
    check_labels(result, recorded, "resized_")
    if "tta_labels" not in recorded:
        return
    augmented = SemanticTTA(predictor.module, predictor.recipe.input, (0.5, 0.75, 1.0))
    check_labels(augmented(oracle.image("scene_b")), recorded, "tta_")


@pytest.mark.parity
@pytest.mark.parametrize("name", TRAINED)
def test_losses_and_gradients(name: str, tmp_path: Path) -> None:
    recorded = oracle.recording(f"{name}.train")
    predictor = oracle.model(name, tmp_path, {"model.dropout": 0})
    module = predictor.module.double().train()
    window = np.s_[:256, :256]
    images = [oracle.image(scene)[window] for scene in ("scene_a", "scene_c")]
    labels = [np.asarray(Image.open(INPUTS / f"{s}_semantic.png"))[window] for s in ("scene_a", "scene_c")]
    if "labels" in recorded["overrides"]:
        labels = [np.where(label == 255, 255, label % len(module.categories)) for label in labels]
    losses = module.loss(predictor.batch(images, semantic=labels))
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    theirs = [value for key, value in recorded["losses"].items() if "loss" in key]
    if "decode_0.loss_ce" in recorded["losses"]:  # OCRNet: the head of the regions comes first
        theirs.reverse()
    assert [loss.item() for loss in losses.values()] == pytest.approx(theirs, rel=1e-5)
    assert total.item() == pytest.approx(recorded["total"], rel=1e-5)
    oracle.check_gradients(module, name)


@pytest.mark.parity
@pytest.mark.parametrize("name", ["fcn_resnest101_d8_ade20k.mmseg"])
def test_metrics_on_real_images(name: str, tmp_path: Path, shared_data: Callable[[str], Path]) -> None:
    """The metrics on images and label maps of ADE20K equal those of counting pixels."""
    root = shared_data("ade20k_sample")
    data = {"data.root": str(root), "data.val_images": "images", "data.val_annotations": "annotations"}
    predictor = oracle.model(name, tmp_path)
    metrics = splitnest.evaluate(predictor, data)
    intersections, predicted, present = np.zeros((3, 150))
    right = known = 0
    for path in sorted((root / "annotations").glob("*.png")):
        labels = np.asarray(Image.open(path)).astype(int) - 1
        (result,) = predictor.predict(root / "images" / f"{path.stem}.jpg")
        assert result.labels.shape == labels.shape
        valid = labels >= 0
        predictions, true = result.labels[valid].astype(int), labels[valid]
        intersections += np.bincount(true[predictions == true], minlength=150)
        predicted += np.bincount(predictions, minlength=150)
        present += np.bincount(true, minlength=150)
        right, known = right + int((predictions == true).sum()), known + len(true)
    unions = predicted + present - intersections
    assert metrics["miou"] == pytest.approx((intersections / np.maximum(unions, 1))[unions > 0].mean(), abs=1e-12)
    assert metrics["macc"] == pytest.approx((intersections / np.maximum(present, 1))[present > 0].mean(), abs=1e-12)
    assert metrics["pixel_accuracy"] == pytest.approx(right / known, abs=1e-12)
