"""Random changes of a photograph and its label map for training: size, crop, mirror image, colour.

Source: mmsegmentation ``RandomCrop`` and ``PhotoMetricDistortion``, mmcv ``RandomResize``.
"""

import numpy as np
from numpy.typing import NDArray

from splitnest.data.panoptic_labels import UNLABELLED
from splitnest.data.photometric import distort
from splitnest.data.resize import fit_size, nearest_pixels, resize_opencv
from splitnest.recipe.inputs import SemanticInput
from splitnest.recipe.training import SemanticTraining

MAX_TRIES = 10
"""Crops that are looked at; the one after them is taken as it is."""

Window = tuple[slice, slice]
"""Rows and columns."""


def augment(
    pixels: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    facts: SemanticInput,
    train: SemanticTraining,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Resize, crop, mirror and recolour a photograph, in this order. Labels take the nearest pixel.

    Args:
        pixels: uint8 RGB ``[H, W, 3]``.
        labels: ``[H, W]``, classes or ``UNLABELLED``.
        facts: ``input`` of the recipe: the limits of the size.
        train: ``train`` of the recipe: how much is changed.
        rng: The only source of randomness.

    Returns:
        Pixels ``[h, w, 3]`` and labels ``[h, w]`` of the crop, or of less where the image is smaller.
    """
    size_hw = _size((pixels.shape[0], pixels.shape[1]), facts, train, rng)
    # The whole image is never resized: the window is chosen by its labels, which are cheap.
    rows, columns = (nearest_pixels(*sides, "opencv") for sides in zip(labels.shape, size_hw, strict=True))
    window = _window(size_hw, train.crop, rng)
    if train.max_class_share < 1:
        for _ in range(MAX_TRIES):
            if _is_varied(_cut(labels, rows, columns, window), train.max_class_share):
                break
            window = _window(size_hw, train.crop, rng)
    pixels, labels = resize_opencv(pixels, size_hw, window), _cut(labels, rows, columns, window)
    if rng.random() < train.flip:
        pixels, labels = pixels[:, ::-1], labels[:, ::-1]
    if train.photometric:
        pixels = distort(pixels, rng)
    return pixels, labels


def _size(
    size_hw: tuple[int, int], facts: SemanticInput, train: SemanticTraining, rng: np.random.Generator
) -> tuple[int, int]:
    """Return the height and width of the resized image: both limits times one random ratio, as whole numbers."""
    ratio = rng.uniform(*train.ratios)
    short_side, long_side = sorted(max(1, int(limit * ratio)) for limit in (facts.short_side, facts.long_side))
    return fit_size(size_hw, short_side, long_side, "opencv")


def _window(size_hw: tuple[int, int], crop: tuple[int, int], rng: np.random.Generator) -> Window:
    top, left = (int(rng.integers(max(side - part, 0) + 1)) for side, part in zip(size_hw, crop, strict=True))
    return slice(top, top + crop[0]), slice(left, left + crop[1])


def _cut(
    labels: NDArray[np.uint8], rows: NDArray[np.intp], columns: NDArray[np.intp], window: Window
) -> NDArray[np.uint8]:
    return labels[rows[window[0], None], columns[window[1]]]


def _is_varied(labels: NDArray[np.uint8], max_share: float) -> bool:
    """Whether there is more than one class, and none with too large a share of the labelled pixels."""
    counts = np.bincount(labels.ravel(), minlength=UNLABELLED)[:UNLABELLED]
    return bool(np.count_nonzero(counts) > 1 and counts.max() / counts.sum() < max_share)
