"""Photographs and objects that change together: laws of boxes and masks, and the random choices."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from torchvision.transforms.v2 import functional as F

from splitnest.data import polygons
from splitnest.data.augment import _adjust_contrast, _window, augment
from splitnest.data.labelled import Labelled
from splitnest.data.resize import fit_size, resize_opencv, resize_pillow
from splitnest.recipe.inputs import DetectionInput
from splitnest.recipe.training import DetectionTraining

FACTS = DetectionInput(mean=(0, 0, 0), std=(1, 1, 1))
TRAIN = DetectionTraining(length=1, learning_rate=1, short_sides=(30,), long_side=1000, flip=0)

SIDES = st.integers(8, 60)


def picture(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x % 256, y % 256, (x * y) % 256], axis=2).astype(np.uint8)


@st.composite
def labelled(draw: st.DrawFn) -> Labelled:
    """A photograph with objects of one or two triangles, and their hulls as boxes."""
    height, width = draw(SIDES), draw(SIDES)
    inside = st.tuples(st.floats(0, width, width=32), st.floats(0, height, width=32))
    triangle = st.lists(inside, min_size=3, max_size=5).map(lambda points: np.array(points, np.float64).ravel())
    masks = draw(st.lists(st.lists(triangle, min_size=1, max_size=2), max_size=4))
    boxes = np.array([polygons.hull(mask) for mask in masks]).reshape(-1, 4)
    return Labelled.of(picture(height, width), boxes, masks)


def areas(item: Labelled) -> np.ndarray:
    boxes = item.boxes.numpy()
    return (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)


def test_a_photograph_without_objects() -> None:
    empty = Labelled.of(picture(20, 30), np.zeros((0, 4), np.float32))
    train = replace_train(crop=0.5, flip=1, color_jitter=0.5)
    for item in (empty, empty.mirrored(), empty.resized((10, 15), "opencv"), augment(empty, FACTS, train, rng(0))):
        assert len(item) == 0
        assert item.masks() == ()
        assert item.boxes.shape == (0, 4)


@given(labelled())
def test_to_mirror_twice_is_to_do_nothing(item: Labelled) -> None:
    again = item.mirrored().mirrored()
    np.testing.assert_array_equal(again.pixels, item.pixels)
    np.testing.assert_allclose(again.boxes, item.boxes, atol=1e-12)
    np.testing.assert_allclose(again.points, item.points, atol=1e-12)


@given(labelled(), SIDES, SIDES, st.booleans())
def test_boxes_stay_the_hull_of_polygons_and_areas_scale(
    item: Labelled, height: int, width: int, mirrors: bool
) -> None:
    changed = item.resized((height, width), "pillow")
    changed = changed.mirrored() if mirrors else changed
    assert changed.size_hw == (height, width)
    scale = height * width / np.prod(item.size_hw)
    np.testing.assert_allclose(areas(changed), areas(item) * scale, rtol=1e-5, atol=1e-4)
    for box, mask, before in zip(changed.boxes.numpy(), changed.masks(), item.masks(), strict=True):
        np.testing.assert_allclose(box, polygons.hull(mask), atol=1e-4)
        for polygon, original in zip(mask, before, strict=True):
            expected = polygons.area(original) * scale
            assert polygons.area(polygon) == pytest.approx(expected, rel=1e-5, abs=1e-4)


@given(labelled(), st.data())
def test_a_crop_cuts_polygons_at_its_border_and_makes_boxes_their_hull(item: Labelled, data: st.DataObject) -> None:
    height, width = (data.draw(st.integers(1, side)) for side in item.size_hw)
    top, left = data.draw(st.integers(0, item.size_hw[0] - height)), data.draw(st.integers(0, item.size_hw[1] - width))
    window = item.cropped(top, left, height, width)
    np.testing.assert_array_equal(window.pixels, item.pixels[top : top + height, left : left + width])
    assert len(window) == len(item)
    for box, mask in zip(window.boxes.numpy(), window.masks(), strict=True):
        if mask:
            np.testing.assert_allclose(box, polygons.hull(mask))
            assert (box >= 0).all()
            assert (box <= [width, height, width, height]).all()
        else:
            assert areas(window)[np.flatnonzero((window.boxes.numpy() == box).all(axis=1))].max() == 0


@given(labelled())
def test_a_whole_window_changes_only_what_has_no_area(item: Labelled) -> None:
    window = item.cropped(0, 0, *item.size_hw)
    for before, after in zip(item.masks(), window.masks(), strict=True):
        kept = [polygon for polygon in before if polygons.area(polygon) > 0]
        assert [polygon.tolist() for polygon in after] == [polygon.tolist() for polygon in kept]


@given(st.lists(st.tuples(st.floats(-9, 29), st.floats(-9, 29)), min_size=3, max_size=9), st.integers(1, 19))
def test_parts_of_a_cut_polygon_have_its_area(points: list[tuple[float, float]], cut: int) -> None:
    polygon = np.array(points).ravel()
    whole = signed_area(polygons.clip(polygon, (20, 20)))
    near = signed_area(polygons.clip(polygon, (20, cut)))
    far = signed_area(polygons.clip(polygon - np.resize([cut, 0], len(polygon)), (20, 20 - cut)))
    assert near + far == pytest.approx(whole, abs=1e-6)


def test_a_polygon_around_the_image_becomes_the_image() -> None:
    around = np.array([-10.0, -10, 50, -10, 50, 50, -10, 50])
    assert sorted(polygons.clip(around, (20, 30)).reshape(-1, 2).tolist()) == [[0, 0], [0, 20], [30, 0], [30, 20]]
    assert polygons.clip(around + 100, (20, 30)).size == 0


def test_masks_stay_on_their_pixels() -> None:
    """Pixels that are white where the object is: they move with the polygon and with the bitmask."""
    outline = np.array([8.0, 6, 40, 10, 30, 44, 12, 36])
    bits = rasterised([outline], (50, 60))
    image = np.repeat(bits[..., None] * np.uint8(255), 3, axis=2)
    item = Labelled.of(image, np.array([[8, 6, 40, 44.0]] * 2), [[outline], torch.from_numpy(bits)])
    for changed in (
        item.mirrored(),
        item.resized((100, 120), "opencv"),
        item.resized((35, 33), "opencv").mirrored(),
        item.cropped(7, 12, 30, 25).resized((60, 50), "opencv"),
        item.mirrored().cropped(3, 15, 44, 40),
    ):
        white = changed.pixels[..., 0] >= 128
        from_points, from_bits = changed.masks()
        for mask in (rasterised(from_points, changed.size_hw), from_bits.numpy()):
            assert (mask & white).sum() / (mask | white).sum() > 0.95
        rows, columns = np.flatnonzero(white.any(axis=1)), np.flatnonzero(white.any(axis=0))
        hull = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        np.testing.assert_allclose(changed.boxes[0], hull, atol=1)
        np.testing.assert_allclose(changed.boxes[1], hull, atol=1.5)


@given(SIDES, SIDES, st.integers(0, 1000))
def test_stuff_stays_beside_the_bitmasks(height: int, width: int, seed: int) -> None:
    """Stuff is 0 exactly where an object is, before and after every change."""
    random = rng(seed)
    bits = random.random((2, height, width)) < 0.3
    stuff = np.where(bits.any(axis=0), 0, random.integers(1, 4, (height, width))).astype(np.uint8)
    boxes = np.array([[0, 0, width, height]] * 2, np.float64)
    item = Labelled.of(picture(height, width), boxes, list(torch.from_numpy(bits)), torch.from_numpy(stuff))
    changed = augment(item, FACTS, replace_train(crop=0.4, flip=0.5, color_jitter=0.2), random)
    assert changed.semantic is not None
    assert changed.semantic.dtype == torch.uint8
    assert changed.semantic.shape == changed.size_hw
    np.testing.assert_array_equal(changed.semantic == 0, np.any([mask.numpy() for mask in changed.masks()], axis=0))


def test_a_photograph_without_stuff_has_none() -> None:
    item = Labelled.of(picture(6, 10), np.zeros((0, 4)))
    assert augment(item, FACTS, replace_train(crop=0.4, flip=1), rng(0)).semantic is None


def test_a_mirrored_mask_is_not_one_pixel_off() -> None:
    square = np.array([2.0, 1, 5, 1, 5, 4, 2, 4])
    mirrored = Labelled.of(picture(6, 10), np.array([[2, 1, 5, 4.0]]), [[square]]).mirrored()
    assert mirrored.boxes.tolist() == [[5, 1, 8, 4]]
    assert mirrored.masks()[0][0].tolist() == [8, 1, 5, 1, 5, 4, 8, 4]


def test_boxes_are_clipped_to_the_photograph() -> None:
    item = Labelled.of(picture(20, 30), np.array([[-3, 5, 40, 9]], np.float32))
    assert item.boxes.tolist() == [[0, 5, 30, 9]]


@pytest.mark.parametrize(("rule", "resize"), [("opencv", resize_opencv), ("pillow", resize_pillow)])
def test_pixels_are_resized_as_for_evaluation(rule: Any, resize: Any) -> None:
    image = picture(40, 57)
    item = Labelled.of(image, np.zeros((0, 4)))
    changed = augment(item, FACTS.model_copy(update={"resize": rule}), TRAIN, rng(0))
    np.testing.assert_array_equal(changed.pixels, resize(image, fit_size((40, 57), 30, 1000, rule)))
    np.testing.assert_array_equal(image, picture(40, 57))


def test_short_sides_are_chosen_or_drawn_from_a_range() -> None:
    item = Labelled.of(picture(20, 30), np.zeros((0, 4)))
    for sampling, expected in (("choice", {10, 13}), ("range", {10, 11, 12, 13})):
        train = replace_train(short_sides=(10, 13), short_side_sampling=sampling)
        seen = {augment(item, FACTS, train, rng(seed)).size_hw[0] for seed in range(40)}
        assert seen == expected
    assert augment(item, FACTS, replace_train(long_side=24), rng(0)).size_hw == (16, 24)


def test_half_of_the_photographs_are_mirrored() -> None:
    image = picture(30, 45)
    train = replace_train(flip=0.5)
    changed = [augment(Labelled.of(image, np.zeros((0, 4))), FACTS, train, rng(seed)).pixels for seed in range(200)]
    mirrored = sum(bool((pixels == image[:, ::-1]).all()) for pixels in changed)
    assert mirrored + sum(bool((pixels == image).all()) for pixels in changed) == 200
    assert 80 < mirrored < 120


@given(labelled(), st.floats(0.01, 1), st.integers(0, 1000))
def test_a_random_window_lies_inside_and_holds_the_centre_of_an_object(item: Labelled, least: float, seed: int) -> None:
    top, left, height, width = _window(item, least, rng(seed))
    for start, side, whole in zip((top, left), (height, width), item.size_hw, strict=True):
        assert max(1, int(least * whole + 0.5)) <= side <= whole
        assert 0 <= start <= whole - side
    x1, y1, x2, y2 = item.boxes.numpy().T
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    held = (left <= np.ceil(x)) & (np.floor(x) <= left + width) & (top <= np.ceil(y)) & (np.floor(y) <= top + height)
    assert held.any() or not len(item)


def test_colours_change_around_the_original() -> None:
    image = torch.from_numpy(picture(40, 50)).permute(2, 0, 1)
    for factor in (0.0, 0.6, 1.0, 1.4):
        expected = F.adjust_contrast(image, factor)
        assert (_adjust_contrast(image, factor).int() - expected.int()).abs().max() <= 1
    assert torch.equal(_adjust_contrast(image, 1.0), image)
    item = Labelled.of(picture(30, 45), np.zeros((0, 4)))
    changed = [augment(item, FACTS, replace_train(color_jitter=0.4), rng(seed)).pixels for seed in range(30)]
    means = [pixels.mean() for pixels in changed]
    assert min(means) < item.pixels.mean() < max(means)
    assert len({pixels.tobytes() for pixels in changed}) == 30


def test_the_same_generator_gives_the_same_result() -> None:
    item = Labelled.of(picture(40, 57), np.array([[5, 5, 20, 30.0]]), [[np.array([5.0, 5, 20, 5, 20, 30])]])
    train = replace_train(short_sides=(20, 40), short_side_sampling="range", crop=0.5, flip=0.5, color_jitter=0.3)
    first, again, other = (augment(item, FACTS, train, rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.points, again.points)
    assert first.pixels.shape != other.pixels.shape or (first.pixels != other.pixels).any()


def replace_train(**changes: Any) -> DetectionTraining:
    return TRAIN.model_copy(update=changes)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def rasterised(mask: Any, size_hw: tuple[int, int]) -> np.ndarray:
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects([p.tolist() for p in mask], *size_hw))).astype(bool)


def signed_area(polygon: np.ndarray) -> float:
    x, y = polygon[0::2], polygon[1::2]
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) / 2
