"""Test-time augmentation: one view is plain prediction, mirror images map back, memory does not grow with views."""

import weakref
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import splitnest
from splitnest.detection.mask_head import paste_masks
from splitnest.inference.detection import LONG_SIDE, SHORT_SIDES, DetectionTTA, View
from splitnest.inference.tta import augmented
from splitnest.results import Detections

SMALL = {"model.backbone.depth": 14, "model.backbone.planes": 16, "model.backbone.base_width": 64}
DETECTOR = {
    **SMALL,
    "model.fpn_channels": 16,
    "model.box_channels": 16,
    "model.box_features": 32,
    "input.short_side": 96,
    "data.classes": ["circle", "square"],
}
MASKS = {**DETECTOR, "model.mask_channels": 16}
DETECTORS = {
    "faster_rcnn_resnest50_fpn_1x_coco.mmdet": DETECTOR,
    "mask_rcnn_resnest50_fpn_1x_coco.mmdet": MASKS,
    "cascade_rcnn_resnest50_fpn_1x_coco.mmdet": DETECTOR,
    "cascade_mask_rcnn_resnest50_fpn_1x_coco.mmdet": MASKS,
    "faster_rcnn_resnest50_fpn_1x_coco.detectron2": DETECTOR,
    "mask_rcnn_resnest50_fpn_1x_coco.detectron2": MASKS,
    "cascade_mask_rcnn_resnest50_fpn_1x_coco.detectron2": MASKS,
}
WITH_MASKS = "mask_rcnn_resnest50_fpn_1x_coco.detectron2"


def small(name: str, overrides: dict[str, Any]) -> splitnest.Predictor:
    """Return an untrained detector of two classes, whose scores are over 0.05, in float64: no ties, little rounding."""
    torch.manual_seed(0)
    predictor = splitnest.load(name, weights=None, device="cpu", overrides=overrides)
    predictor.module.double()
    return predictor


@pytest.fixture(scope="module")
def with_masks() -> splitnest.Predictor:
    return small(WITH_MASKS, MASKS)


def one_view(predictor: splitnest.Predictor, **options: Any) -> DetectionTTA:
    """Return the augmentation whose only size is that of plain prediction."""
    facts = predictor.recipe.input
    options = {"short_sides": (facts.short_side,), "long_side": facts.long_side, "flip": False, **options}
    return DetectionTTA(predictor.module, facts, **options)


def photograph(height: int = 61, width: int = 97) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def check_same(a: Detections, b: Detections) -> None:
    assert len(a) == len(b) > 0
    assert np.array_equal(a.labels, b.labels)
    assert np.abs(a.scores - b.scores).max() < 1e-6
    assert np.abs(a.boxes - b.boxes).max() < 1e-3
    assert (a.masks is None) == (b.masks is None)
    if a.masks is not None and b.masks is not None:
        assert np.array_equal(a.masks, b.masks)


@pytest.mark.parametrize("name", DETECTORS)
def test_nothing_found(name: str) -> None:
    predictor = small(name, DETECTORS[name])
    predictor.module.post.score_threshold = 1.0
    result = one_view(predictor, flip=True)(photograph())
    assert len(result) == 0
    assert result.image_size == (61, 97)
    if predictor.module.has_masks:
        assert result.masks.shape == (0, 61, 97)


def test_one_pixel(with_masks: splitnest.Predictor) -> None:
    assert one_view(with_masks, flip=True)(photograph(1, 1)).image_size == (1, 1)


def test_no_views(with_masks: splitnest.Predictor) -> None:
    with pytest.raises(ValueError, match="no views"):
        one_view(with_masks, short_sides=())


@pytest.mark.parametrize("name", DETECTORS)
def test_one_view_is_plain_prediction(name: str) -> None:
    predictor = small(name, DETECTORS[name])
    for size in ((61, 97), (130, 110), (40, 180)):
        (plain,) = predictor.predict(photograph(*size))
        check_same(one_view(predictor)(photograph(*size)), plain)


def test_a_view_twice_is_a_view_once(with_masks: splitnest.Predictor) -> None:
    once, twice = one_view(with_masks), one_view(with_masks, short_sides=(96, 96))
    check_same(twice(photograph()), once(photograph()))


def test_detections_of_a_mirrored_photograph_are_mirrored(with_masks: splitnest.Predictor) -> None:
    tta = one_view(with_masks, short_sides=(64,), flip=True)
    image = photograph(64, 96)
    found, of_mirrored = tta(image, resize=False), tta(image[:, ::-1], resize=False)
    boxes = of_mirrored.boxes[:, [2, 1, 0, 3]]
    boxes[:, [0, 2]] = 96 - boxes[:, [0, 2]]
    check_same(replace(of_mirrored, boxes=boxes, masks=of_mirrored.masks[:, :, ::-1]), found)


sides = st.integers(1, 400)


@given(st.tuples(sides, sides), st.tuples(sides, sides), st.booleans())
def test_boxes_map_back(size: tuple[int, int], original: tuple[int, int], mirrored: bool) -> None:
    view = View(np.zeros((*size, 3), np.uint8), mirrored, original)
    corners = torch.rand(20, 2, 2, dtype=torch.float64).sort(dim=1).values.flatten(1)
    boxes = corners * torch.tensor([original[1], original[0]] * 2)
    seen = view.from_photograph(boxes)
    assert (seen[:, 2:] >= seen[:, :2]).all()
    assert (seen >= -1e-9).all()
    assert (seen[:, 2:].amax(0) <= torch.tensor(size[::-1]) + 1e-9).all()
    assert (view.to_photograph(seen) - boxes).abs().max() < 1e-9


@pytest.mark.parametrize("mirrored", [False, True])
def test_what_is_seen_in_a_view_maps_back_within_half_a_pixel(with_masks: splitnest.Predictor, mirrored: bool) -> None:
    """A bright shape is found in the pixels of a larger view; its box and mask there are held to the photograph's."""
    original, truth = (50, 75), np.zeros((50, 75), bool)
    for row in range(10, 30):
        truth[row, 12 : 12 + 2 * (row - 9)] = True  # a triangle: its mirror image is another shape
    pixels = np.where(truth[..., None], 255, 0).astype(np.uint8).repeat(3, axis=2)
    tta = DetectionTTA(with_masks.module, with_masks.recipe.input, (137,), flip=True)
    view = list(tta._views(pixels, original))[int(mirrored)]
    assert view.mirrored == mirrored
    seen = view.pixels[..., 0] >= 128
    rows, columns = seen.any(1).nonzero()[0], seen.any(0).nonzero()[0]
    box = torch.tensor([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]], dtype=torch.float64)
    cells = torch.from_numpy(seen[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float64))
    masks = torch.nn.functional.interpolate(cells[None, None], (28, 28), mode="area")[0]

    box, masks = view.to_photograph(box), view.masks_to_photograph(masks)
    assert (box - torch.tensor([[12.0, 10, 52, 30]])).abs().max() < 0.5
    (pasted,) = paste_masks(masks, box, original).dense()
    for axis in (0, 1):  # within half a pixel: the border of a row or column moves by one pixel at most
        assert np.abs(pasted.sum(axis) - truth.sum(axis)).max() <= 1
    assert (pasted & truth).sum() / (pasted | truth).sum() > 0.95


class Watch:
    """Counts the images that a network sees, and holds that the feature maps of no earlier batch are in memory."""

    def __init__(self, predictor: splitnest.Predictor) -> None:
        self.batches: list[int] = []
        self.maps: list[weakref.ref[Tensor]] = []
        self.hooks = [
            predictor.module.backbone.register_forward_pre_hook(self.before),
            predictor.module.neck.register_forward_hook(self.after),
        ]

    def before(self, _: Any, inputs: tuple[Tensor]) -> None:
        self.batches.append(len(inputs[0]))
        assert all(reference() is None for reference in self.maps)

    def after(self, _: Any, __: Any, levels: dict[str, Tensor]) -> None:
        self.maps.extend(weakref.ref(level) for level in levels.values())

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self.hooks:
            hook.remove()


@pytest.mark.parametrize("probability", [0.3, 0.7])
def test_masks_are_averaged(probability: float) -> None:
    predictor = small(WITH_MASKS, MASKS)
    for head in predictor.module.roi_heads.mask_heads:
        torch.nn.init.zeros_(head.logits.weight)
        torch.nn.init.constant_(head.logits.bias, np.log(probability / (1 - probability)))
    result = one_view(predictor, short_sides=(64, 96), flip=True)(photograph())
    large = (result.boxes[:, 2:] - result.boxes[:, :2]).min(1) > 4
    assert large.any()
    assert (result.masks[large].any((1, 2)) == (probability > 0.5)).all()


@pytest.mark.parametrize("num_sizes", [1, 2, 4])
def test_memory_does_not_grow_with_views(with_masks: splitnest.Predictor, num_sizes: int) -> None:
    tta = one_view(with_masks, short_sides=(64, 70, 76, 82)[:num_sizes], flip=True)
    with Watch(with_masks) as watch:
        tta(photograph())
    assert max(watch.batches) <= 3
    assert sum(watch.batches) == 2 * 2 * num_sizes  # its mirror image, and the second pass: linear in views


def test_without_masks_there_is_no_second_pass() -> None:
    predictor = small("faster_rcnn_resnest50_fpn_1x_coco.detectron2", {**DETECTOR, "input.short_side": 32})
    with Watch(predictor) as watch:
        predictor.predict(photograph(), tta=True)
    assert watch.batches == [3] * 6


def test_published_views() -> None:
    predictor = small(WITH_MASKS, {**MASKS, "input.short_side": 800})
    tta = augmented(predictor.module, predictor.recipe)
    assert [facts.short_side for facts in tta.sizes] == list(SHORT_SIDES) == list(range(400, 1201, 100))
    assert {facts.long_side for facts in tta.sizes} == {LONG_SIDE} == {4000}
    assert (tta.flip, tta.batch_size) == (True, 3)


def test_views_of_a_smaller_input_are_smaller(with_masks: splitnest.Predictor) -> None:
    tta = augmented(with_masks.module, with_masks.recipe)
    assert [facts.short_side for facts in tta.sizes] == list(range(48, 145, 12))
    assert {facts.long_side for facts in tta.sizes} == {480}


def test_predict_streams() -> None:
    predictor = small(WITH_MASKS, {**MASKS, "input.short_side": 32})
    images = [photograph(30, 40), photograph(40, 30)]
    streamed = predictor.predict(images, stream=True, tta=True)
    assert [result.image_size for result in streamed] == [(30, 40), (40, 30)]


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("resnest50_imagenet.official", SMALL),
        ("panoptic_fpn_resnest200_3x_coco.detectron2", {**SMALL, "model.fpn_channels": 16, "model.box_features": 16}),
    ],
)
def test_models_without(name: str, overrides: dict[str, Any]) -> None:
    predictor = splitnest.load(name, weights=None, device="cpu", overrides=overrides)
    with pytest.raises(splitnest.UsageError, match=rf"{name} has no test-time augmentation"):
        predictor.predict(photograph(), tta=True)
