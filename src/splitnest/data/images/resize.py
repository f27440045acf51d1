"""Image resizing, bit-identical to OpenCV and Pillow, and the size rules of frameworks that use them."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

COEFFICIENT_BITS = 11
"""Fractional bits of OpenCV's bilinear weights for 8-bit images (``INTER_RESIZE_COEF_BITS``, imgproc resize.cpp)."""

_PILLOW_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def fit_size(
    size_hw: tuple[int, int], short_side: int, long_side: int, rule: Literal["opencv", "pillow"]
) -> tuple[int, int]:
    """Return the largest (height, width) of the same aspect ratio within two limits, at least 1 x 1.

    Rule ``opencv`` (mmcv ``rescale_size``) multiplies both sides by one factor. Rule ``pillow`` (detectron2
    ``ResizeShortestEdge``) fits the short side, and then the long side if it is too long. Both round half up.

    Args:
        size_hw: Height and width of the original image in pixels.
        short_side, long_side: Maximum of the short and of the long side in pixels.
        rule: Rounding rule, as described above.
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
    """Resize an image with Pillow, which antialiases when it downsamples.

    Args:
        image: uint8 ``[H, W, 3]``.
        size_hw: New height and width in pixels.
        interpolation: Resampling filter.
    """
    resized = Image.fromarray(image).resize(size_hw[::-1], _PILLOW_FILTERS[interpolation])
    return np.array(resized)


def nearest_pixels(source: int, target: int, rule: Literal["opencv", "pillow"]) -> NDArray[np.intp]:
    """Return the source pixel of each target pixel under nearest-neighbor resizing, ``[target]``.

    OpenCV samples at the left edge of the target pixel, Pillow at its center.

    Args:
        source, target: Number of pixels before and after resizing.
        rule: Library that is reproduced.
    """
    if rule == "opencv":
        return np.floor(np.arange(target) * (1 / (target / source))).astype(np.intp).clip(max=source - 1)
    indices = Image.fromarray(np.arange(source, dtype=np.int32)[None])  # Pillow itself, for its rounding of ties
    return np.array(indices.resize((target, 1), Image.Resampling.NEAREST), np.intp)[0]


def resize_opencv(
    image: NDArray[np.uint8], size_hw: tuple[int, int], window: tuple[slice, slice] = (slice(None), slice(None))
) -> NDArray[np.uint8]:
    """Resize an image, bit-identical to ``cv2.resize(..., interpolation=cv2.INTER_LINEAR)``, without antialiasing.

    OpenCV uses fixed-point weights with 11 fractional bits. It interpolates along rows and drops 4 bits, then along
    columns, drops 16 bits of each product, and rounds off the last 2.

    Args:
        image: uint8 ``[H, W, C]`` or ``[H, W]``.
        size_hw: New height and width in pixels.
        window: Rows and columns of the resized image to compute.
    """
    rows, columns = window
    channels = int(np.prod(image.shape[2:]))
    horizontal = _taps(image.shape[1], size_hw[1], clip_weights=True)
    vertical = _taps(image.shape[0], size_hw[0], clip_weights=False)
    left, right, left_weight, right_weight = (taps[columns] for taps in horizontal)
    top, bottom, top_weight, bottom_weight = (taps[rows] for taps in vertical)
    height, width = len(top), len(left)

    # Rows are flat with interleaved channels, and processed one at a time to stay in the CPU cache.
    interleaved = np.arange(channels)
    left_index = (left[:, None] * channels + interleaved).ravel()
    right_index = (right[:, None] * channels + interleaved).ravel()
    left_weight, right_weight = left_weight.repeat(channels), right_weight.repeat(channels)
    used_rows = np.union1d(top, bottom)
    resized_rows = np.empty((len(used_rows), width * channels), np.int32)
    for row, target in zip(image.reshape(len(image), -1)[used_rows], resized_rows, strict=True):
        int_row = row.astype(np.int32)
        np.multiply(int_row[left_index], left_weight, out=target)
        target += int_row[right_index] * right_weight
        target >>= 4

    resized = np.empty((height, width * channels), np.uint8)
    top_row, bottom_row = np.searchsorted(used_rows, top), np.searchsorted(used_rows, bottom)
    for y in range(height):
        total = resized_rows[top_row[y]] * top_weight[y]
        total >>= 16
        total += (resized_rows[bottom_row[y]] * bottom_weight[y]) >> 16
        total += 2
        total >>= 2
        resized[y] = total
    return resized.reshape(height, width, *image.shape[2:])


def _taps(source: int, target: int, clip_weights: bool) -> tuple[NDArray[np.intp], ...]:
    """Return the two source pixels of each target pixel and their integer weights, ``[target]`` each.

    Pixel centers are aligned. OpenCV replicates border pixels: along rows with the full weight on one pixel
    (``clip_weights``), along columns with both weights on the same pixel, which rounds differently.
    """
    # Same order of operations, in float64 and then float32, as in OpenCV.
    position = ((np.arange(target) + 0.5) * (1.0 / (target / source)) - 0.5).astype(np.float32)
    first = np.floor(position).astype(np.intp)
    fraction = position - first.astype(np.float32)
    if clip_weights:
        fraction[(first < 0) | (first >= source - 1)] = 0
    scale = np.float32(1 << COEFFICIENT_BITS)
    weights = [np.rint(weight * scale).astype(np.int32) for weight in (np.float32(1) - fraction, fraction)]
    return first.clip(0, source - 1), (first + 1).clip(0, source - 1), *weights
