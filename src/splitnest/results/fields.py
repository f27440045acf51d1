"""Checks of the arrays in a result: every field of every type is checked when the result is made."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from splitnest.data.categories import Categories

Sizes = dict[str, int]


def checked_sizes(owner: str, image_size: tuple[int, int], categories: Categories) -> Sizes:
    """Check what every result carries, and start the table of named sizes with ``H`` and ``W``.

    Args:
        owner: Name of the type, for messages.
        image_size: (height, width) of the input image in pixels.
        categories: Index -> category.

    Raises:
        ValueError: If either is not what it should be.
    """
    if not isinstance(categories, Categories):
        raise ValueError(f"{owner}.categories must be Categories, but is {type(categories).__name__}.")
    pair = isinstance(image_size, tuple) and len(image_size) == 2
    if not pair or not all(isinstance(side, int) and side > 0 for side in image_size):
        raise ValueError(f"{owner}.image_size must be (height, width), two positive integers, but is {image_size!r}.")
    return {"H": image_size[0], "W": image_size[1]}


def checked_array(name: str, value: Any, dtype: DTypeLike, shape: tuple[str | int, ...], sizes: Sizes) -> np.ndarray:
    """Check one array and give a read-only view of it.

    Args:
        name: Field name for messages, e.g. ``Detections.boxes``.
        value: What the caller gave.
        dtype: The only dtype allowed.
        shape: Sizes of the axes: a number, or a name. A name that ``sizes`` does not know yet is added to it, so
            that the next array of the same result has to agree.
        sizes: Named sizes so far.

    Raises:
        ValueError: If ``value`` is no array, or has another dtype or shape, or holds NaN or infinity.
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
        raise ValueError(f"{name} holds NaN or infinity.")
    view = value.view()
    view.flags.writeable = False
    return view


def checked_boxes(name: str, value: Any, sizes: Sizes) -> np.ndarray:
    """Check boxes, float32 [N, 4] xyxy in pixels: x2 >= x1 and y2 >= y1 (a box without area is a box).

    Raises:
        ValueError: As ``checked_array``, and for a box whose corners are swapped.
    """
    boxes = checked_array(name, value, np.float32, ("N", 4), sizes)
    swapped = (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
    if swapped.any():
        row = int(swapped.argmax())
        raise ValueError(f"{name} must be x1, y1, x2, y2 with x2 >= x1 and y2 >= y1, but row {row} is {boxes[row]}.")
    return boxes


def checked_labels(name: str, labels: np.ndarray, categories: Categories) -> None:
    """Check that labels are indices into ``categories``.

    Raises:
        ValueError: If one is not.
    """
    if labels.size and (labels.min() < 0 or labels.max() >= len(categories)):
        raise ValueError(
            f"{name} must be from 0 to {len(categories) - 1}, one for each of the {len(categories)} categories, "
            f"but reach from {labels.min()} to {labels.max()}."
        )


def selected_rows(rows: int | slice | list[int] | np.ndarray, count: int) -> slice | np.ndarray:
    """What ``result[rows]`` means: always some rows, also for a single number.

    Raises:
        IndexError: If a single number is outside the ``count`` rows.
    """
    if isinstance(rows, (int, np.integer)):
        return np.array([range(count)[rows]])
    if isinstance(rows, list):
        return np.array(rows, dtype=bool if rows and isinstance(rows[0], bool) else np.int64)
    return rows
