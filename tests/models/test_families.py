"""One set of checks for the models of every family, small."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import splitnest
from splitnest.batch import Instances
from splitnest.build import build_model
from splitnest.detection.rcnn import RCNN
from splitnest.inference.fast import make_fast
from splitnest.pose.estimator import PoseEstimator
from splitnest.resolve import resolve
from splitnest.results import SemanticSegmentation
from splitnest.segmentation.segmentor import Segmentor
from splitnest.weights import load, save

SMALL = {"model.backbone.depth": 14, "model.backbone.planes": 16, "model.backbone.base_width": 64}
DETECTOR = {
    **SMALL,
    "model.fpn_channels": 16,
    "model.box_channels": 16,
    "model.box_features": 32,
    "input.short_side": 96,
}
SEGMENTOR = {**SMALL, "model.head_channels": 16, "model.auxiliary_channels": 8, "input.short_side": 96}
FAMILIES = {
    "resnest50_imagenet.official": SMALL,
    "resnest50_fast_4s2x40d_imagenet.official": {**SMALL, "model.backbone.base_width": 40, "model.backbone.planes": 32},
    "faster_rcnn_resnest50_fpn_1x_coco.mmdet": DETECTOR,
    "mask_rcnn_resnest50_fpn_1x_coco.mmdet": {**DETECTOR, "model.mask_channels": 16},
    "mask_rcnn_resnest50_fpn_1x_coco.detectron2": {**DETECTOR, "model.mask_channels": 16},
    "faster_rcnn_resnet50_fpn_1x_coco.detectron2": {**DETECTOR, "model.backbone.depth": 50},
    "faster_rcnn_resnest50_dcn_fpn_1x_coco.detectron2": DETECTOR,
    "cascade_mask_rcnn_resnest50_fpn_1x_coco.mmdet": {**DETECTOR, "model.mask_channels": 16},
    "cascade_rcnn_resnest50_fpn_1x_coco.detectron2": DETECTOR,
    "panoptic_fpn_resnest200_3x_coco.detectron2": {
        **DETECTOR,
        "model.mask_channels": 16,
        "model.panoptic.channels": 8,
        "model.panoptic.min_stuff_area": 1,
    },
    "fcn_resnest101_d8_ade20k.mmseg": SEGMENTOR,
    "pspnet_resnest101_d8_cityscapes.mmseg": SEGMENTOR,
    "deeplabv3_resnest101_d8_ade20k.mmseg": SEGMENTOR,
    "deeplabv3plus_resnest101_d8_cityscapes.mmseg": SEGMENTOR,
    "simplebaseline_resnest50_256x192_coco.mmpose": {
        **SMALL,
        "model.deconv_channels": [16, 16, 16],
        "input.height": 64,
        "input.width": 64,
    },
}
DETECTORS = [name for name in FAMILIES if "rcnn" in name]


@pytest.fixture(params=FAMILIES)
def predictor(request: pytest.FixtureRequest) -> splitnest.Predictor:
    return splitnest.load(request.param, weights=None, device="cpu", overrides=FAMILIES[request.param])


def photograph(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def whole(predictor: splitnest.Predictor, images: list[np.ndarray]) -> dict[str, Any]:
    """Return what tells a pose estimator that each photograph is of one person; nothing for other models."""
    if predictor.recipe.task != "pose":
        return {}
    return {"boxes_xywh": [np.array([[0, 0, image.shape[1], image.shape[0]]]) for image in images]}


def test_no_images_give_no_results(predictor: splitnest.Predictor) -> None:
    assert predictor.predict([]) == []


@pytest.mark.parametrize("size", [(1, 1), (33, 47), (64, 31)])
def test_odd_sizes(predictor: splitnest.Predictor, size: tuple[int, int]) -> None:
    images = [photograph(*size)]
    (result,) = predictor.predict(images, **whole(predictor, images))
    assert result.image_size == size


def test_a_batch_equals_one_by_one(predictor: splitnest.Predictor) -> None:
    """Of one size: padding to a common size moves what convolutions see at the border, here as in the originals."""
    predictor.module.double()  # an untrained ResNet-50 amplifies float32's rounding beyond any bound
    images = [photograph(60, 90), 255 - photograph(60, 90), photograph(60, 90)]
    assert predictor.dtype == torch.float64
    people = whole(predictor, images)
    together, apart = predictor.predict(images, batch_size=3, **people), predictor.predict(images, **people)
    for a, b in zip(together, apart, strict=True):
        if hasattr(a, "probabilities"):
            assert np.allclose(a.probabilities, b.probabilities, atol=1e-6)
        elif isinstance(a, SemanticSegmentation):
            assert (a.labels == b.labels).all()
        elif hasattr(a, "segments"):
            assert (a.segments == b.segments).mean() > 0.99
        else:
            assert len(a) == len(b)
            assert np.allclose(np.sort(a.scores), np.sort(b.scores), atol=1e-5)


def test_sizes_may_differ_in_a_batch(predictor: splitnest.Predictor) -> None:
    images = [photograph(60, 90), photograph(90, 60)]
    found = predictor.predict(images, batch_size=2, **whole(predictor, images))
    assert [r.image_size for r in found] == [(60, 90), (90, 60)]


def test_stream_gives_the_same(predictor: splitnest.Predictor) -> None:
    images = [photograph(40, 40), photograph(50, 40)]
    people = whole(predictor, images)
    streamed = predictor.predict(images, stream=True, **people)
    assert not isinstance(streamed, list)
    assert [r.image_size for r in streamed] == [r.image_size for r in predictor.predict(images, **people)]


def test_save_and_load(predictor: splitnest.Predictor, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save.save(predictor.module, predictor.recipe, path)
    again = splitnest.load(path, device="cpu")
    assert again.recipe == predictor.recipe
    state = again.module.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in predictor.module.state_dict().items())
    trainable = [p.requires_grad for p in predictor.module.parameters()]
    assert [p.requires_grad for p in again.module.parameters()] == trainable


@pytest.mark.parametrize("num_objects", [0, 2])
def test_gradients_reach_every_trainable_parameter(predictor: splitnest.Predictor, num_objects: int) -> None:
    module = predictor.module.train()
    if isinstance(module, RCNN):
        square = np.array([8.0, 8, 56, 8, 56, 56, 8, 56])
        objects = Instances(
            torch.tensor([[8.0, 8.0, 56.0, 56.0]]).repeat(num_objects, 1),
            torch.arange(num_objects),
            ([square],) * num_objects,
        )
        semantic = [np.full((64, 64), 255, np.uint8), np.full((64, 64), 1, np.uint8)]
        losses = module.loss(predictor.batch([photograph(64, 64)] * 2, [objects] * 2, semantic))
    elif isinstance(module, Segmentor):
        labels = np.full((64, 64), 255 if num_objects == 0 else 1, np.uint8)
        losses = module.loss(predictor.batch([photograph(64, 64)] * 2, semantic=[labels] * 2))
    elif isinstance(module, PoseEstimator):
        points = np.tile([20.0, 30.0, float(num_objects)], (17, 1))
        losses = module.loss(predictor.batch([photograph(64, 64)] * 2, keypoints=[points] * 2))
    else:
        losses = module.loss(predictor.batch([photograph(64, 64)] * 2, labels=[0, num_objects]))
    assert all(torch.isfinite(loss) and loss.ndim == 0 for loss in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    for name, parameter in module.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name


@pytest.mark.parametrize("name", DETECTORS)
def test_raw_output_is_padded(name: str) -> None:
    module = splitnest.load(name, weights=None, device="cpu", overrides=FAMILIES[name]).module
    module.post.score_threshold = 0.0
    with torch.inference_mode():
        raw = module(torch.randn(2, 3, 64, 96))
    cells = 28 if module.has_masks else 0
    shapes = [tuple(part.shape) for part in raw]
    assert shapes == [(2, 100, 4), (2, 100), (2, 100), (2, 100, cells, cells), (2,)]
    assert (raw.counts > 0).all()
    assert (raw.scores[0, raw.counts[0] :] == 0).all()


@pytest.mark.parametrize("name", DETECTORS)
def test_nothing_found(name: str) -> None:
    predictor = splitnest.load(name, weights=None, device="cpu", overrides=FAMILIES[name])
    predictor.module.post.score_threshold = 1.0
    (result,) = predictor.predict(photograph(48, 64))
    assert len(result) == 0
    if predictor.module.has_masks:
        assert result.masks.shape == (0, 48, 64)


def test_frozen_stages_keep_their_statistics() -> None:
    recipe, _ = resolve("faster_rcnn_resnest50_fpn_1x_coco.mmdet", DETECTOR)
    backbone = build_model(recipe).train().backbone
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    backbone(torch.randn(2, 3, 64, 64))
    moved = {key.split(".")[0] for key, value in backbone.state_dict().items() if not torch.equal(value, before[key])}
    assert moved == {"c3", "c4", "c5"}
    assert not any(p.requires_grad for p in [*backbone.stem.parameters(), *backbone.c2.parameters()])


def test_weights_of_another_model_leave_the_model_untouched(tmp_path: Path) -> None:
    source = splitnest.load("resnest50_imagenet.official", weights=None, device="cpu", overrides=SMALL)
    path = tmp_path / "classifier.safetensors"
    save.save(source.module, source.recipe, path)
    name = "faster_rcnn_resnest50_fpn_1x_coco.mmdet"
    target = splitnest.load(name, weights=None, device="cpu", overrides=FAMILIES[name]).module
    before = {key: value.clone() for key, value in target.state_dict().items()}
    with pytest.raises(splitnest.WeightsError):
        load.load(target, path)
    assert all(torch.equal(value, before[key]) for key, value in target.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_any_floating_type(predictor: splitnest.Predictor, dtype: torch.dtype) -> None:
    predictor.module.to(dtype)
    images = [photograph(48, 64)]
    (result,) = predictor.predict(images, **whole(predictor, images))
    if hasattr(result, "detections"):
        result = result.detections
    if isinstance(result, SemanticSegmentation):
        return
    values = result.probabilities if hasattr(result, "probabilities") else result.boxes
    assert values.dtype == np.float32
    assert np.isfinite(values).all()


@torch.no_grad()
def with_statistics(predictor: splitnest.Predictor) -> splitnest.Predictor:
    """Give the normalisations of a network statistics, scales and shifts that do something."""
    torch.manual_seed(1)
    for key, tensor in predictor.module.state_dict().items():
        if key.endswith(("running_var", "norm.weight")):
            tensor.uniform_(0.5, 1.5)
        elif key.endswith(("running_mean", "norm.bias")):
            tensor.normal_(0, 0.2)
    return predictor


def layer_outputs(module: Any, images: torch.Tensor) -> list[torch.Tensor]:
    """Return what the layers of a network make of images, before anything is chosen by its score."""
    features = module.backbone(images)
    outputs = [*features.values()]
    if isinstance(module, RCNN):
        levels = module.neck(features)
        regions = module.roi_heads.pooler(levels, [torch.tensor([[4.0, 4.0, 60.0, 50.0], [0.0, 8.0, 20.0, 40.0]])], 7)
        outputs += [*levels.values(), *(p.logits for p in module.rpn(levels))]
        outputs += [output for head in module.roi_heads.box_heads for output in head(regions)]
        cells = module.roi_heads.pooler(levels, [torch.tensor([[4.0, 4.0, 60.0, 50.0]])], 14)
        outputs += [head(cells, torch.tensor([3])) for head in module.roi_heads.mask_heads]
    else:
        outputs.append(module(images))
    return outputs


@pytest.mark.parametrize(("dtype", "packs"), [(torch.float32, True), (torch.float32, False), (torch.bfloat16, True)])
@torch.inference_mode()
def test_a_fast_network_gives_the_same(predictor: splitnest.Predictor, dtype: torch.dtype, packs: bool) -> None:
    module = with_statistics(predictor).module
    batches = [torch.randn(count, 3, *size) for count, size in ((2, (64, 64)), (1, (96, 64)))]
    expected = [layer_outputs(module, images) for images in batches]
    make_fast(module, dtype, packs=packs)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in module.modules())
    for images, of_batch in zip(batches, expected, strict=True):
        for found, output in zip(layer_outputs(module, images.to(dtype)), of_batch, strict=True):
            difference = found.float() - output
            if dtype == torch.float32:
                assert difference.abs().max() <= 1e-5 * output.abs().max() + 1e-6
            else:
                assert difference.square().mean().sqrt() <= 0.05 * output.square().mean().sqrt()


def test_group_normalisation_stays(tmp_path: Path) -> None:
    """It depends on the maps: only what follows is left to fuse."""
    values = {**FAMILIES["deeplabv3plus_resnest101_d8_cityscapes.mmseg"], "model.backbone.norm": "gn"}
    predictor = splitnest.load("deeplabv3plus_resnest101_d8_cityscapes", None, "cpu", values)
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        expected = predictor.module(images)
        make_fast(predictor.module)
        assert any(isinstance(part, torch.nn.GroupNorm) for part in predictor.module.modules())
        assert (predictor.module(images) - expected).abs().max() <= 1e-5 * expected.std()


def test_loading_a_fast_model(tmp_path: Path) -> None:
    name, values = "mask_rcnn_resnest50_fpn_1x_coco.detectron2", FAMILIES["mask_rcnn_resnest50_fpn_1x_coco.detectron2"]
    plain = with_statistics(splitnest.load(name, None, "cpu", values))
    torch.nn.init.normal_(plain.module.roi_heads.box_heads[0].logits.weight, std=0.5)  # so that scores differ
    save.save(plain.module, plain.recipe, tmp_path / "small.safetensors")
    image = photograph(80, 120)
    fast = splitnest.load(tmp_path / "small.safetensors", device="cpu", fast=True)
    (expected,), (found,) = plain.predict(image), fast.predict(image)
    assert np.allclose(found.scores, expected.scores, atol=1e-5)
    assert np.allclose(found.boxes, expected.boxes, atol=1e-2)
    assert len(expected) > 5
    assert (found.masks == expected.masks).mean() > 0.999
    with pytest.raises(splitnest.UsageError, match="no precision 'fp8'; use fp32, bf16, fp16"):
        splitnest.load(tmp_path / "small.safetensors", device="cpu", precision="fp8")


@pytest.mark.parametrize(
    "name", [*(name for name in DETECTORS if "resnet50" not in name), "panoptic_fpn_resnest200_3x_coco.detectron2"]
)
@torch.inference_mode()
def test_raw_detections_are_those_of_predict(name: str) -> None:
    """With shapes that do not depend on what is found, on a padded batch."""
    predictor = with_statistics(splitnest.load(name, None, "cpu", FAMILIES[name]))
    module = predictor.module
    for layer, deviation in ((module.rpn.logits, 0.5), (module.rpn.deltas, 0.05)):
        torch.nn.init.normal_(layer.weight, std=deviation)
    torch.nn.init.normal_(module.roi_heads.box_heads[-1].logits.weight, std=5)
    batch = predictor.batch([photograph(70, 90), photograph(96, 64)])
    raw = module(batch.images, torch.tensor(batch.sizes, dtype=torch.float32))
    found = module.from_raw(getattr(raw, "detections", raw), batch)
    for ours, theirs in zip(found, module.detections(module.neck(module.backbone(batch.images)), batch), strict=True):
        assert len(ours) == len(theirs) > 5
        assert np.abs(ours.scores - theirs.scores).max() < 1e-5
        near = np.abs(ours.boxes[:, None] - theirs.boxes[None]).max(2) < 0.01
        pairs = np.argwhere(near & (ours.labels[:, None] == theirs.labels[None]))
        assert len({pair[1] for pair in pairs.tolist()}) >= 0.98 * len(theirs)
