"""Bilinear resizing as OpenCV and Pillow do it, to the bit, and the size rules of the frameworks that use them."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

COEFFICIENT_BITS = 11
"""Fraction bits of OpenCV's bilinear weights for 8-bit images (``INTER_RESIZE_COEF_BITS``, imgproc resize.cpp)."""

_PILLOW_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def fit_size(
    size_hw: tuple[int, int], short_side: int, long_side: int, rule: Literal["opencv", "pillow"]
) -> tuple[int, int]:
    """Return the largest (height, width) of the same shape that passes neither limit, at least one pixel a side.

    Both rules round half up. They differ in what is rounded: ``opencv`` (mmcv ``rescale_size``) multiplies both sides
    with one factor; ``pillow`` (detectron2 ``ResizeShortestEdge``) fits the short side first and shrinks again where
    the long side is then too long.

    Args:
        size_hw: Height and width of the photograph in pixels.
        short_side, long_side: Limits in pixels.
        rule: Whose arithmetic.
    """
    height, width = size_hw
    if rule == "opencv":
        factor = min(long_side / max(size_hw), short_side / min(size_hw))
        new_height, new_width = height * factor, width * factor
    else:
        factor = short_side / min(size_hw)
        new_height = short_side if height < width else factor * height
        new_width = factor * width if height < width else short_side
        if max(new_height, new_width) > long_side:
            factor = long_side / max(new_height, new_width)
            new_height, new_width = new_height * factor, new_width * factor
    return max(1, int(new_height + 0.5)), max(1, int(new_width + 0.5))


def resize_pillow(
    image: NDArray[np.uint8], size_hw: tuple[int, int], interpolation: Literal["bilinear", "bicubic"] = "bilinear"
) -> NDArray[np.uint8]:
    """Resize ``[H, W, 3]`` with Pillow's filter, which averages (antialiases) where it shrinks."""
    resized = Image.fromarray(image).resize(size_hw[::-1], _PILLOW_FILTERS[interpolation])
    return np.array(resized)


def nearest_pixels(source: int, target: int, rule: Literal["opencv", "pillow"]) -> NDArray[np.intp]:
    """Return which of ``source`` pixels each of ``target`` pixels is with the nearest filter of OpenCV or Pillow.

    OpenCV's takes the pixel where the new one begins, not the one at its centre.
    """
    if rule == "opencv":
        return np.floor(np.arange(target) * (1 / (target / source))).astype(np.intp).clip(max=source - 1)
    places = Image.fromarray(np.arange(source, dtype=np.int32)[None])  # only Pillow itself breaks ties as Pillow does
    return np.array(places.resize((target, 1), Image.Resampling.NEAREST), np.intp)[0]


def resize_opencv(
    image: NDArray[np.uint8], size_hw: tuple[int, int], window: tuple[slice, slice] = (slice(None), slice(None))
) -> NDArray[np.uint8]:
    """Resize ``[H, W, C]`` or ``[H, W]`` to the same bits as ``cv2.resize(..., interpolation=cv2.INTER_LINEAR)``.

    OpenCV weighs with integers of 11 fraction bits: first along the rows, dropping 4 bits, then along the columns,
    dropping 16 bits of each product and rounding away the last 2. It does not antialias.

    Args:
        image: Any number of channels.
        size_hw: New height and width in pixels.
        window: Rows and columns of the resized image that are wanted; no others are computed.
    """
    rows, columns = window
    channels = int(np.prod(image.shape[2:]))
    horizontal = _taps(image.shape[1], size_hw[1], clip_weights=True)
    vertical = _taps(image.shape[0], size_hw[0], clip_weights=False)
    left, right, left_weight, right_weight = (taps[columns] for taps in horizontal)
    top, bottom, top_weight, bottom_weight = (taps[rows] for taps in vertical)
    height, width = len(top), len(left)

    # Rows are flat, channels interleaved; each is worked on by itself, so that it stays in the processor's cache.
    interleaved = np.arange(channels)
    left_index = (left[:, None] * channels + interleaved).ravel()
    right_index = (right[:, None] * channels + interleaved).ravel()
    left_weight, right_weight = left_weight.repeat(channels), right_weight.repeat(channels)
    used_rows = np.union1d(top, bottom)
    widened = np.empty((len(used_rows), width * channels), np.int32)
    for row, target in zip(image.reshape(len(image), -1)[used_rows], widened, strict=True):
        wide_row = row.astype(np.int32)
        np.multiply(wide_row[left_index], left_weight, out=target)
        target += wide_row[right_index] * right_weight
        target >>= 4

    resized = np.empty((height, width * channels), np.uint8)
    top_row, bottom_row = np.searchsorted(used_rows, top), np.searchsorted(used_rows, bottom)
    for y in range(height):
        total = widened[top_row[y]] * top_weight[y]
        total >>= 16
        total += (widened[bottom_row[y]] * bottom_weight[y]) >> 16
        total += 2
        total >>= 2
        resized[y] = total
    return resized.reshape(height, width, *image.shape[2:])


def _taps(source: int, target: int, clip_weights: bool) -> tuple[NDArray[np.intp], ...]:
    """Return the two neighbours in ``source`` pixels of each of ``target`` pixels, and their integer weights.

    Pixel centres are aligned. Beyond the border OpenCV repeats the last pixel: along a row it gives it the whole weight
    (``clip_weights``), along a column it keeps both weights, which rounds differently.
    """
    # The order of these float64 operations, and float32 after them, are OpenCV's.
    position = ((np.arange(target) + 0.5) * (1.0 / (target / source)) - 0.5).astype(np.float32)
    first = np.floor(position).astype(np.intp)
    fraction = position - first.astype(np.float32)
    if clip_weights:
        fraction[(first < 0) | (first >= source - 1)] = 0
    scale = np.float32(1 << COEFFICIENT_BITS)
    weights = [np.rint(weight * scale).astype(np.int32) for weight in (np.float32(1) - fraction, fraction)]
    return first.clip(0, source - 1), (first + 1).clip(0, source - 1), *weights
