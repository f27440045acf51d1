"""Augmentation of detection: boxes and masks follow the image; random choices have the right distribution."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from torchvision.transforms.v2 import functional as F

from splitnest.data.detection.annotated_image import AnnotatedImage
from splitnest.data.detection.augment import _adjust_contrast, _random_window, augment
from splitnest.data.images.resize import fit_size, resize_opencv, resize_pillow
from splitnest.recipe.detection_training import DetectionTraining
from splitnest.recipe.inputs import DetectionInput
from splitnest.structures import polygons

INPUT_CFG = DetectionInput(mean=(0, 0, 0), std=(1, 1, 1))
TRAIN = DetectionTraining(epochs=1, lr=1, short_sides=(30,), long_side=1000, flip=0)

SIDES = st.integers(8, 60)


def gradient(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x % 256, y % 256, (x * y) % 256], axis=2).astype(np.uint8)


@st.composite
def annotated_images(draw: st.DrawFn) -> AnnotatedImage:
    """Draw an image with instances of one or two polygons, and their hulls as boxes."""
    height, width = draw(SIDES), draw(SIDES)
    inside = st.tuples(st.floats(0, width, width=32), st.floats(0, height, width=32))
    triangle = st.lists(inside, min_size=3, max_size=5).map(lambda points: np.array(points, np.float64).ravel())
    masks = draw(st.lists(st.lists(triangle, min_size=1, max_size=2), max_size=4))
    boxes = np.array([polygons.bounding_box(mask) for mask in masks]).reshape(-1, 4)
    return AnnotatedImage.from_arrays(gradient(height, width), boxes, masks)


def box_areas(item: AnnotatedImage) -> np.ndarray:
    boxes = item.boxes.numpy()
    return (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)


def test_image_without_instances() -> None:
    empty = AnnotatedImage.from_arrays(gradient(20, 30), np.zeros((0, 4), np.float32))
    train = replace_train(crop=0.5, flip=1, color_jitter=0.5)
    for item in (empty, empty.flipped(), empty.resized((10, 15), "opencv"), augment(empty, INPUT_CFG, train, rng(0))):
        assert len(item) == 0
        assert item.masks() == ()
        assert item.boxes.shape == (0, 4)


def test_jitter_on_a_fixed_canvas() -> None:
    """The ratio is uniform; larger images are cropped anywhere to the size, smaller ones are left as they are."""
    train = replace_train(short_sides=(100,), long_side=100, resize_ratios=(0.8, 1.25), crop_size=(100, 100))
    pixels = gradient(60, 120)
    polygon = np.array([0, 0, 120, 0, 120, 60, 0, 60], np.float64)
    whole = AnnotatedImage.from_arrays(pixels, np.array([[0, 0, 120, 60]]), [[polygon]])
    widths, lefts = [], []
    for seed in range(600):
        item = augment(whole, INPUT_CFG, train, rng(seed))
        height, width = item.size_hw
        widths.append(width)
        lefts.append(item.pixels[height // 2, 0, 0] / 120)  # x of the image at the left border
        np.testing.assert_allclose(item.boxes.numpy(), [[0, 0, width, height]])
        assert height in range(40, 64)
    widths, lefts = np.array(widths), np.array(lefts)
    assert (widths.min(), widths.max()) == (80, 100)
    assert abs((widths < 100).mean() - 0.2 / 0.45) < 0.06
    assert abs(np.mean(widths[widths < 100]) - 89.5) < 1.5
    assert (lefts[widths < 100] < 0.02).all()
    assert 0.15 < lefts.max() < 0.21  # at most a fifth of an image that was enlarged most is to the left


def test_jitter_keeps_what_the_crop_shows() -> None:
    """Each pixel of a mask is a pixel of its instance, and its box encloses it."""
    train = replace_train(short_sides=(60,), long_side=60, resize_ratios=(1.5, 2.0), crop_size=(40, 50), flip=0.5)
    pixels = np.zeros((60, 60, 3), np.uint8)
    pixels[20:40, 10:50] = 255
    polygon = np.array([10, 20, 50, 20, 50, 40, 10, 40], np.float64)
    image = AnnotatedImage.from_arrays(pixels, np.array([[10, 20, 50, 40]]), [[polygon]])
    empty = 0
    for seed in range(60):
        item = augment(image, INPUT_CFG, train, rng(seed))
        assert item.size_hw == (40, 50)
        bright = np.argwhere(item.pixels[..., 0] >= 128)
        box = item.boxes.numpy()[0]
        if not len(bright):
            empty += 1
            assert box_areas(item)[0] <= 50
            continue
        found = [*bright.min(axis=0)[::-1], *(bright.max(axis=0)[::-1] + 1)]
        np.testing.assert_allclose(box, found, atol=1.01)
    assert empty < 30


@settings(max_examples=30, deadline=None)
@given(annotated_images())
def test_two_flips_cancel_out(item: AnnotatedImage) -> None:
    flipped_twice = item.flipped().flipped()
    np.testing.assert_array_equal(flipped_twice.pixels, item.pixels)
    np.testing.assert_allclose(flipped_twice.boxes, item.boxes, atol=1e-12)
    np.testing.assert_allclose(flipped_twice.vertices, item.vertices, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(annotated_images(), SIDES, SIDES, st.booleans())
def test_resize_and_flip_keep_boxes_the_hull_of_polygons(
    item: AnnotatedImage, height: int, width: int, flips: bool
) -> None:
    changed = item.resized((height, width), "pillow")
    changed = changed.flipped() if flips else changed
    assert changed.size_hw == (height, width)
    scale = height * width / np.prod(item.size_hw)
    np.testing.assert_allclose(box_areas(changed), box_areas(item) * scale, rtol=1e-5, atol=1e-4)
    for box, mask, before in zip(changed.boxes.numpy(), changed.masks(), item.masks(), strict=True):
        np.testing.assert_allclose(box, polygons.bounding_box(mask), atol=1e-4)
        for polygon, original in zip(mask, before, strict=True):
            expected = polygons.area(original) * scale
            assert polygons.area(polygon) == pytest.approx(expected, rel=1e-5, abs=1e-4)


@settings(max_examples=30, deadline=None)
@given(annotated_images(), st.data())
def test_crop_clips_polygons_and_boxes_become_their_hull(item: AnnotatedImage, data: st.DataObject) -> None:
    height, width = (data.draw(st.integers(1, side)) for side in item.size_hw)
    top, left = data.draw(st.integers(0, item.size_hw[0] - height)), data.draw(st.integers(0, item.size_hw[1] - width))
    window = item.cropped(top, left, height, width)
    np.testing.assert_array_equal(window.pixels, item.pixels[top : top + height, left : left + width])
    assert len(window) == len(item)
    for box, mask in zip(window.boxes.numpy(), window.masks(), strict=True):
        if mask:
            np.testing.assert_allclose(box, polygons.bounding_box(mask))
            assert (box >= 0).all()
            assert (box <= [width, height, width, height]).all()
        else:
            assert box_areas(window)[np.flatnonzero((window.boxes.numpy() == box).all(axis=1))].max() == 0


@settings(max_examples=30, deadline=None)
@given(annotated_images())
def test_crop_of_the_whole_image_removes_only_polygons_without_area(item: AnnotatedImage) -> None:
    window = item.cropped(0, 0, *item.size_hw)
    for before, after in zip(item.masks(), window.masks(), strict=True):
        kept = [polygon for polygon in before if polygons.area(polygon) > 0]
        assert [polygon.tolist() for polygon in after] == [polygon.tolist() for polygon in kept]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(-9, 29), st.floats(-9, 29)), min_size=3, max_size=9), st.integers(1, 19))
def test_clipped_parts_of_a_polygon_have_its_area(points: list[tuple[float, float]], cut: int) -> None:
    polygon = np.array(points).ravel()
    total = signed_area(polygons.clip(polygon, (20, 20)))
    near = signed_area(polygons.clip(polygon, (20, cut)))
    far = signed_area(polygons.clip(polygon - np.resize([cut, 0], len(polygon)), (20, 20 - cut)))
    assert near + far == pytest.approx(total, abs=1e-6)


def test_polygon_around_the_image_is_clipped_to_the_image() -> None:
    around = np.array([-10.0, -10, 50, -10, 50, 50, -10, 50])
    assert sorted(polygons.clip(around, (20, 30)).reshape(-1, 2).tolist()) == [[0, 0], [0, 20], [30, 0], [30, 20]]
    assert polygons.clip(around + 100, (20, 30)).size == 0


def test_masks_follow_their_pixels() -> None:
    """The instance is white, so its polygon and its bitmask must cover the white pixels."""
    outline = np.array([8.0, 6, 40, 10, 30, 44, 12, 36])
    bits = rasterize([outline], (50, 60))
    image = np.repeat(bits[..., None] * np.uint8(255), 3, axis=2)
    item = AnnotatedImage.from_arrays(image, np.array([[8, 6, 40, 44.0]] * 2), [[outline], torch.from_numpy(bits)])
    for changed in (
        item.flipped(),
        item.resized((100, 120), "opencv"),
        item.resized((35, 33), "opencv").flipped(),
        item.cropped(7, 12, 30, 25).resized((60, 50), "opencv"),
        item.flipped().cropped(3, 15, 44, 40),
    ):
        white = changed.pixels[..., 0] >= 128
        from_polygons, from_bits = changed.masks()
        for mask in (rasterize(from_polygons, changed.size_hw), from_bits.numpy()):
            assert (mask & white).sum() / (mask | white).sum() > 0.95
        rows, columns = np.flatnonzero(white.any(axis=1)), np.flatnonzero(white.any(axis=0))
        hull = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        np.testing.assert_allclose(changed.boxes[0], hull, atol=1)
        np.testing.assert_allclose(changed.boxes[1], hull, atol=1.5)


@settings(max_examples=30, deadline=None)
@given(SIDES, SIDES, st.integers(0, 1000))
def test_semantic_labels_follow_the_bitmasks(height: int, width: int, seed: int) -> None:
    """The label map is 0 exactly where an instance is, before and after augmentation."""
    random = rng(seed)
    bits = random.random((2, height, width)) < 0.3
    semantic = np.where(bits.any(axis=0), 0, random.integers(1, 4, (height, width))).astype(np.uint8)
    boxes = np.array([[0, 0, width, height]] * 2, np.float64)
    item = AnnotatedImage.from_arrays(
        gradient(height, width), boxes, list(torch.from_numpy(bits)), torch.from_numpy(semantic)
    )
    changed = augment(item, INPUT_CFG, replace_train(crop=0.4, flip=0.5, color_jitter=0.2), random)
    assert changed.semantic is not None
    assert changed.semantic.dtype == torch.uint8
    assert changed.semantic.shape == changed.size_hw
    np.testing.assert_array_equal(changed.semantic == 0, np.any([mask.numpy() for mask in changed.masks()], axis=0))


def test_semantic_labels_are_optional() -> None:
    item = AnnotatedImage.from_arrays(gradient(6, 10), np.zeros((0, 4)))
    assert augment(item, INPUT_CFG, replace_train(crop=0.4, flip=1), rng(0)).semantic is None


def test_flipped_polygon_is_not_off_by_one() -> None:
    square = np.array([2.0, 1, 5, 1, 5, 4, 2, 4])
    flipped = AnnotatedImage.from_arrays(gradient(6, 10), np.array([[2, 1, 5, 4.0]]), [[square]]).flipped()
    assert flipped.boxes.tolist() == [[5, 1, 8, 4]]
    assert flipped.masks()[0][0].tolist() == [8, 1, 5, 1, 5, 4, 8, 4]


def test_boxes_are_clipped_to_the_image() -> None:
    item = AnnotatedImage.from_arrays(gradient(20, 30), np.array([[-3, 5, 40, 9]], np.float32))
    assert item.boxes.tolist() == [[0, 5, 30, 9]]


@pytest.mark.parametrize(("rule", "resize"), [("opencv", resize_opencv), ("pillow", resize_pillow)])
def test_resize_is_that_of_evaluation(rule: Any, resize: Any) -> None:
    image = gradient(40, 57)
    item = AnnotatedImage.from_arrays(image, np.zeros((0, 4)))
    changed = augment(item, INPUT_CFG.model_copy(update={"resize": rule}), TRAIN, rng(0))
    np.testing.assert_array_equal(changed.pixels, resize(image, fit_size((40, 57), 30, 1000, rule)))
    np.testing.assert_array_equal(image, gradient(40, 57))


def test_short_side_is_a_choice_or_from_a_range() -> None:
    item = AnnotatedImage.from_arrays(gradient(20, 30), np.zeros((0, 4)))
    for sampling, expected in (("choice", {10, 13}), ("range", {10, 11, 12, 13})):
        train = replace_train(short_sides=(10, 13), short_side_sampling=sampling)
        short_sides = {augment(item, INPUT_CFG, train, rng(seed)).size_hw[0] for seed in range(40)}
        assert short_sides == expected
    assert augment(item, INPUT_CFG, replace_train(long_side=24), rng(0)).size_hw == (16, 24)


def test_half_of_the_images_are_flipped() -> None:
    image = gradient(30, 45)
    train = replace_train(flip=0.5)
    changed = [
        augment(AnnotatedImage.from_arrays(image, np.zeros((0, 4))), INPUT_CFG, train, rng(seed)).pixels
        for seed in range(200)
    ]
    num_flipped = sum(bool((pixels == image[:, ::-1]).all()) for pixels in changed)
    assert num_flipped + sum(bool((pixels == image).all()) for pixels in changed) == 200
    assert 80 < num_flipped < 120


@settings(max_examples=30, deadline=None)
@given(annotated_images(), st.floats(0.01, 1), st.integers(0, 1000))
def test_random_window_is_inside_and_contains_the_center_of_an_instance(
    item: AnnotatedImage, min_fraction: float, seed: int
) -> None:
    top, left, height, width = _random_window(item, min_fraction, rng(seed))
    for start, side, full in zip((top, left), (height, width), item.size_hw, strict=True):
        assert max(1, int(min_fraction * full + 0.5)) <= side <= full
        assert 0 <= start <= full - side
    x1, y1, x2, y2 = item.boxes.numpy().T
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    contained = (
        (left <= np.ceil(x)) & (np.floor(x) <= left + width) & (top <= np.ceil(y)) & (np.floor(y) <= top + height)
    )
    assert contained.any() or not len(item)


def test_color_jitter_varies_around_the_original() -> None:
    image = torch.from_numpy(gradient(40, 50)).permute(2, 0, 1)
    for factor in (0.0, 0.6, 1.0, 1.4):
        expected = F.adjust_contrast(image, factor)
        assert (_adjust_contrast(image, factor).int() - expected.int()).abs().max() <= 1
    assert torch.equal(_adjust_contrast(image, 1.0), image)
    item = AnnotatedImage.from_arrays(gradient(30, 45), np.zeros((0, 4)))
    changed = [augment(item, INPUT_CFG, replace_train(color_jitter=0.4), rng(seed)).pixels for seed in range(30)]
    means = [pixels.mean() for pixels in changed]
    assert min(means) < item.pixels.mean() < max(means)
    assert len({pixels.tobytes() for pixels in changed}) == 30


def test_augmentation_is_a_function_of_the_generator() -> None:
    item = AnnotatedImage.from_arrays(
        gradient(40, 57), np.array([[5, 5, 20, 30.0]]), [[np.array([5.0, 5, 20, 5, 20, 30])]]
    )
    train = replace_train(short_sides=(20, 40), short_side_sampling="range", crop=0.5, flip=0.5, color_jitter=0.3)
    first, again, other = (augment(item, INPUT_CFG, train, rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.vertices, again.vertices)
    assert first.pixels.shape != other.pixels.shape or (first.pixels != other.pixels).any()


def replace_train(**changes: Any) -> DetectionTraining:
    return TRAIN.model_copy(update=changes)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def rasterize(mask: Any, size_hw: tuple[int, int]) -> np.ndarray:
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects([p.tolist() for p in mask], *size_hw))).astype(bool)


def signed_area(polygon: np.ndarray) -> float:
    x, y = polygon[0::2], polygon[1::2]
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) / 2
