"""Random changes of photographs and label maps: labels stay on their pixels, colours change as OpenCV changes them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitnest.data import photometric
from splitnest.data.photometric import distort
from splitnest.data.resize import fit_size, resize_opencv
from splitnest.data.semantic_augment import augment
from splitnest.recipe import SemanticInput, SemanticTraining

FACTS = SemanticInput(mean=(1, 2, 3), std=(4, 5, 6), short_side=32, long_side=64)
SEEDS = st.integers(0, 2**32 - 1)


def training(**values: Any) -> SemanticTraining:
    plain: dict[str, Any] = {"ratios": (1, 1), "max_class_share": 1, "flip": 0, "photometric": False}
    return SemanticTraining(**{"length": 1, "learning_rate": 1, "crop": (16, 24), **plain, **values})


def blocks(height: int, width: int, side: int = 8, num_classes: int = 6, seed: int = 0) -> np.ndarray:
    """Squares of one label each, uint8 [height, width]."""
    cells = np.random.default_rng(seed).integers(0, num_classes, (-(-height // side), -(-width // side)), np.uint8)
    return cells.repeat(side, axis=0).repeat(side, axis=1)[:height, :width]


def painted(labels: np.ndarray) -> np.ndarray:
    """A photograph whose grey is 40 times the label."""
    return np.repeat(40 * labels[..., None], 3, axis=2)


def test_an_image_without_labels_is_cropped_all_the_same() -> None:
    labels = np.full((32, 64), 255, np.uint8)
    _, cut = augment(painted(labels), labels, FACTS, training(max_class_share=0.5), np.random.default_rng(0))
    assert cut.shape == (16, 24)
    assert (cut == 255).all()


def test_nothing_but_a_crop() -> None:
    labels = blocks(32, 64)
    pixels = np.random.default_rng(1).integers(0, 256, (32, 64, 3)).astype(np.uint8)
    kept_pixels, kept_labels = pixels.copy(), labels.copy()
    corners = set()
    for seed in range(40):
        cropped, cut = augment(pixels, labels, FACTS, training(crop=(30, 61)), np.random.default_rng(seed))
        places = [
            (top, left)
            for top in range(3)
            for left in range(4)
            if np.array_equal(pixels[top : top + 30, left : left + 61], cropped)
        ]
        ((top, left),) = places
        np.testing.assert_array_equal(cut, labels[top : top + 30, left : left + 61])
        corners.add((top, left))
    assert len(corners) == 12  # the last place of either axis, too
    np.testing.assert_array_equal(pixels, kept_pixels)
    np.testing.assert_array_equal(labels, kept_labels)


@given(SEEDS, st.integers(20, 60), st.integers(20, 60))
@settings(max_examples=40, deadline=None)
def test_labels_stay_on_their_pixels(seed: int, height: int, width: int) -> None:
    labels = blocks(height, width)
    pixels, cut = augment(
        painted(labels), labels, FACTS, training(ratios=(0.5, 2), flip=0.5), np.random.default_rng(seed)
    )
    assert pixels.shape == (*cut.shape, 3)
    assert cut.shape[0] <= 16
    assert cut.shape[1] <= 24
    # The two filters sample half a pixel apart, so only borders between labels may differ.
    around = np.lib.stride_tricks.sliding_window_view(np.pad(cut, 2, constant_values=9), (5, 5))
    inside = (around == cut[..., None, None]).all(axis=(2, 3))
    np.testing.assert_array_equal(pixels[inside, 0], 40 * cut[inside])


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_a_mirror_image_is_that(seed: int) -> None:
    labels = blocks(32, 64)
    plain, plain_cut = augment(painted(labels), labels, FACTS, training(), np.random.default_rng(seed))
    mirrored, cut = augment(painted(labels), labels, FACTS, training(flip=1), np.random.default_rng(seed))
    np.testing.assert_array_equal(mirrored, plain[:, ::-1])
    np.testing.assert_array_equal(cut, plain_cut[:, ::-1])


def test_sizes_are_the_limits_times_a_ratio() -> None:
    labels = blocks(30, 50)
    sizes = set()
    for seed in range(200):
        whole = training(ratios=(0.5, 2), crop=(1000, 1000))
        pixels, cut = augment(painted(labels), labels, FACTS, whole, np.random.default_rng(seed))
        assert pixels.shape[:2] == cut.shape
        sizes.add(cut.shape)
    limits = [(int(32 * ratio), int(64 * ratio)) for ratio in np.linspace(0.5, 2, 10_000, endpoint=False).tolist()]
    possible = {fit_size((30, 50), *limit, "opencv") for limit in limits}
    assert sizes <= possible
    assert len(sizes) > 30
    assert min(sizes)[0] <= 17
    assert max(sizes)[0] >= 62


def test_a_window_is_that_of_the_resized_image() -> None:
    image = np.random.default_rng(0).integers(0, 256, (37, 53, 3)).astype(np.uint8)
    for size_hw in ((19, 20), (37, 53), (80, 133)):
        window = slice(5, 18), slice(7, 100)
        np.testing.assert_array_equal(resize_opencv(image, size_hw, window), resize_opencv(image, size_hw)[window])


def test_crops_of_one_class_are_drawn_anew() -> None:
    labels = np.zeros((32, 64), np.uint8)
    labels[:, 44:] = 1
    labels[:16, 20:] = 255  # of which there may be any share

    def shares(limit: float) -> list[float]:
        found = []
        for seed in range(60):
            train = training(crop=(16, 16), max_class_share=limit)
            _, cut = augment(painted(labels), labels, FACTS, train, np.random.default_rng(seed))
            counts = np.bincount(cut[cut != 255], minlength=2)
            found.append(counts.max() / max(1, counts.sum()))
        return found

    assert np.mean([share >= 0.75 for share in shares(1)]) > 0.7
    assert np.mean([share >= 0.75 for share in shares(0.75)]) < 0.3  # ten tries do not always find one


def test_the_same_random_numbers_give_the_same_image() -> None:
    labels = blocks(50, 60)
    train = training(ratios=(0.5, 2), max_class_share=0.5, flip=0.5, photometric=True)
    first, again, other = (
        augment(painted(labels), labels, FACTS, train, np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    for one, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, same)
    assert first[0].shape != other[0].shape or (first[0] != other[0]).any()


def test_colours_of_no_pixels() -> None:
    for seed in range(10):
        assert distort(np.zeros((0, 5, 3), np.uint8), np.random.default_rng(seed)).shape == (0, 5, 3)


def test_greys_stay_greys_and_pixels_are_never_changed() -> None:
    pixels = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    kept, seen = pixels.copy(), set()
    for seed in range(100):
        changed = distort(pixels, np.random.default_rng(seed))
        assert changed.dtype == np.uint8
        assert (changed == changed[..., :1]).all()
        assert (np.diff(changed[0, :, 0].astype(int)) >= 0).all()
        seen.add(changed.tobytes())
    np.testing.assert_array_equal(pixels, kept)
    assert 60 < len(seen) < 90  # a quarter of the time, neither brightness nor contrast change


# What OpenCV 5.0 makes of these colours: RGB to HSV of 8 bits, a change, and back.
COLOURS = [[200, 100, 50], [10, 240, 90], [30, 60, 255], [255, 0, 255], [128, 128, 128], [0, 0, 0]]


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        (0.5, [[200, 150, 125], [125, 240, 163], [143, 158, 255], [255, 128, 255], [128, 128, 128], [0, 0, 0]]),
        (1.5, [[200, 67, 0], [0, 240, 80], [0, 34, 255], [255, 0, 255], [128, 128, 128], [0, 0, 0]]),
    ],
)
def test_saturation_as_opencv_has_it(factor: float, expected: list[list[int]]) -> None:
    changed = photometric.saturate(np.array([COLOURS], np.uint8), photometric.levels(factor))
    np.testing.assert_allclose(changed[0].astype(int), expected, atol=3)  # OpenCV has whole hues of 2 degrees


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (-18, [[200, 50, 90], [72, 240, 10], [30, 195, 255], [102, 0, 255], [128, 128, 128], [0, 0, 0]]),
        (17, [[200, 185, 50], [10, 240, 217], [128, 30, 255], [255, 0, 110], [128, 128, 128], [0, 0, 0]]),
    ],
)
def test_hue_as_opencv_has_it(step: int, expected: list[list[int]]) -> None:
    changed = photometric.rotate_hue(np.array([COLOURS], np.uint8), step)
    np.testing.assert_allclose(changed[0].astype(int), expected, atol=6)


def testlevels() -> None:
    assert photometric.levels(1.5)[[0, 1, 100, 170, 171]].tolist() == [0, 1, 150, 255, 255]
    assert photometric.levels(1, -31.5)[[0, 31, 32, 255]].tolist() == [0, 0, 0, 223]
    assert photometric.levels(1, 31.5)[[0, 223, 224, 255]].tolist() == [31, 254, 255, 255]
