"""Items of a dataset from Python: images with targets, whose errors name the index."""

import math
import traceback
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import ConcatDataset, Subset

from splitnest.data.images.read import to_array
from splitnest.device import is_out_of_memory
from splitnest.errors import DataError, UsageError
from splitnest.progress import PROGRESS_FROM, track

T = TypeVar("T")


class ImageSequence(Protocol):
    """Dataset from Python, such as a torch ``Dataset``: its items are pairs (image, target).

    An image is a uint8 RGB array ``[H, W, 3]``, a Pillow image, or a uint8 tensor ``[3, H, W]``. A target is
    ``Instances`` (detection; with keypoints for pose estimation), a class index, a label map ``[H, W]``, or
    ``PanopticLabels``. An item is a function of its index: augmentation is applied afterwards, as the recipe says.

    Two further methods are used where they exist: ``target(index)``, the target alone, and ``size(index)``, (height,
    width) of the image in pixels. Without them all items are read once before the work begins, for the tasks whose
    targets must be known then (all but semantic segmentation).
    """

    def __len__(self) -> int:
        """Return the number of items."""

    def __getitem__(self, index: int) -> Any:
        """Return an image and its target."""


class Items:
    """Checked access to the items of a dataset from Python.

    ``Subset`` and ``ConcatDataset`` of torch pass ``target`` and ``size`` on to the datasets they are made of.

    Args:
        sequence: Dataset.
        name: Name of the dataset in messages, such as ``train_data``.

    Raises:
        UsageError: The dataset is not a sequence.
        DataError: The dataset is empty.
    """

    def __init__(self, sequence: ImageSequence, name: str) -> None:
        if isinstance(sequence, str | bytes | Path | Mapping) or not hasattr(sequence, "__getitem__"):
            raise UsageError(
                f"{name} is a {type(sequence).__name__}, not a sequence of images and targets. Give an object with "
                f"__len__ and __getitem__, such as a torch Dataset; files are set in the recipe (data.root)."
            )
        self.sequence, self.name = sequence, name
        self._count = self._length()
        self._last: tuple[int, tuple[Any, Any]] | None = None
        if not self._count:
            raise DataError(f"{name} has no items. Give at least one image with its target.")

    def __len__(self) -> int:
        return self._count

    def cite(self, index: int) -> str:
        """Return the name of an item in messages."""
        return f"{self.name}[{index}]"

    def image(self, index: int) -> NDArray[np.uint8]:
        """Return the pixels of an image, uint8 RGB ``[H, W, 3]``.

        Raises:
            DataError: The item raises an error, or is not a pair of an image and a target.
        """
        return _pixels(self._item(index)[0], self.cite(index))

    def target(self, index: int) -> Any:
        """Return a target, without its image where the dataset has ``target(index)``.

        Raises:
            DataError: The item raises an error, or is not a pair of an image and a target.
        """
        if self._last is None or self._last[0] != index:
            method, position = self._method("target", index)
            if method is not None:
                return self._call(index, lambda: method(position))
        return self._item(index)[1]

    def size_hw(self, index: int) -> tuple[int, int]:
        """Return the height and width of an image in pixels, without reading it where the dataset has ``size(index)``.

        Raises:
            DataError: The item raises an error, or the size is not two positive integers.
        """
        method, position = self._method("size", index)
        if method is None:
            return _size_of(self._item(index)[0], self.cite(index))
        size = self._call(index, lambda: tuple(int(side) for side in method(position)))
        if len(size) != 2 or min(size) < 1:
            raise DataError(f"{self.cite(index)}: size() returned {size}. Return (height, width) in pixels.")
        return size[0], size[1]

    def indices(self) -> Iterator[int]:
        """Yield all indices, with progress: for reading all targets before the work begins."""
        indices = range(self._count)
        yield from track(indices, self._count, f"reading {self.name}") if self._count >= PROGRESS_FROM else indices

    def _length(self) -> int:
        try:
            return len(self.sequence)
        except TypeError as error:
            raise UsageError(
                f"{self.name} is a {type(self.sequence).__name__} without a length. Give a dataset with __len__ and "
                f"__getitem__; an iterable one cannot be shuffled and resumed."
            ) from error

    def _item(self, index: int) -> tuple[Any, Any]:
        if self._last is not None and self._last[0] == index:
            return self._last[1]
        if (count := self._length()) != self._count:
            raise DataError(
                f"{self.cite(index)}: the dataset had {self._count} items at the start and has {count} now. Its length "
                f"must not change while it is used."
            )
        item = self._call(index, lambda: self.sequence[index])
        if not isinstance(item, tuple | list) or len(item) != 2:
            found = f"{len(item)} values" if isinstance(item, tuple | list) else f"a {type(item).__name__}"
            raise DataError(f"{self.cite(index)} is {found}, not a pair (image, target). Return a tuple of both.")
        self._last = (index, (item[0], item[1]))
        return self._last[1]

    def _call(self, index: int, function: Callable[[], T]) -> T:
        """Call a method of the dataset; its errors become a DataError with the index and the place in the code."""
        try:
            return function()
        except DataError as error:
            raise DataError(f"{self.cite(index)}: {error}") from error
        except Exception as error:
            if is_out_of_memory(error):
                raise
            frame = traceback.extract_tb(error.__traceback__)[-1]
            text = str(error).rstrip(".") or "no message"
            raise DataError(
                f"{self.cite(index)} raised {type(error).__name__}: {text} ({frame.filename}, line {frame.lineno}). "
                f"Correct the dataset or leave the item out."
            ) from error

    def _method(self, name: str, index: int) -> tuple[Callable[[int], Any] | None, int]:
        """Return an optional method of the dataset that an item comes from, and the index of the item there."""
        sequence: Any = self.sequence
        while True:
            if type(sequence) is Subset:
                sequence, index = sequence.dataset, int(sequence.indices[index])
            elif type(sequence) is ConcatDataset:
                number = bisect_right(sequence.cumulative_sizes, index)
                index -= sequence.cumulative_sizes[number - 1] if number else 0
                sequence = sequence.datasets[number]
            else:
                method = getattr(sequence, name, None)
                return (method if callable(method) else None), index


class SequenceImages:
    """Images of a dataset from Python instead of files; a mixin for datasets."""

    _items: Items

    def __len__(self) -> int:
        return len(self._items)

    def name(self, index: int) -> str:
        """Return the name of an image: the name of the dataset with the index."""
        return self._items.cite(index)

    def path(self, index: int) -> None:
        """Return None: there are no files."""

    def read(self, index: int) -> NDArray[np.uint8]:
        """Return the pixels of an image, uint8 RGB ``[H, W, 3]``."""
        return self._items.image(index)

    def check_files(self) -> list[str]:
        """Return an empty list: there are no files."""
        return []


def numbers(values: Any, shape: tuple[int | None, ...], what: str) -> NDArray[np.float64]:
    """Return finite numbers as a float64 array.

    Args:
        values: Tensor, array or nested list.
        shape: Expected shape; None for any length.
        what: Name of the values in messages.

    Raises:
        DataError: The values have another shape, or are not finite numbers.
    """
    try:
        array = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} are not numbers ({error}). Give a tensor or an array.") from error
    if array.size == 0 and None in shape:
        array = array.reshape([0 if side is None else side for side in shape])
    if array.ndim != len(shape) or any(want not in (None, side) for side, want in zip(array.shape, shape, strict=True)):
        wanted = ", ".join("N" if side is None else str(side) for side in shape)
        raise DataError(f"{what} have the shape {list(array.shape)}. Give [{wanted}].")
    if not np.isfinite(array).all():
        raise DataError(f"{what} have a number that is not finite. Correct it.")
    return array


def class_index(value: Any, count: int, what: str) -> int:
    """Return a class index as an integer.

    Args:
        value: Integer, or an array or tensor of one.
        count: Number of classes.
        what: Name of the value in messages.

    Raises:
        DataError: The value is not an integer, or there is no such class.
    """
    if isinstance(value, Tensor | np.ndarray) and math.prod(value.shape) == 1:
        value = value.item()
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise DataError(f"{what} is {_describe(value)}, not a class index. Give an integer from 0 to {count - 1}.")
    if not 0 <= value < count:
        raise DataError(
            f"{what} is {value}, but the model has {count} classes. Give an index from 0 to {count - 1}, in the order "
            f"of data.classes."
        )
    return int(value)


def other_size(cite: str, found: tuple[int, ...], expected: tuple[int, int]) -> DataError:
    """Return the error for an image whose size differs from that of its target, both (height, width) in pixels."""
    return DataError(
        f"{cite} has an image of {found[1]} x {found[0]} pixels, but its target is for {expected[1]} x {expected[0]}. "
        f"An item must not change from one access to the next, and size() must return (height, width)."
    )


def _size_of(image: Any, where: str) -> tuple[int, int]:
    pixels = _pixels(image, where)
    return pixels.shape[0], pixels.shape[1]


def _pixels(image: Any, where: str) -> NDArray[np.uint8]:
    """Return an image of any accepted type as uint8 RGB ``[H, W, 3]``."""
    if isinstance(image, Image.Image):
        try:
            return to_array(image)[0]
        except DataError as error:
            raise DataError(f"{where}: {error}") from error
    array: Any = image
    if isinstance(image, Tensor):
        array = image.as_subclass(Tensor).detach().cpu().numpy()
        array = np.moveaxis(array, 0, 2) if array.ndim == 3 else array
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise DataError(
            f"{where} has {_describe(image)} as image. Give a uint8 RGB array [H, W, 3], a Pillow image, or a uint8 "
            f"tensor [3, H, W]."
        )
    if not array.size:
        raise DataError(f"{where} has an image without pixels. Leave it out.")
    return array if array.flags.writeable and array.flags.c_contiguous else array.copy(order="C")


def _describe(value: Any) -> str:
    """Return the type of a value in words, with dtype and shape of an array."""
    if isinstance(value, Tensor | np.ndarray):
        dtype = str(value.dtype).removeprefix("torch.")
        return f"a {type(value).__name__} of {dtype} with shape {list(value.shape)}"
    return f"a {type(value).__name__}" if not isinstance(value, bool | float | str) else repr(value)
