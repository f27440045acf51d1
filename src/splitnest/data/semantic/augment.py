"""Training augmentation of semantic segmentation: random resize, crop, horizontal flip, photometric distortion.

Sources: mmsegmentation ``RandomCrop`` and ``PhotoMetricDistortion``, mmcv ``RandomResize``.
"""

import numpy as np
from numpy.typing import NDArray

from splitnest.data.images.resize import fit_size, nearest_pixels, resize_opencv
from splitnest.data.semantic.photometric import distort
from splitnest.recipe.inputs import SemanticInput
from splitnest.recipe.training import SemanticTraining
from splitnest.structures.panoptic_labels import UNLABELED

MAX_TRIES = 10
"""Number of crops that are tested for their class distribution; the next one is used untested."""

Window = tuple[slice, slice]
"""Rows and columns of a crop."""


def augment(
    pixels: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    input_cfg: SemanticInput,
    train_cfg: SemanticTraining,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Resize, crop, flip and distort an image, in this order. Labels are resized by nearest neighbor.

    Args:
        pixels: uint8 RGB ``[H, W, 3]``.
        labels: ``[H, W]``, class indices or ``UNLABELED``.
        input_cfg: Section ``input`` of the recipe, whose size limits are scaled.
        train_cfg: Section ``train`` of the recipe.
        rng: Random generator.

    Returns:
        Pixels ``[h, w, 3]`` and labels ``[h, w]`` of the crop, or of less where the resized image is smaller.
    """
    size_hw = _random_size((pixels.shape[0], pixels.shape[1]), input_cfg, train_cfg, rng)
    # Only the crop is resized: the window is chosen by its labels alone, whose resizing is cheap.
    rows, columns = (nearest_pixels(*sides, "opencv") for sides in zip(labels.shape, size_hw, strict=True))
    window = _random_window(size_hw, train_cfg.crop_size, rng)
    if train_cfg.max_class_fraction < 1:
        for _ in range(MAX_TRIES):
            if _is_diverse(_crop_labels(labels, rows, columns, window), train_cfg.max_class_fraction):
                break
            window = _random_window(size_hw, train_cfg.crop_size, rng)
    pixels, labels = resize_opencv(pixels, size_hw, window), _crop_labels(labels, rows, columns, window)
    if rng.random() < train_cfg.flip:
        pixels, labels = pixels[:, ::-1], labels[:, ::-1]
    if train_cfg.photometric_distortion:
        pixels = distort(pixels, rng)
    return pixels, labels


def _random_size(
    size_hw: tuple[int, int], input_cfg: SemanticInput, train_cfg: SemanticTraining, rng: np.random.Generator
) -> tuple[int, int]:
    """Return (height, width) of the resized image; both size limits are scaled by one random ratio and truncated."""
    ratio = rng.uniform(*train_cfg.resize_ratios)
    short_side, long_side = sorted(max(1, int(side * ratio)) for side in (input_cfg.short_side, input_cfg.long_side))
    return fit_size(size_hw, short_side, long_side, "opencv")


def _random_window(size_hw: tuple[int, int], crop_size: tuple[int, int], rng: np.random.Generator) -> Window:
    top, left = (int(rng.integers(max(side - part, 0) + 1)) for side, part in zip(size_hw, crop_size, strict=True))
    return slice(top, top + crop_size[0]), slice(left, left + crop_size[1])


def _crop_labels(
    labels: NDArray[np.uint8], rows: NDArray[np.intp], columns: NDArray[np.intp], window: Window
) -> NDArray[np.uint8]:
    return labels[rows[window[0], None], columns[window[1]]]


def _is_diverse(labels: NDArray[np.uint8], max_fraction: float) -> bool:
    """Return whether there is more than one class, and none covers ``max_fraction`` of the labeled pixels."""
    counts = np.bincount(labels.ravel(), minlength=UNLABELED)[:UNLABELED]
    return bool(np.count_nonzero(counts) > 1 and counts.max() / counts.sum() < max_fraction)
