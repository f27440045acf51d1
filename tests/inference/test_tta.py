"""Test-time augmentation: one view is plain prediction, boxes map back, memory does not grow with views."""

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
from helpers.families import DETECTOR, PANOPTIC, load_small
from splitnest.inference.detection_tta import LONG_SIDE, SHORT_SIDES, DetectionTTA, View
from splitnest.inference.tta import published_tta
from splitnest.models.detection.mask_head import paste_masks
from splitnest.structures import Detections

DETECTORS = [
    "faster_rcnn_resnest50_fpn_1x_coco.mmdet",
    "mask_rcnn_resnest50_fpn_1x_coco.mmdet",
    "cascade_rcnn_resnest50_fpn_1x_coco.mmdet",
    "cascade_mask_rcnn_resnest50_fpn_1x_coco.mmdet",
    "faster_rcnn_resnest50_fpn_1x_coco.detectron2",
    "mask_rcnn_resnest50_fpn_1x_coco.detectron2",
    "cascade_mask_rcnn_resnest50_fpn_1x_coco.detectron2",
]
WITH_MASKS = "mask_rcnn_resnest50_fpn_1x_coco.detectron2"
SIDE = 32
"""Short side of the input of the small detectors in pixels."""


def small(name: str, **overrides: Any) -> splitnest.Predictor:
    """Return an untrained detector of two classes, whose scores exceed 0.05, in float64: no ties, little rounding."""
    torch.manual_seed(0)
    values = {**DETECTOR, "model.mask_channels": 16, "input.short_side": SIDE, "data.classes": ["circle", "square"]}
    predictor = splitnest.load(name, weights=None, device="cpu", overrides={**values, **overrides})
    predictor.module.double()
    return predictor


@pytest.fixture(scope="module")
def with_masks() -> splitnest.Predictor:
    return small(WITH_MASKS)


def one_view(predictor: splitnest.Predictor, **options: Any) -> DetectionTTA:
    """Return the augmentation whose only size is that of plain prediction."""
    input_cfg = predictor.recipe.input
    options = {"short_sides": (input_cfg.short_side,), "long_side": input_cfg.long_side, "flip": False, **options}
    return DetectionTTA(predictor.module, input_cfg, **options)


def random_image(height: int = 61, width: int = 97) -> np.ndarray:
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
def test_no_detections(name: str) -> None:
    predictor = small(name)
    predictor.module.post.score_threshold = 1.0
    result = one_view(predictor, flip=True)(random_image())
    assert len(result) == 0
    assert result.image_size == (61, 97)
    if predictor.module.has_masks:
        assert result.masks.shape == (0, 61, 97)


def test_image_of_one_pixel(with_masks: splitnest.Predictor) -> None:
    assert one_view(with_masks, flip=True)(random_image(1, 1)).image_size == (1, 1)


def test_no_views_are_an_error(with_masks: splitnest.Predictor) -> None:
    with pytest.raises(ValueError, match="no views"):
        one_view(with_masks, short_sides=())


@pytest.mark.parametrize("name", DETECTORS)
def test_one_view_is_plain_prediction(name: str) -> None:
    predictor = small(name)
    for size in ((61, 97), (130, 110), (40, 180)):
        (plain,) = predictor.predict(random_image(*size))
        check_same(one_view(predictor)(random_image(*size)), plain)


def test_same_view_twice_changes_nothing(with_masks: splitnest.Predictor) -> None:
    once, twice = one_view(with_masks), one_view(with_masks, short_sides=(SIDE, SIDE))
    check_same(twice(random_image()), once(random_image()))


def test_detections_of_a_flipped_image_are_flipped(with_masks: splitnest.Predictor) -> None:
    tta = one_view(with_masks, short_sides=(64,), flip=True)
    image = random_image(64, 96)
    detections, of_flipped = tta(image, resize=False), tta(image[:, ::-1], resize=False)
    boxes = of_flipped.boxes[:, [2, 1, 0, 3]]
    boxes[:, [0, 2]] = 96 - boxes[:, [0, 2]]
    check_same(replace(of_flipped, boxes=boxes, masks=of_flipped.masks[:, :, ::-1]), detections)


sides = st.integers(1, 400)


@given(st.tuples(sides, sides), st.tuples(sides, sides), st.booleans())
def test_boxes_map_back(size: tuple[int, int], original: tuple[int, int], flipped: bool) -> None:
    view = View(np.zeros((*size, 3), np.uint8), flipped, original)
    corners = torch.rand(20, 2, 2, dtype=torch.float64).sort(dim=1).values.flatten(1)
    boxes = corners * torch.tensor([original[1], original[0]] * 2)
    in_view = view.from_original(boxes)
    assert (in_view[:, 2:] >= in_view[:, :2]).all()
    assert (in_view >= -1e-9).all()
    assert (in_view[:, 2:].amax(0) <= torch.tensor(size[::-1]) + 1e-9).all()
    assert (view.to_original(in_view) - boxes).abs().max() < 1e-9


@pytest.mark.parametrize("flipped", [False, True])
def test_box_and_mask_of_a_shape_map_back_within_half_a_pixel(with_masks: splitnest.Predictor, flipped: bool) -> None:
    """The box and mask of a bright shape in the pixels of a larger view are those of the original image."""
    original, expected = (50, 75), np.zeros((50, 75), bool)
    for row in range(10, 30):
        expected[row, 12 : 12 + 2 * (row - 9)] = True  # a triangle: its flip is another shape
    pixels = np.where(expected[..., None], 255, 0).astype(np.uint8).repeat(3, axis=2)
    tta = DetectionTTA(with_masks.module, with_masks.recipe.input, (137,), flip=True)
    view = list(tta._views(pixels, original))[int(flipped)]
    assert view.flipped == flipped
    bright = view.pixels[..., 0] >= 128
    rows, columns = bright.any(1).nonzero()[0], bright.any(0).nonzero()[0]
    box = torch.tensor([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]], dtype=torch.float64)
    cells = torch.from_numpy(bright[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float64))
    masks = torch.nn.functional.interpolate(cells[None, None], (28, 28), mode="area")[0]

    box, masks = view.to_original(box), view.masks_to_original(masks)
    assert (box - torch.tensor([[12.0, 10, 52, 30]])).abs().max() < 0.5
    (pasted,) = paste_masks(masks, box, original).dense()
    for axis in (0, 1):  # within half a pixel: the border of a row or column moves by one pixel at most
        assert np.abs(pasted.sum(axis) - expected.sum(axis)).max() <= 1
    assert (pasted & expected).sum() / (pasted | expected).sum() > 0.95


class Watch:
    """Record of the batch sizes of a network, which asserts that the features of earlier batches are freed."""

    def __init__(self, predictor: splitnest.Predictor) -> None:
        self.batches: list[int] = []
        self.features: list[weakref.ref[Tensor]] = []
        self.hooks = [
            predictor.module.backbone.register_forward_pre_hook(self.before),
            predictor.module.neck.register_forward_hook(self.after),
        ]

    def before(self, _: Any, inputs: tuple[Tensor]) -> None:
        self.batches.append(len(inputs[0]))
        assert all(reference() is None for reference in self.features)

    def after(self, _: Any, __: Any, levels: dict[str, Tensor]) -> None:
        self.features.extend(weakref.ref(level) for level in levels.values())

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self.hooks:
            hook.remove()


@pytest.mark.parametrize("probability", [0.3, 0.7])
def test_masks_are_averaged(probability: float) -> None:
    predictor = small(WITH_MASKS)
    for head in predictor.module.roi_heads.mask_heads:
        torch.nn.init.zeros_(head.logits.weight)
        torch.nn.init.constant_(head.logits.bias, np.log(probability / (1 - probability)))
    result = one_view(predictor, short_sides=(24, 32), flip=True)(random_image())
    large = (result.boxes[:, 2:] - result.boxes[:, :2]).min(1) > 4
    assert large.any()
    assert (result.masks[large].any((1, 2)) == (probability > 0.5)).all()


@pytest.mark.parametrize("num_sizes", [1, 2, 4])
def test_memory_does_not_grow_with_views(with_masks: splitnest.Predictor, num_sizes: int) -> None:
    tta = one_view(with_masks, short_sides=(32, 38, 44, 50)[:num_sizes], flip=True)
    with Watch(with_masks) as watch:
        tta(random_image())
    assert max(watch.batches) <= 3
    assert sum(watch.batches) == 2 * 2 * num_sizes  # horizontal flip and second pass double them


def test_without_masks_there_is_no_second_pass() -> None:
    predictor = small("faster_rcnn_resnest50_fpn_1x_coco.detectron2", **{"input.short_side": 16})
    with Watch(predictor) as watch:
        predictor.predict(random_image(), tta=True)
    assert watch.batches == [3] * 6


def test_published_views() -> None:
    predictor = small(WITH_MASKS, **{"input.short_side": 800})
    tta = published_tta(predictor.module, predictor.recipe)
    assert [input_cfg.short_side for input_cfg in tta.sizes] == list(SHORT_SIDES) == list(range(400, 1201, 100))
    assert {input_cfg.long_side for input_cfg in tta.sizes} == {LONG_SIDE} == {4000}
    assert (tta.flip, tta.batch_size) == (True, 3)


def test_views_of_a_smaller_input_are_smaller(with_masks: splitnest.Predictor) -> None:
    tta = published_tta(with_masks.module, with_masks.recipe)
    assert [input_cfg.short_side for input_cfg in tta.sizes] == list(range(16, 49, 4))
    assert {input_cfg.long_side for input_cfg in tta.sizes} == {160}


def test_prediction_of_a_stream() -> None:
    predictor = small("faster_rcnn_resnest50_fpn_1x_coco.detectron2", **{"input.short_side": 16})
    images = [random_image(30, 40), random_image(40, 30)]
    streamed = predictor.predict(images, stream=True, tta=True)
    assert [result.image_size for result in streamed] == [(30, 40), (40, 30)]


@pytest.mark.parametrize("name", ["resnest50_imagenet.official", PANOPTIC])
def test_other_tasks_have_no_augmentation(name: str) -> None:
    with pytest.raises(splitnest.UsageError, match=rf"{name} has no test-time augmentation"):
        load_small(name).predict(random_image(), tta=True)
