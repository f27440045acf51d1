"""Validation of result fields: types, dtypes, shapes and values."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from splitnest.structures.categories import Categories

Sizes = dict[str, int]
"""Size of each named axis."""


def checked_sizes(owner: str, image_size: tuple[int, int], categories: Categories) -> Sizes:
    """Check the fields that all results have, and return the sizes of the axes ``H`` and ``W``.

    Args:
        owner: Name of the result type, for messages.
        image_size: Height and width of the original image in pixels.
        categories: Classes in index order.

    Raises:
        ValueError: A field has another type, or ``image_size`` is not positive.
    """
    if not isinstance(categories, Categories):
        raise ValueError(f"{owner}.categories must be Categories, but is {type(categories).__name__}.")
    is_pair = isinstance(image_size, tuple) and len(image_size) == 2
    if not is_pair or not all(isinstance(side, int) and side > 0 for side in image_size):
        raise ValueError(f"{owner}.image_size must be (height, width), two positive integers, but is {image_size!r}.")
    return {"H": image_size[0], "W": image_size[1]}


def checked_image(image: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Check that an image to draw on has the size of the result, and return it.

    Args:
        image: uint8 RGB ``[H, W, 3]``.
        image_size: Height and width of the result in pixels.

    Raises:
        ValueError: The image has another dtype or shape.
    """
    if image.dtype != np.uint8 or image.shape != (*image_size, 3):
        raise ValueError(
            f"image must be uint8 [{image_size[0]}, {image_size[1]}, 3], the size of the result, "
            f"but is {image.dtype} {list(image.shape)}."
        )
    return image


def checked_array(name: str, value: Any, dtype: DTypeLike, shape: tuple[str | int, ...], sizes: Sizes) -> np.ndarray:
    """Check an array, and return a read-only view of it.

    Args:
        name: Field name in messages, as in ``Detections.boxes``.
        value: Value of the field.
        dtype: Required dtype.
        shape: Size of each axis, as a number or a name.
        sizes: Sizes of named axes; names that first occur in this array are added.

    Raises:
        ValueError: The value is not an array, has another dtype or shape, or contains NaN or infinity.
    """
    expected = f"{np.dtype(dtype).name} [{', '.join(map(str, shape))}]"
    known = ", ".join(f"{axis} = {sizes[axis]}" for axis in shape if isinstance(axis, str) and axis in sizes)
    if known:
        expected += f" with {known}"
    if not isinstance(value, np.ndarray):
        raise ValueError(f"{name} must be a numpy array, {expected}, but is {type(value).__name__}.")
    given = f"{value.dtype.name} {list(value.shape)}"
    fits = value.ndim == len(shape) and all(
        size == (sizes.setdefault(axis, size) if isinstance(axis, str) else axis)
        for size, axis in zip(value.shape, shape, strict=True)
    )
    if not fits or value.dtype != dtype:
        raise ValueError(f"{name} must be {expected}, but is {given}.")
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        raise ValueError(f"{name} contains NaN or infinity.")
    view = value.view()
    view.flags.writeable = False
    return view


def checked_boxes(name: str, value: Any, sizes: Sizes) -> np.ndarray:
    """Check xyxy boxes, float32 ``[N, 4]``, and return a read-only view; boxes may have no area.

    Args:
        name: Field name in messages, as in ``Detections.boxes``.
        value: Value of the field.
        sizes: Sizes of named axes; ``N`` is added.

    Raises:
        ValueError: The array is not valid (see ``checked_array``), or a box has x2 < x1 or y2 < y1.
    """
    boxes = checked_array(name, value, np.float32, ("N", 4), sizes)
    swapped = (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
    if swapped.any():
        row = int(swapped.argmax())
        raise ValueError(f"{name} must be x1, y1, x2, y2 with x2 >= x1 and y2 >= y1, but row {row} is {boxes[row]}.")
    return boxes


def checked_labels(name: str, labels: np.ndarray, categories: Categories) -> None:
    """Check that labels are class indices.

    Args:
        name: Field name in messages, as in ``Detections.labels``.
        labels: Integers of any shape.
        categories: Classes in index order.

    Raises:
        ValueError: A label is out of range.
    """
    if labels.size and (labels.min() < 0 or labels.max() >= len(categories)):
        raise ValueError(
            f"{name} must be from 0 to {len(categories) - 1}, one for each of the {len(categories)} categories, "
            f"but reach from {labels.min()} to {labels.max()}."
        )


def selected_rows(rows: int | slice | list[int] | np.ndarray, count: int) -> slice | np.ndarray:
    """Convert the index of ``result[rows]`` to one that selects several rows; an integer selects one row.

    Args:
        rows: Index, slice, list or array of indices, or bool list or array.
        count: Number of rows.

    Raises:
        IndexError: An integer is out of range.
    """
    if isinstance(rows, (int, np.integer)):
        return np.array([range(count)[rows]])
    if isinstance(rows, list):
        return np.array(rows, dtype=bool if rows and isinstance(rows[0], bool) else np.int64)
    return rows
