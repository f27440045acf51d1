"""Checks that the small models of all families share: prediction, storage, gradients."""

from pathlib import Path

import numpy as np
import pytest
import torch

import splitnest
from helpers.families import (
    DETECTORS,
    FAMILIES,
    SMALL,
    detector_of,
    load_small,
    random_image,
    randomize_detections,
    whole_image_boxes,
)
from splitnest.models.build import build_model
from splitnest.models.detection.panoptic_fpn import PanopticFPN
from splitnest.models.detection.rcnn import RCNN
from splitnest.models.pose.estimator import PoseEstimator
from splitnest.models.segmentation.segmentor import Segmentor
from splitnest.recipe.overrides import apply
from splitnest.structures import SemanticSegmentation
from splitnest.structures.instances import Instances
from splitnest.weights import load, save
from splitnest.zoo import get

FASTER = "faster_rcnn_resnest50_fpn_1x_coco.mmdet"


@pytest.fixture(params=FAMILIES)
def predictor(request: pytest.FixtureRequest) -> splitnest.Predictor:
    return load_small(request.param)


def test_results_have_the_size_of_their_image(predictor: splitnest.Predictor) -> None:
    """For no image, one, several sizes in a batch, and a stream."""
    assert predictor.predict([]) == []
    sizes = [(1, 1), (33, 47), (64, 31)]
    for size in sizes:
        (result,) = predictor.predict(images := [random_image(*size)], **whole_image_boxes(predictor, images))
        assert result.image_size == size
    images = [random_image(*size) for size in sizes]
    boxes = whole_image_boxes(predictor, images)
    assert [result.image_size for result in predictor.predict(images, batch_size=2, **boxes)] == sizes
    streamed = predictor.predict(images, stream=True, **boxes)
    assert not isinstance(streamed, list)
    assert [result.image_size for result in streamed] == sizes


def test_batch_gives_the_results_of_single_images(predictor: splitnest.Predictor) -> None:
    """For images of one size: padding changes what convolutions see at borders, as in the original code bases."""
    if isinstance(predictor.module, RCNN | PanopticFPN):
        randomize_detections(predictor.module, logits_std=5)  # an untrained detector detects nothing
    predictor.module.double()  # untrained networks amplify rounding errors of float32
    images = [random_image(60, 90), 255 - random_image(60, 90), random_image(60, 90)]
    assert predictor.dtype == torch.float64
    boxes = whole_image_boxes(predictor, images)
    batched, single = predictor.predict(images, batch_size=3, **boxes), predictor.predict(images, **boxes)
    for a, b in zip(batched, single, strict=True):
        if hasattr(a, "probabilities"):
            assert np.allclose(a.probabilities, b.probabilities, atol=1e-6)
        elif isinstance(a, SemanticSegmentation):
            assert (a.labels == b.labels).all()
        elif hasattr(a, "segments"):
            assert (a.segments == b.segments).mean() > 0.99
        else:
            assert len(a) == len(b) > 0
            assert np.allclose(np.sort(a.scores), np.sort(b.scores), atol=1e-5)


def test_saved_model_is_loaded_unchanged(predictor: splitnest.Predictor, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save.save(predictor.module, predictor.recipe, path)
    again = splitnest.load(path, device="cpu")
    assert again.recipe == predictor.recipe
    state = again.module.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in predictor.module.state_dict().items())
    trainable = [p.requires_grad for p in predictor.module.parameters()]
    assert [p.requires_grad for p in again.module.parameters()] == trainable


@pytest.mark.parametrize("num_instances", [0, 2])
def test_gradients_reach_every_trainable_parameter(predictor: splitnest.Predictor, num_instances: int) -> None:
    module, images = predictor.module.train(), [random_image(64, 64)] * 2
    if isinstance(module, RCNN | PanopticFPN):
        square = np.array([8.0, 8, 56, 8, 56, 56, 8, 56])
        instances = Instances(
            torch.tensor([[8.0, 8.0, 56.0, 56.0]]).repeat(num_instances, 1),
            torch.arange(num_instances),
            ([square],) * num_instances,
        )
        label_maps = [np.full((64, 64), 255, np.uint8), np.full((64, 64), 1, np.uint8)]
        semantic = label_maps if isinstance(module, PanopticFPN) else None
        losses = module.loss(predictor.batch(images, [instances] * 2, semantic))
    elif isinstance(module, Segmentor):
        labels = np.full((64, 64), 255 if num_instances == 0 else 1, np.uint8)
        losses = module.loss(predictor.batch(images, semantic=[labels] * 2))
    elif isinstance(module, PoseEstimator):
        points = np.tile([20.0, 30.0, float(num_instances)], (17, 1))
        losses = module.loss(predictor.batch(images, keypoints=[points] * 2))
    else:
        losses = module.loss(predictor.batch(images, labels=[0, num_instances]))
    assert all(torch.isfinite(loss) and loss.ndim == 0 for loss in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    for name, parameter in module.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_any_floating_point_type_predicts_float32(predictor: splitnest.Predictor, dtype: torch.dtype) -> None:
    if isinstance(predictor.module, RCNN | PanopticFPN):
        randomize_detections(predictor.module, logits_std=5)
    predictor.module.to(dtype)
    images = [random_image(48, 64)]
    (result,) = predictor.predict(images, **whole_image_boxes(predictor, images))
    if hasattr(result, "detections"):
        result = result.detections
    if isinstance(result, SemanticSegmentation):
        return
    values = result.probabilities if hasattr(result, "probabilities") else result.boxes
    assert len(values)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()


@pytest.mark.parametrize("name", DETECTORS)
def test_raw_detections_are_padded(name: str) -> None:
    module = detector_of(load_small(name).module)
    module.post.score_threshold = 0.0
    with torch.inference_mode():
        raw = module(torch.randn(2, 3, 64, 96))
    cells = 28 if module.has_masks else 0
    shapes = [tuple(part.shape) for part in raw]
    assert shapes == [(2, 100, 4), (2, 100), (2, 100), (2, 100, cells, cells), (2,)]
    assert (raw.counts > 0).all()
    assert (raw.scores[0, raw.counts[0] :] == 0).all()


@pytest.mark.parametrize("name", DETECTORS)
def test_no_detections(name: str) -> None:
    predictor = load_small(name)
    module = detector_of(predictor.module)
    module.post.score_threshold = 1.0
    (result,) = predictor.predict(random_image(48, 64))
    assert len(result) == 0
    if module.has_masks:
        assert result.masks.shape == (0, 48, 64)


def test_frozen_stages_keep_their_statistics() -> None:
    backbone = build_model(apply(get(FASTER), FAMILIES[FASTER])).train().backbone
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    backbone(torch.randn(2, 3, 64, 64))
    moved = {key.split(".")[0] for key, value in backbone.state_dict().items() if not torch.equal(value, before[key])}
    assert moved == {"c3", "c4", "c5"}
    assert not any(p.requires_grad for p in [*backbone.stem.parameters(), *backbone.c2.parameters()])


def test_weights_of_another_model_leave_the_model_untouched(tmp_path: Path) -> None:
    source = splitnest.load("resnest50_imagenet.official", weights=None, device="cpu", overrides=SMALL)
    path = tmp_path / "classifier.safetensors"
    save.save(source.module, source.recipe, path)
    target = load_small(FASTER).module
    before = {key: value.clone() for key, value in target.state_dict().items()}
    with pytest.raises(splitnest.WeightsError):
        load.load(target, path)
    assert all(torch.equal(value, before[key]) for key, value in target.state_dict().items())
