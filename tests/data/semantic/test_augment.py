"""Augmentation of semantic segmentation: labels follow their pixels; colors change as in OpenCV."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitnest.data.images.resize import fit_size, resize_opencv
from splitnest.data.semantic.augment import augment
from splitnest.data.semantic.photometric import adjust_hue, adjust_saturation, distort, level_table
from splitnest.recipe import SemanticInput, SemanticTraining

INPUT_CFG = SemanticInput(mean=(1, 2, 3), std=(4, 5, 6), short_side=32, long_side=64)
SEEDS = st.integers(0, 2**32 - 1)


def training(**values: Any) -> SemanticTraining:
    """Return parameters of a training whose only augmentation is a random crop, with some changed."""
    plain: dict[str, Any] = {
        "resize_ratios": (1, 1),
        "max_class_fraction": 1,
        "flip": 0,
        "photometric_distortion": False,
    }
    return SemanticTraining(**{"epochs": 1, "lr": 1, "crop_size": (16, 24), **plain, **values})


def blocks(height: int, width: int, side: int = 8, num_classes: int = 6, seed: int = 0) -> np.ndarray:
    """Return a label map of squares of one random label each, uint8 ``[height, width]``."""
    cells = np.random.default_rng(seed).integers(0, num_classes, (-(-height // side), -(-width // side)), np.uint8)
    return cells.repeat(side, axis=0).repeat(side, axis=1)[:height, :width]


def painted(labels: np.ndarray) -> np.ndarray:
    """Return an image whose gray level is 40 times the label."""
    return np.repeat(40 * labels[..., None], 3, axis=2)


def test_unlabeled_image_is_cropped() -> None:
    labels = np.full((32, 64), 255, np.uint8)
    _, cropped_labels = augment(
        painted(labels), labels, INPUT_CFG, training(max_class_fraction=0.5), np.random.default_rng(0)
    )
    assert cropped_labels.shape == (16, 24)
    assert (cropped_labels == 255).all()


def test_crop_only() -> None:
    labels = blocks(32, 64)
    pixels = np.random.default_rng(1).integers(0, 256, (32, 64, 3)).astype(np.uint8)
    kept_pixels, kept_labels = pixels.copy(), labels.copy()
    train_cfg, corners = training(crop_size=(30, 61)), set()
    for seed in range(40):
        cropped, cropped_labels = augment(pixels, labels, INPUT_CFG, train_cfg, np.random.default_rng(seed))
        positions = [
            (top, left)
            for top in range(3)
            for left in range(4)
            if np.array_equal(pixels[top : top + 30, left : left + 61], cropped)
        ]
        ((top, left),) = positions
        np.testing.assert_array_equal(cropped_labels, labels[top : top + 30, left : left + 61])
        corners.add((top, left))
    assert len(corners) == 12  # all positions, the last ones included
    np.testing.assert_array_equal(pixels, kept_pixels)
    np.testing.assert_array_equal(labels, kept_labels)


@given(SEEDS, st.integers(20, 60), st.integers(20, 60))
@settings(max_examples=40, deadline=None)
def test_labels_follow_their_pixels(seed: int, height: int, width: int) -> None:
    labels = blocks(height, width)
    pixels, cropped_labels = augment(
        painted(labels), labels, INPUT_CFG, training(resize_ratios=(0.5, 2), flip=0.5), np.random.default_rng(seed)
    )
    assert pixels.shape == (*cropped_labels.shape, 3)
    assert cropped_labels.shape[0] <= 16
    assert cropped_labels.shape[1] <= 24
    # The two filters sample half a pixel apart, so labels near a border between classes may differ.
    neighbors = np.lib.stride_tricks.sliding_window_view(np.pad(cropped_labels, 2, constant_values=9), (5, 5))
    inside = (neighbors == cropped_labels[..., None, None]).all(axis=(2, 3))
    np.testing.assert_array_equal(pixels[inside, 0], 40 * cropped_labels[inside])


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_horizontal_flip_reverses_image_and_labels(seed: int) -> None:
    labels = blocks(32, 64)
    plain, plain_labels = augment(painted(labels), labels, INPUT_CFG, training(), np.random.default_rng(seed))
    flipped, labels_flipped = augment(painted(labels), labels, INPUT_CFG, training(flip=1), np.random.default_rng(seed))
    np.testing.assert_array_equal(flipped, plain[:, ::-1])
    np.testing.assert_array_equal(labels_flipped, plain_labels[:, ::-1])


def test_size_limits_are_scaled_by_a_random_ratio() -> None:
    labels = blocks(30, 50)
    sizes = set()
    for seed in range(200):
        no_crop = training(resize_ratios=(0.5, 2), crop_size=(1000, 1000))
        pixels, cropped_labels = augment(painted(labels), labels, INPUT_CFG, no_crop, np.random.default_rng(seed))
        assert pixels.shape[:2] == cropped_labels.shape
        sizes.add(cropped_labels.shape)
    limits = [(int(32 * ratio), int(64 * ratio)) for ratio in np.linspace(0.5, 2, 10_000, endpoint=False).tolist()]
    possible = {fit_size((30, 50), *limit, "opencv") for limit in limits}
    assert sizes <= possible
    assert len(sizes) > 30
    assert min(sizes)[0] <= 17
    assert max(sizes)[0] >= 62


def test_window_of_resize_is_that_of_the_resized_image() -> None:
    image = np.random.default_rng(0).integers(0, 256, (37, 53, 3)).astype(np.uint8)
    for size_hw in ((19, 20), (37, 53), (80, 133)):
        window = slice(5, 18), slice(7, 100)
        np.testing.assert_array_equal(resize_opencv(image, size_hw, window), resize_opencv(image, size_hw)[window])


def test_crops_dominated_by_one_class_are_drawn_again() -> None:
    labels = np.zeros((32, 64), np.uint8)
    labels[:, 44:] = 1
    labels[:16, 20:] = 255  # unlabeled pixels do not count

    def fractions(limit: float) -> list[float]:
        values = []
        for seed in range(60):
            train = training(crop_size=(16, 16), max_class_fraction=limit)
            _, cropped_labels = augment(painted(labels), labels, INPUT_CFG, train, np.random.default_rng(seed))
            counts = np.bincount(cropped_labels[cropped_labels != 255], minlength=2)
            values.append(counts.max() / max(1, counts.sum()))
        return values

    assert np.mean([fraction >= 0.75 for fraction in fractions(1)]) > 0.7
    assert np.mean([fraction >= 0.75 for fraction in fractions(0.75)]) < 0.3  # ten tries are not always enough


def test_augmentation_is_a_function_of_the_generator() -> None:
    labels = blocks(50, 60)
    train = training(resize_ratios=(0.5, 2), max_class_fraction=0.5, flip=0.5, photometric_distortion=True)
    first, repeated, other = (
        augment(painted(labels), labels, INPUT_CFG, train, np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    for array, same in zip(first, repeated, strict=True):
        np.testing.assert_array_equal(array, same)
    assert first[0].shape != other[0].shape or (first[0] != other[0]).any()


def test_distortion_of_an_empty_image() -> None:
    for seed in range(10):
        assert distort(np.zeros((0, 5, 3), np.uint8), np.random.default_rng(seed)).shape == (0, 5, 3)


def test_distortion_keeps_gray_and_does_not_change_its_input() -> None:
    pixels = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    original, results = pixels.copy(), set()
    for seed in range(100):
        changed = distort(pixels, np.random.default_rng(seed))
        assert changed.dtype == np.uint8
        assert (changed == changed[..., :1]).all()
        assert (np.diff(changed[0, :, 0].astype(int)) >= 0).all()
        results.add(changed.tobytes())
    np.testing.assert_array_equal(pixels, original)
    assert 60 < len(results) < 90  # with probability 1/4, neither brightness nor contrast changes


# Expected values below are those of OpenCV 5.0: RGB to 8-bit HSV, the change, and back.
COLORS = [[200, 100, 50], [10, 240, 90], [30, 60, 255], [255, 0, 255], [128, 128, 128], [0, 0, 0]]


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        (0.5, [[200, 150, 125], [125, 240, 163], [143, 158, 255], [255, 128, 255], [128, 128, 128], [0, 0, 0]]),
        (1.5, [[200, 67, 0], [0, 240, 80], [0, 34, 255], [255, 0, 255], [128, 128, 128], [0, 0, 0]]),
    ],
)
def test_saturation_matches_opencv(factor: float, expected: list[list[int]]) -> None:
    changed = adjust_saturation(np.array([COLORS], np.uint8), level_table(factor))
    np.testing.assert_allclose(changed[0].astype(int), expected, atol=3)  # hues of OpenCV are multiples of 2 degrees


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (-18, [[200, 50, 90], [72, 240, 10], [30, 195, 255], [102, 0, 255], [128, 128, 128], [0, 0, 0]]),
        (17, [[200, 185, 50], [10, 240, 217], [128, 30, 255], [255, 0, 110], [128, 128, 128], [0, 0, 0]]),
    ],
)
def test_hue_matches_opencv(step: int, expected: list[list[int]]) -> None:
    changed = adjust_hue(np.array([COLORS], np.uint8), step)
    np.testing.assert_allclose(changed[0].astype(int), expected, atol=6)


def test_level_table() -> None:
    assert level_table(1.5)[[0, 1, 100, 170, 171]].tolist() == [0, 1, 150, 255, 255]
    assert level_table(1, -31.5)[[0, 31, 32, 255]].tolist() == [0, 0, 0, 223]
    assert level_table(1, 31.5)[[0, 223, 224, 255]].tolist() == [31, 254, 255, 255]
