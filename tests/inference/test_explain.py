"""Grad-CAM and EigenCAM: equal to a computation with autograd hooks alone, mapped to the image, and refused plainly."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import splitnest
from helpers.families import FAMILIES, PANOPTIC, detector_of, load_small
from helpers.own_networks import SEMANTIC, Pyramid
from splitnest.errors import DataError, UsageError
from splitnest.inference.explain import explain
from splitnest.inference.exported_model import ExportedModel
from splitnest.models.detection.regions import Regions
from splitnest.structures import Classification, Detections, PanopticSegmentation, SemanticSegmentation
from splitnest.structures.heat_map import HeatMap

CLASSIFIER = "resnest50_imagenet.official"
DETECTOR = "mask_rcnn_resnest50_fpn_1x_coco.mmdet"
CASCADE = "cascade_mask_rcnn_resnest50_fpn_1x_coco.mmdet"
SEGMENTOR = "deeplabv3plus_resnest101_d8_cityscapes.mmseg"
LEVELS = ("c2", "c3", "c4", "c5")


def random_image(height: int = 61, width: int = 97) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def small(name: str) -> splitnest.Predictor:
    """Return a small model with random weights; that of a detector is one whose scores exceed the threshold."""
    torch.manual_seed(0)
    predictor = load_small(name)
    if name in (DETECTOR, CASCADE, PANOPTIC):
        detector_of(predictor.module).post.score_threshold = 0.001
    return predictor


class Recorded:
    """Context in which the output of a stage of a backbone and its gradient are recorded by autograd alone."""

    def __init__(self, module: nn.Module, level: str) -> None:
        self.stage = module.backbone.get_submodule(level)

    def __enter__(self) -> "Recorded":
        self.handle = self.stage.register_forward_hook(self.keep)
        return self

    def keep(self, _: nn.Module, __: Any, output: Tensor) -> None:
        self.features = output
        self.features.retain_grad()

    def __exit__(self, *_: object) -> None:
        self.handle.remove()

    def cam(self, score: Tensor) -> np.ndarray:
        score.backward()
        features, gradient = self.features.detach()[0].numpy(), self.features.grad[0].numpy()
        cam = np.maximum(sum(w * a for w, a in zip(gradient.mean(axis=(1, 2)), features, strict=True)), 0)
        return (cam - cam.min()) / max((cam - cam.min()).max(), 1e-12)


def recorded_inputs(predictor: splitnest.Predictor, image: np.ndarray) -> Tensor:
    return predictor.prepared_batch([image]).images.requires_grad_()


@pytest.mark.parametrize("level", LEVELS)
def test_gradcam_of_a_classifier(level: str) -> None:
    predictor, image = small(CLASSIFIER), random_image()
    result = explain(predictor, image, level=level, class_name=None)
    with Recorded(predictor.module, level) as recorded:
        logits = predictor.module(recorded_inputs(predictor, image))
        expected = recorded.cam(logits[0, logits[0].argmax()])
    np.testing.assert_allclose(result.grid, expected, atol=1e-4)
    assert result.grid.max() == 1
    (prediction,) = predictor.predict(image)
    assert isinstance(prediction, Classification)
    assert prediction.top[0].name in result.title


def test_gradcam_of_a_given_class() -> None:
    predictor, image = small(CLASSIFIER), random_image()
    name = predictor.module.categories[7].name
    result = explain(predictor, image, class_name=name)
    with Recorded(predictor.module, "c5") as recorded:
        expected = recorded.cam(predictor.module(recorded_inputs(predictor, image))[0, 7])
    np.testing.assert_allclose(result.grid, expected, atol=1e-4)
    assert name in result.title


@pytest.mark.parametrize("name", [DETECTOR, CASCADE])
@pytest.mark.parametrize("level", ["c2", "c4"])
def test_gradcam_of_a_detection(name: str, level: str) -> None:
    predictor, image = small(name), random_image()
    (found,) = predictor.predict(image)
    assert isinstance(found, Detections)
    number = min(3, len(found) - 1)
    result = explain(predictor, image, level=level, detection=number)
    module, batch = predictor.module, predictor.prepared_batch([image])
    scale = torch.tensor([batch.sizes[0][1] / 97, batch.sizes[0][0] / 61] * 2).to(batch.images)
    box = torch.from_numpy(found.boxes[number : number + 1].copy()).to(batch.images) * scale
    with Recorded(module, level) as recorded:
        pyramid = module.neck(module.backbone(batch.images.requires_grad_()))
        total = 0
        for head, coder in zip(module.roi_heads.box_heads, module.roi_heads.box_coders, strict=True):
            logits, deltas = head(module.roi_heads.pooler(pyramid, Regions.from_list([box]), 7))
            total = total + logits[0, int(found.labels[number])]
            if len(module.roi_heads.box_heads) > 1:
                height, width = batch.sizes[0]
                box = coder.decode(deltas, box).clamp(min=0).clamp(max=torch.tensor([width, height, width, height]))
        expected = recorded.cam(total / len(module.roi_heads.box_heads))
    np.testing.assert_allclose(result.grid, expected, atol=1e-4)
    assert result.box == pytest.approx(found.boxes[number].tolist())
    assert f"detection {number}: " in result.title


def test_gradcam_of_all_detections_of_a_class() -> None:
    predictor, image = small(DETECTOR), random_image()
    (found,) = predictor.predict(image)
    assert isinstance(found, Detections)
    label = int(np.bincount(found.labels).argmax())
    result = explain(predictor, image, class_name=found.categories[label].name)
    assert result.title.startswith(f"Grad-CAM of {(found.labels == label).sum()} detections of ")
    assert result.box is None
    best = explain(predictor, image)
    assert best.title.startswith("Grad-CAM of detection 0: ")


def test_gradcam_of_a_segmentor() -> None:
    predictor, image = small(SEGMENTOR), random_image()
    result = explain(predictor, image, level="c3")
    with Recorded(predictor.module, "c3") as recorded:
        logits = predictor.module.logits(recorded_inputs(predictor, image))[0]
        label = torch.bincount(logits.argmax(0).flatten()).argmax()
        expected = recorded.cam(logits[label][logits.argmax(0) == label].sum())
    np.testing.assert_allclose(result.grid, expected, atol=1e-4)
    (segments,) = predictor.predict(image)
    assert isinstance(segments, SemanticSegmentation)
    assert f"Grad-CAM of {predictor.module.categories[int(label)].name}, " in result.title


def test_gradcam_of_things_and_stuff() -> None:
    predictor, image = small(PANOPTIC), random_image()
    (found,) = predictor.predict(image)
    assert isinstance(found, PanopticSegmentation)
    assert explain(predictor, image, detection=0).title.startswith("Grad-CAM of detection 0: ")
    stuff = predictor.module.categories[len(predictor.module.detector.categories)].name
    result = explain(predictor, image, class_name=stuff)
    with Recorded(predictor.module, "c5") as recorded:
        features = predictor.module.detector.extract_features(recorded_inputs(predictor, image))
        logits = predictor.module.semantic_head(features)[0]
        pixels = logits.argmax(0) == 1
        expected = recorded.cam(logits[1][pixels].sum() if pixels.any() else logits[1].sum())
    np.testing.assert_allclose(result.grid, expected, atol=1e-4)


@pytest.mark.parametrize("level", LEVELS)
def test_gradcam_of_a_backbone_of_python(tmp_path: Path, level: str) -> None:
    """Its stages are not known, only their outputs, through which the gradient of the finer ones flows too."""
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(json.dumps(SEMANTIC))
    network = splitnest.build(recipe, backbone=Pyramid())
    predictor, image = splitnest.load(recipe, weights=None, device="cpu", model=network), random_image()
    result = explain(predictor, image, level=level)
    features = network.backbone(recorded_inputs(predictor, image))
    logits = network.decode_head(features)[0]
    label = int(torch.bincount(logits.argmax(0).flatten()).argmax())
    (gradient,) = torch.autograd.grad(logits[label][logits.argmax(0) == label].sum(), features[level])
    expected = torch.einsum("c,chw->hw", gradient[0].mean((1, 2)), features[level][0]).clamp(min=0).detach()
    expected = (expected - expected.min()) / (expected - expected.min()).max().clamp(min=1e-12)
    np.testing.assert_allclose(result.grid, expected.numpy(), atol=1e-4)


@pytest.mark.parametrize("name", [CLASSIFIER, DETECTOR, SEGMENTOR, PANOPTIC])
def test_eigencam_is_the_first_singular_direction(name: str) -> None:
    predictor, image = small(name), random_image()
    result = explain(predictor, image, method="eigencam", level="c3")
    with torch.no_grad():
        stage, kept = predictor.module.backbone.get_submodule("c3"), []
        handle = stage.register_forward_hook(lambda *values: kept.append(values[2]))
        predictor.module.backbone(predictor.prepared_batch([image]).images)
        handle.remove()
    rows = kept[0][0].flatten(1).T.numpy()
    u, s, _ = np.linalg.svd(rows, full_matrices=False)
    projection = np.abs(u[:, 0] * s[0]).reshape(kept[0].shape[2:])  # features after ReLU: one sign
    projection -= projection.min()
    np.testing.assert_allclose(result.grid, projection / projection.max(), atol=1e-4)
    assert result.title == "EigenCAM, c3"


def test_explanation_leaves_the_model_as_it_was() -> None:
    predictor, image = small(DETECTOR), random_image()
    before = predictor.predict(image)[0]
    explain(predictor, image)
    after = predictor.predict(image)[0]
    np.testing.assert_array_equal(before.boxes, after.boxes)  # type: ignore[union-attr]
    assert torch.is_grad_enabled()
    assert all(parameter.grad is None for parameter in predictor.module.parameters())
    assert not any(part._forward_hooks for part in predictor.module.modules())


def test_a_bright_patch_is_found_where_it_is() -> None:
    predictor = small(DETECTOR)
    image = np.zeros((64, 64, 3), np.uint8)
    image[40:60, 4:24] = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    values = explain(predictor, image, method="eigencam", level="c2").values
    quarters = [values[:32, :32].mean(), values[:32, 32:].mean(), values[32:, :32].mean(), values[32:, 32:].mean()]
    assert int(np.argmax(quarters)) == 2


def test_values_are_bilinear_and_end_at_the_region() -> None:
    grid = np.random.default_rng(0).random((3, 5), np.float32)
    whole = HeatMap(grid, (0, 0, 50, 30), "", image_size=(30, 50))
    expected = F.interpolate(torch.from_numpy(grid)[None, None], (30, 50), mode="bilinear")[0, 0].numpy()
    np.testing.assert_allclose(whole.values, expected, atol=1e-6)
    padded = HeatMap(grid, (0, 0, 50, 30), "", image_size=(20, 40))
    np.testing.assert_allclose(padded.values, expected[:20, :40], atol=1e-6)
    cropped = HeatMap(grid, (10, 5, 60, 35), "", image_size=(40, 70)).values
    np.testing.assert_allclose(cropped[5:35, 10:60], expected, atol=1e-6)
    assert not cropped[:5].any()
    assert not cropped[:, 60:].any()


def test_picture_has_the_image_and_a_legend(tmp_path: Path) -> None:
    image = random_image()
    result = explain(small(CLASSIFIER), image)
    drawn = result.draw(image)
    assert drawn.shape[1] == 448
    assert drawn.shape[0] > 448 * 61 / 97
    result.save(tmp_path / "heat.png")
    result.save(tmp_path / "heat.json")
    assert result.to_dict()["image_size"] == [61, 97]
    assert HeatMap(np.zeros((2, 2), np.float32), (0, 0, 1, 1), "x", image_size=(1, 1)).draw(image[:1, :1]).any()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (CLASSIFIER, {"class_name": "tenchh"}, "no class 'tenchh'. Did you mean 'tench'"),
        (CLASSIFIER, {"class_name": "§§§"}, "no class '§§§'. It has tench"),
        (CLASSIFIER, {"detection": 0}, "A classifier has no detections. Give a class"),
        (SEGMENTOR, {"detection": 0}, "A segmentor has no detections."),
        (DETECTOR, {"detection": 1000}, r"no detection 1000. The image has \d+, from 0"),
        (DETECTOR, {"detection": -1}, "no detection -1."),
        (DETECTOR, {"detection": 0, "class_name": "person"}, "Both a class and a detection"),
        (DETECTOR, {"method": "eigencam", "class_name": "person"}, "EigenCAM depends on no class"),
        (CLASSIFIER, {"method": "cam"}, "no method 'cam'"),
        (CLASSIFIER, {"level": "p2"}, "'p2'"),
        ("simplebaseline_resnest50_256x192_coco.mmpose", {}, "no explanation: its task is pose"),
    ],
)
def test_bad_arguments(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        explain(small(name), random_image(), **options)


def test_nothing_is_detected() -> None:
    predictor = small(DETECTOR)
    predictor.module.post.score_threshold = 1.0
    with pytest.raises(UsageError, match="Nothing is detected"):
        explain(predictor, random_image())


def test_a_class_that_is_not_detected() -> None:
    predictor, image = small(DETECTOR), random_image()
    (found,) = predictor.predict(image)
    assert isinstance(found, Detections)
    absent = next(c.name for n, c in enumerate(found.categories) if n not in found.labels)
    with pytest.raises(UsageError, match=f"No {absent} is detected in the image. It has 0 "):
        explain(predictor, image, class_name=absent)


def test_fast_models_have_eigencam_only() -> None:
    options = {"weights": None, "device": "cpu", "overrides": FAMILIES[CLASSIFIER]}
    torch.manual_seed(0)
    plain = splitnest.load(CLASSIFIER, **options)
    fast = splitnest.load(CLASSIFIER, **options, fast=True)
    with pytest.raises(UsageError, match="was loaded with fast=True"):
        explain(fast, random_image())
    torch.manual_seed(0)
    assert explain(fast, random_image(), method="eigencam").grid.shape == explain(plain, random_image()).grid.shape


def test_an_exported_model_has_no_explanation() -> None:
    recipe = load_small(CLASSIFIER).recipe
    exported = splitnest.Predictor(ExportedModel(recipe, lambda *inputs: []), recipe)
    with pytest.raises(UsageError, match="is an exported model, whose features cannot be read"):
        explain(exported, random_image(), method="eigencam")


def test_an_unreadable_image(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        explain(small(CLASSIFIER), tmp_path / "absent.png")
