"""Affine image warping, bit-identical to OpenCV.

A matrix ``[2, 3]`` maps (x, y, 1) in pixels of one image to (x, y) in pixels of another.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MATRIX_BITS = 10
"""Fractional bits of a position during its computation (``AB_BITS``, imgproc imgwarp.cpp)."""

FRACTION_BITS = 5
"""Fractional bits of a position for interpolation (``INTER_BITS``, same file)."""


def affine_matrix(source: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the matrix that maps three points to three others, bit-identical to ``cv2.getAffineTransform``.

    Args:
        source: float32 ``[3, 2]``, x and y in pixels; not collinear.
        target: float32 ``[3, 2]``, x and y in pixels.
    """
    # Gaussian elimination in OpenCV's order of operations (core lapack.cpp LUImpl). numpy's result differs in the last
    # bit, which matters for positions halfway between two fractions.
    rows = [[x, y, 1.0, u, v] for (x, y), (u, v) in zip(source.tolist(), target.tolist(), strict=True)]
    for i in range(3):
        pivot = max(range(i, 3), key=lambda row: abs(rows[row][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        reciprocal = -1 / rows[i][i]
        for below in rows[i + 1 :]:
            factor = below[i] * reciprocal
            below[i + 1 :] = [value + factor * above for value, above in zip(below, rows[i], strict=True)][i + 1 :]
    for i in (2, 1, 0):
        for column in (3, 4):
            for k in range(i + 1, 3):
                rows[i][column] -= rows[i][k] * rows[k][column]
            rows[i][column] /= rows[i][i]
    return np.array(rows).T[3:]


def inverse_matrix(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverse of an affine matrix, bit-identical to the one inside ``cv2.warpAffine``."""
    (a, b, c), (d, e, f) = matrix.tolist()
    reciprocal = 1 / (a * e - b * d)
    a, b, d, e = e * reciprocal, b * -reciprocal, d * -reciprocal, a * reciprocal
    return np.array([[a, b, -a * c - b * f], [d, e, -d * c - e * f]])


def warp_points(points: NDArray[np.float32], matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """Map points ``[..., 2]``, x and y in pixels, with fused multiply-adds in float32, close to ``cv2.transform``."""
    (a, b, c), (d, e, f) = matrix.astype(np.float32).astype(np.float64)
    x, y = points[..., 0].astype(np.float64), points[..., 1].astype(np.float64)
    inner = (b * y + c).astype(np.float32), (e * y + f).astype(np.float32)
    return np.stack([a * x + inner[0], d * x + inner[1]], -1).astype(np.float32)


def warp_opencv(image: NDArray[np.uint8], matrix: NDArray[np.float64], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Warp an image, bit-identical to ``cv2.warpAffine(..., flags=cv2.INTER_LINEAR)`` of OpenCV 4.

    Positions are rounded to 1/32 pixel, four neighbors are interpolated bilinearly, and the result is rounded half up.
    Pixels outside the image are black. OpenCV 5 computes positions differently.

    Args:
        image: uint8 ``[H, W, C]``.
        matrix: Matrix from the image to the warped image.
        size_hw: Height and width of the warped image in pixels.
    """
    x, y = (_positions(row, size_hw) for row in inverse_matrix(matrix).tolist())
    one = 1 << FRACTION_BITS
    left, top = x >> FRACTION_BITS, y >> FRACTION_BITS
    right_weight, below_weight = x & (one - 1), y & (one - 1)
    (x1, x2), (y1, y2) = (
        np.clip([first.min(), first.max() + 2], 0, side).tolist()
        for first, side in zip((left, top), image.shape[1::-1], strict=True)
    )
    height, width, channels = y2 - y1, x2 - x1, image.shape[2]
    left, top = left - x1, top - y1
    window = np.zeros((height + 1, width + 1, channels), np.uint8)  # last row and column are outside the image
    window[:height, :width] = image[y1:y2, x1:x2]
    pixels = window.reshape(-1, channels)
    total = np.zeros((*size_hw, channels), np.int32)
    for rows, row_weight in ((top, one - below_weight), (top + 1, below_weight)):
        row_starts = np.where((rows >= 0) & (rows < height), rows, height) * (width + 1)
        for columns, column_weight in ((left, one - right_weight), (left + 1, right_weight)):
            inside = np.where((columns >= 0) & (columns < width), columns, width)
            total += pixels[row_starts + inside] * (row_weight * column_weight)[..., None]
    return ((total + one * one // 2) >> 2 * FRACTION_BITS).astype(np.uint8)


def _positions(row: Sequence[float], size_hw: tuple[int, int]) -> NDArray[np.int32]:
    """Return the source position along one axis for each warped pixel, ``[H, W]``, in units of 1/32 pixel."""
    per_column, per_row, offset = row
    (height, width), unit = size_hw, 1 << MATRIX_BITS
    column_terms = np.rint(per_column * np.arange(width) * unit).astype(np.int32)
    row_terms = np.rint((per_row * np.arange(height) + offset) * unit).astype(np.int32)
    half = 1 << MATRIX_BITS - FRACTION_BITS - 1
    return (row_terms[:, None] + half + column_terms) >> MATRIX_BITS - FRACTION_BITS
