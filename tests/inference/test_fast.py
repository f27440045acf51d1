"""Fused networks, and raw outputs of fixed shapes: both compute what the network itself computes."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import splitnest
from helpers.families import (
    DETECTORS,
    FAMILIES,
    PANOPTIC,
    VARIANTS,
    detector_of,
    load_small,
    random_image,
    randomize_detections,
    randomize_norms,
)
from splitnest.inference.fast import make_fast
from splitnest.models.base import Model
from splitnest.models.detection.panoptic_fpn import PanopticFPN
from splitnest.models.detection.rcnn import RCNN
from splitnest.models.detection.regions import Regions
from splitnest.models.layers.conv import ConvNormAct, StandardizedConv2d
from splitnest.weights import save


def layer_outputs(module: Model, images: Tensor) -> list[Tensor]:
    """Return the outputs of all layers for some images, before anything is selected by its score."""
    features = module.backbone(images)
    outputs = [*features.values()]
    if not isinstance(module, RCNN | PanopticFPN):
        return [*outputs, module(images)]
    detector = detector_of(module)
    levels = detector.neck(features)
    boxes = torch.tensor([[4.0, 4.0, 60.0, 50.0], [0.0, 8.0, 20.0, 40.0]])
    pooled = detector.roi_heads.pooler(levels, Regions.from_list([boxes]), 7)
    outputs += [*levels.values(), *(level.logits for level in detector.rpn(levels))]
    outputs += [output for head in detector.roi_heads.box_heads for output in head(pooled)]
    pooled = detector.roi_heads.pooler(levels, Regions.from_list([boxes[:1]]), 14)
    outputs += [head(pooled, torch.tensor([3])) for head in detector.roi_heads.mask_heads]
    return [*outputs, module.semantic_head(levels)] if isinstance(module, PanopticFPN) else outputs


@pytest.mark.parametrize("name", [*FAMILIES, *VARIANTS])
@pytest.mark.parametrize(
    ("dtype", "pack_weights"), [(torch.float32, True), (torch.float32, False), (torch.bfloat16, True)]
)
@torch.inference_mode()
def test_fast_network_computes_the_same(name: str, dtype: torch.dtype, pack_weights: bool) -> None:
    module = randomize_norms(load_small(name)).module
    batches = [torch.randn(count, 3, *size) for count, size in ((2, (64, 64)), (1, (96, 64)))]
    expected = [layer_outputs(module, images) for images in batches]
    make_fast(module, dtype, pack_weights=pack_weights)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in module.modules())
    for images, of_batch in zip(batches, expected, strict=True):
        for actual, output in zip(layer_outputs(module, images.to(dtype)), of_batch, strict=True):
            difference = actual.float() - output
            if dtype == torch.float32:
                assert difference.abs().max() <= 1e-5 * output.abs().max() + 1e-6
            else:
                bound = 0.1 if name in VARIANTS else 0.05  # groups of few cells
                assert difference.square().mean().sqrt() <= bound * output.square().mean().sqrt()


def test_group_normalization_is_not_folded() -> None:
    """It depends on the features; only the layers after it are fused."""
    values = {**FAMILIES["deeplabv3plus_resnest101_d8_cityscapes.mmseg"], "model.backbone.norm": "gn"}
    predictor = splitnest.load("deeplabv3plus_resnest101_d8_cityscapes", None, "cpu", values)
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        expected = predictor.module(images)
        make_fast(predictor.module)
        assert any(isinstance(part, torch.nn.GroupNorm) for part in predictor.module.modules())
        assert (predictor.module(images) - expected).abs().max() <= 1e-5 * expected.std()


@torch.inference_mode()
def test_standardized_convolution_is_folded_with_its_normalization() -> None:
    layers = torch.nn.Sequential(ConvNormAct(3, 6, 3, standardize=True), ConvNormAct(6, 4, 1, norm=None)).eval()
    norm = layers[0].norm
    for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        tensor.uniform_(0.5, 1.5)
    images = torch.randn(2, 3, 9, 7)
    expected = layers(images)
    make_fast(layers)
    assert not any(isinstance(part, StandardizedConv2d | torch.nn.BatchNorm2d) for part in layers.modules())
    assert torch.allclose(layers(images), expected, atol=1e-5)


def test_fast_model_from_a_file_predicts_the_same(tmp_path: Path) -> None:
    plain = randomize_norms(load_small("mask_rcnn_resnest50_fpn_1x_coco.detectron2"))
    torch.nn.init.normal_(plain.module.roi_heads.box_heads[0].logits.weight, std=0.5)  # so that scores differ
    save.save(plain.module, plain.recipe, tmp_path / "small.safetensors")
    image = random_image(80, 120)
    fast = splitnest.load(tmp_path / "small.safetensors", device="cpu", fast=True)
    (expected,), (actual,) = plain.predict(image), fast.predict(image)
    assert np.allclose(actual.scores, expected.scores, atol=1e-5)
    assert np.allclose(actual.boxes, expected.boxes, atol=1e-2)
    assert len(expected) > 5
    assert (actual.masks == expected.masks).mean() > 0.999
    with pytest.raises(splitnest.UsageError, match=r"no precision 'fp8'.*fp32, bf16, fp16"):
        splitnest.load(tmp_path / "small.safetensors", device="cpu", precision="fp8")


@pytest.mark.parametrize("predicts_first", [False, True])
def test_fast_model_can_be_copied_and_pickled(predicts_first: bool) -> None:
    model, image = load_small("resnest50_imagenet.official", fast=True), random_image(64, 64)
    if predicts_first:
        model.predict(image)
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    (expected,) = model.predict(image)
    for other in copies:
        assert np.array_equal(other.predict(image)[0].probabilities, expected.probabilities)


def test_threads_share_a_fast_model_from_the_first_prediction() -> None:
    model, image = load_small("resnest50_imagenet.official", fast=True), random_image(64, 64)
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda _: model.predict(image)[0].probabilities, range(8)))
    assert all(np.array_equal(result, results[0]) for result in results)


@pytest.mark.parametrize(
    "name", [*(name for name in DETECTORS if "resnet50" not in name), PANOPTIC, *list(VARIANTS)[:2]]
)
@torch.inference_mode()
def test_raw_detections_are_those_of_predict(name: str) -> None:
    """On a padded batch, although the shapes of raw detections do not depend on values."""
    predictor = randomize_norms(load_small(name))
    randomize_detections(predictor.module, logits_std=5)
    batch = predictor.batch([random_image(70, 90), random_image(96, 64)])
    raw = predictor.module(*predictor.module.forward_inputs(batch))
    detector = detector_of(predictor.module)
    from_raw = detector.detections_of(raw.detections if name == PANOPTIC else raw, batch)
    predicted = detector.detect(detector.extract_features(batch.images), batch)
    for ours, theirs in zip(from_raw, predicted, strict=True):
        assert len(ours) == len(theirs) > 5
        assert np.abs(ours.scores - theirs.scores).max() < 1e-5
        near = np.abs(ours.boxes[:, None] - theirs.boxes[None]).max(2) < 0.01
        pairs = np.argwhere(near & (ours.labels[:, None] == theirs.labels[None]))
        assert len({pair[1] for pair in pairs.tolist()}) >= 0.98 * len(theirs)
