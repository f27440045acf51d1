"""Merging of tiles: objects are found once and whole, those of one tile are untouched, memory is that of the masks."""

import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitnest.inference.tile_merge import merge_tiles
from splitnest.structures import Detections
from splitnest.structures.box_masks import BoxMasks
from splitnest.structures.categories import from_names
from splitnest.structures.windows import Window, sliding_windows

CATEGORIES = from_names(("apple", "pear"))
SIZE = (100, 120)
Box = tuple[int, int, int, int]


def detections(
    boxes: Sequence[Sequence[float]],
    scores: Sequence[float],
    labels: Sequence[int],
    size: tuple[int, int] = SIZE,
    *,
    masks: bool = False,
) -> Detections:
    """Return detections; each mask is its whole box."""
    crops = tuple(np.ones((round(y2) - round(y1), round(x2) - round(x1)), bool) for x1, y1, x2, y2 in boxes)
    corners = np.array([(round(y1), round(x1)) for x1, y1, _, _ in boxes], np.int64).reshape(-1, 2)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        np.array(labels, np.int64),
        BoxMasks(crops, corners, size) if masks else None,
        image_size=size,
        categories=CATEGORIES,
    )


def seen(objects: Sequence[Box], labels: Sequence[int], window: Window, *, masks: bool) -> Detections:
    """Return what a perfect detector finds in a tile: the part of each object inside it, with the share as its score.

    The mask of an object is an ellipse, so it is not its box.
    """
    boxes, scores, kept, crops, corners = [], [], [], [], []
    for (x1, y1, x2, y2), label in zip(objects, labels, strict=True):
        y, x = np.mgrid[y1:y2, x1:x2] + 0.5
        ellipse = ((2 * y - y1 - y2) / (y2 - y1)) ** 2 + ((2 * x - x1 - x2) / (x2 - x1)) ** 2 <= 1.2
        top, left = max(window.top, y1), max(window.left, x1)
        bottom, right = min(window.top + window.height, y2), min(window.left + window.width, x2)
        if top >= bottom or left >= right:
            continue
        boxes.append([left - window.left, top - window.top, right - window.left, bottom - window.top])
        scores.append(0.5 + 0.4 * (bottom - top) * (right - left) / ((y2 - y1) * (x2 - x1)))
        kept.append(label)
        crops.append(ellipse[top - y1 : bottom - y1, left - x1 : right - x1])
        corners.append((top - window.top, left - window.left))
    size = window.height, window.width
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        np.array(kept, np.int64),
        BoxMasks(tuple(crops), np.array(corners, np.int64).reshape(-1, 2), size) if masks else None,
        image_size=size,
        categories=CATEGORIES,
    )


def merged(objects: Sequence[Box], labels: Sequence[int], windows: Sequence[Window], *, masks: bool) -> Detections:
    return merge_tiles(windows, [seen(objects, labels, window, masks=masks) for window in windows], SIZE)


@pytest.mark.parametrize("masks", [False, True])
def test_tiles_without_detections(masks: bool) -> None:
    windows = sliding_windows(SIZE, (50, 50), (40, 40))
    result = merged([], [], windows, masks=masks)
    assert len(result) == 0
    assert result.image_size == SIZE
    assert (result.box_masks is None) is not masks


def test_one_tile_is_its_result() -> None:
    only = detections([[0, 0, 10, 10], [1, 1, 10, 10]], [0.3, 0.9], [0, 0], masks=True)
    assert merge_tiles([Window(0, 0, *SIZE)], [only], SIZE) is only


@st.composite
def apart(draw: st.DrawFn, max_side: int) -> list[Box]:
    """Draw boxes of at least 4 pixels that do not overlap."""
    boxes: list[Box] = []
    for _ in range(draw(st.integers(1, 6))):
        width, height = draw(st.integers(4, max_side)), draw(st.integers(4, max_side))
        x, y = draw(st.integers(0, SIZE[1] - width)), draw(st.integers(0, SIZE[0] - height))
        if all(x >= x2 or y >= y2 or x1 >= x + width or y1 >= y + height for x1, y1, x2, y2 in boxes):
            boxes.append((x, y, x + width, y + height))
    return boxes


@settings(max_examples=60, deadline=None)
@given(apart(max_side=70), st.integers(40, 90), st.sampled_from([0.2, 0.35, 0.5]), st.booleans())
def test_each_object_is_found_once_and_whole(objects: list[Box], side: int, overlap: float, masks: bool) -> None:
    stride = side - round(side * overlap)
    windows = sliding_windows(SIZE, (side, side), (stride, stride))
    result = merged(objects, [index % 2 for index in range(len(objects))], windows, masks=masks)
    assert sorted(map(tuple, result.boxes.astype(int).tolist())) == sorted(objects)
    if (found := result.box_masks) is not None:
        (expected,) = [seen(objects, [0] * len(objects), Window(0, 0, *SIZE), masks=True)]
        places = {tuple(box): row for row, box in enumerate(expected.boxes.tolist())}
        assert expected.masks is not None
        for box, mask in zip(result.boxes.tolist(), found.dense(), strict=True):
            np.testing.assert_array_equal(mask, expected.masks[places[tuple(box)]])


@st.composite
def in_tiles(draw: st.DrawFn) -> list[list[list[float]]]:
    """Draw boxes in each of two tiles of 60 columns that overlap by 20, and any overlap among themselves."""
    boxes = []
    for _ in range(2):
        of_tile = []
        for _ in range(draw(st.integers(0, 5))):
            x1, y1 = draw(st.floats(0, 50, width=32)), draw(st.floats(0, 80, width=32))
            of_tile.append([x1, y1, x1 + draw(st.floats(1, 10, width=32)), y1 + draw(st.floats(1, 20, width=32))])
        boxes.append(of_tile)
    return boxes


@settings(max_examples=60, deadline=None)
@given(in_tiles(), st.integers(0, 1000))
def test_what_one_tile_alone_finds_is_untouched(boxes: list[list[list[float]]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    windows = [Window(0, 0, 100, 60), Window(0, 40, 100, 60)]
    results = []
    for of_tile in boxes:
        count = len(of_tile)
        scores, labels = np.sort(rng.uniform(0.05, 1, count))[::-1], rng.integers(0, 2, count)
        results.append(detections(of_tile, scores.tolist(), labels.tolist(), (100, 60)))
    result = merge_tiles(windows, results, (100, 100))
    assert np.array_equal(result.scores, np.sort(result.scores)[::-1])
    kept = {(tuple(b), s, n) for b, s, n in zip(result.boxes.tolist(), result.scores, result.labels, strict=True)}
    placed = [found.boxes + np.float32([window.left, 0] * 2) for found, window in zip(results, windows, strict=True)]
    for tile, found in enumerate(results):
        for box, score, label in zip(placed[tile], found.scores, found.labels, strict=True):
            others = placed[1 - tile][results[1 - tile].labels == label]
            meets = (np.maximum(others[:, :2], box[:2]) < np.minimum(others[:, 2:], box[2:])).all(1)
            if not meets.any():
                assert (tuple(box.tolist()), score, label) in kept


LEFT, RIGHT = Window(0, 0, 100, 60), Window(0, 40, 100, 60)
TILE = (100, 60)


def merge_two(left: Detections, right: Detections) -> Detections:
    return merge_tiles([LEFT, RIGHT], [left, right], (100, 100))


def test_overlapping_detections_of_one_tile_both_stay() -> None:
    left = detections([[5, 5, 30, 30], [6, 6, 31, 31]], [0.9, 0.8], [0, 0], TILE)
    assert merge_two(left, detections([], [], [], TILE)).scores.tolist() == left.scores.tolist()


def test_the_better_of_two_whole_detections_stays() -> None:
    left = detections([[42, 5, 54, 30]], [0.7], [0], TILE)
    right = detections([[4, 6, 15, 31]], [0.8], [0], TILE)
    assert merge_two(left, right).boxes.tolist() == [[44, 6, 55, 31]]


def test_classes_are_separate() -> None:
    left = detections([[42, 5, 54, 30]], [0.7], [0], TILE)
    right = detections([[2, 5, 14, 30]], [0.8], [1], TILE)
    assert merge_two(left, right).labels.tolist() == [1, 0]


@pytest.mark.parametrize("masks", [False, True])
def test_a_cut_detection_yields_to_the_whole_one(masks: bool) -> None:
    left = detections([[10, 5, 52, 30]], [0.6], [0], TILE, masks=masks)
    right = detections([[0, 5, 12, 30]], [0.9], [0], TILE, masks=masks)
    result = merge_two(left, right)
    assert result.boxes.tolist() == [[10, 5, 52, 30]]
    assert result.scores.tolist() == pytest.approx([0.6])


def test_a_doubtful_whole_detection_does_not_remove_a_confident_cut_one() -> None:
    left = detections([[10, 5, 52, 30]], [0.2], [0], TILE)
    right = detections([[0, 5, 12, 30]], [0.9], [0], TILE)
    assert merge_two(left, right).scores.tolist() == pytest.approx([0.9, 0.2])


def test_masks_tell_crossing_objects_apart() -> None:
    """The box of the cut object lies in that of the whole one, its mask does not."""
    size, below = (100, 60), np.tri(40, 50, -1, dtype=bool)
    left = detections([[5, 10, 55, 50]], [0.9], [0], size)
    left = Detections(left.boxes, left.scores, left.labels, BoxMasks((below,), np.array([[10, 5]]), size),
                      image_size=size, categories=CATEGORIES)  # fmt: skip
    crop = ~below[:20, 35:]
    right = detections([[0, 10, 15, 30]], [0.8], [0], size)
    right = Detections(right.boxes, right.scores, right.labels, BoxMasks((crop,), np.array([[10, 0]]), size),
                       image_size=size, categories=CATEGORIES)  # fmt: skip
    assert len(merge_two(left, right)) == 2


def test_parts_of_two_objects_side_by_side_stay_apart() -> None:
    """Both reach from tile to tile, and no tile has either whole."""
    left = detections([[10, 5, 60, 30], [12, 28, 60, 60]], [0.9, 0.8], [0, 0], TILE, masks=True)
    right = detections([[0, 27, 45, 60], [0, 5, 40, 30]], [0.7, 0.6], [0, 0], TILE, masks=True)
    result = merge_two(left, right)
    assert result.boxes.tolist() == [[10, 5, 80, 30], [12, 27, 85, 60]]
    assert result.scores.tolist() == pytest.approx([0.9, 0.8])


def test_500_masks_of_a_large_image_take_little_memory() -> None:
    size, side, windows, results = (20000, 20000), 60, [], []
    objects = np.random.default_rng(0).integers(0, 20000 - side, (500, 2))
    for window in sliding_windows(size, (2000, 2000), (1600, 1600)):
        corners = objects - (window.top, window.left)
        corners = corners[(corners >= 0).all(1) & (corners + side <= 2000).all(1)]
        windows.append(window)
        boxes = np.concatenate((corners[:, ::-1], corners[:, ::-1] + side), 1)
        ones = (np.ones(len(boxes)) * 0.9).tolist()
        results.append(detections(boxes.tolist(), ones, [0] * len(boxes), (2000, 2000), masks=True))
    tracemalloc.start()
    merged = merge_tiles(windows, results, size)
    rows = merged.to_dict()["detections"]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 480 <= len(rows) <= 500  # some lie on one another
    assert rows[0]["mask"]["size"] == [20000, 20000]
    assert peak < 20e6  # one dense mask would take 400 MB
