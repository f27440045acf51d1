"""List of augmentations of a recipe, and a callable of the user, applied to an image and its ground truth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor
from torchvision import tv_tensors

from splitnest.data.augmentations.copy_paste import copy_paste
from splitnest.data.augmentations.large_scale_jitter import large_scale_jitter
from splitnest.data.augmentations.mosaic import mosaic
from splitnest.data.augmentations.transforms import PIXEL_TRANSFORMS, TRANSFORMS, build_transform
from splitnest.data.augmentations.view import View, padded, size_hw
from splitnest.data.images.normalize import mean_color
from splitnest.data.loading.seeds import AUGMENT, all_seeded
from splitnest.device import is_out_of_memory
from splitnest.errors import UserCodeError, code_name
from splitnest.recipe.augmentation import Augmentation, CopyPaste, LargeScaleJitter, Mosaic, Pad
from splitnest.recipe.inputs import Input

UserTransform = Callable[[tv_tensors.Image, dict[str, Any]], tuple[Tensor, dict[str, Any]]]
"""Augmentation of a user: image and ground truth as in ``View`` -> the same; transforms of torchvision v2 are such."""

MOSAIC_TILES = 4


@dataclass(frozen=True)
class Views:
    """Images of a training set before the list of augmentations, in one epoch.

    Attributes:
        read: Function that returns the view of an index.
        count: Number of images.
        name: Function that returns the name of the image of an index, for messages.
        size_hw: Height and width in pixels that images keep; None if they may change.
    """

    read: Callable[[int], View]
    count: int
    name: Callable[[int], str]
    size_hw: tuple[int, int] | None = None


class Augmentations:
    """Augmentations of a training set, as functions of seed, epoch and index alone.

    An augmentation of several images draws the others from the same training set, as they are after the entries of the
    list before it.

    Args:
        entries: ``train.augment`` of the recipe.
        input_cfg: Section ``input`` of the recipe, whose mean is the color of pixels outside the image.
        seed: ``train.seed``.
    """

    def __init__(self, entries: Sequence[Augmentation], input_cfg: Input, seed: int) -> None:
        self._entries, self._fill, self._seed = tuple(entries), mean_color(input_cfg), seed
        self._transforms = {
            entry.type: build_transform(entry, self._fill) for entry in entries if entry.type in TRANSFORMS
        }
        self._own: UserTransform | None = None

    def followed_by(self, own: UserTransform | None) -> Self:
        """Return the same augmentations followed by one of the user."""
        copy = type(self).__new__(type(self))
        copy.__dict__ = self.__dict__ | {"_own": own}
        return copy

    def __bool__(self) -> bool:
        return bool(self._entries) or self._own is not None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the entries of ``train.augment``, in order."""
        return tuple(entry.type for entry in self._entries)

    @property
    def change_pixels_only(self) -> bool:
        """Whether no augmentation uses or changes ground truth, so that views need none."""
        return self._own is None and all(entry.type in PIXEL_TRANSFORMS for entry in self._entries)

    def __call__(self, view: View, views: Views, epoch: int, index: int) -> View:
        """Return the augmented view of an index.

        Args:
            view: View of the index.
            views: Views of the whole training set.
            epoch, index: Key of the random numbers.

        Raises:
            DataError: The image, or another one that is drawn, cannot be read.
            UserCodeError: The augmentation of the user raises an exception, or returns no image with its ground truth.
        """
        with all_seeded(self._seed, epoch, index, AUGMENT):
            image, target = self._run(view, views, len(self._entries))
            if self._own is None:
                return image, target
            what, where = f"augmentation {code_name(self._own)}", f"for {views.name(index)} in epoch {epoch}"
            try:
                result: Any = self._own(image, dict(target))
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                raise UserCodeError.of(what, where, error) from error
        if (fault := _fault(result, target, views.size_hw)) is not None:
            raise UserCodeError(f"The {what} failed {where}: {fault}")
        return tv_tensors.Image(result[0]), result[1]

    def _run(self, view: View, views: Views, num_entries: int) -> View:
        """Return a view after the first entries of the list."""
        for number, entry in enumerate(self._entries[:num_entries]):
            if float(torch.rand(())) < entry.p:
                view = self._apply(view, entry, partial(self._another, views, number))
        return view

    def _another(self, views: Views, num_entries: int) -> View:
        """Return a random view after the first entries of the list."""
        return self._run(views.read(int(torch.randint(views.count, ()))), views, num_entries)

    def _apply(self, view: View, entry: Augmentation, another: Callable[[], View]) -> View:
        """Apply an entry; ``another`` returns another view at random."""
        match entry:
            case LargeScaleJitter(scale=scale):
                return large_scale_jitter(view, scale, self._fill)
            case CopyPaste():
                return copy_paste(view, another(), entry, self._fill)
            case Pad(size=size, value=value):
                height, width = (max(sides) for sides in zip(size, size_hw(view[0]), strict=True))
                return padded(view, (height, width), (0, 0), (round(value),) * 3)
            case Mosaic(center=center):
                return mosaic([view, *(another() for _ in range(MOSAIC_TILES - 1))], center, self._fill)
        transform = self._transforms[entry.type]
        if entry.type in PIXEL_TRANSFORMS:
            return transform(view[0]), view[1]
        transformed: View = transform(*view)
        return transformed


def _fault(result: Any, before: dict[str, Any], size_hw: tuple[int, int] | None) -> str | None:
    """Return what is wrong with the result of the user's augmentation, as a sentence; None if nothing is.

    Args:
        result: Result. Boxes, labels and masks may have become fewer.
        before: Ground truth that the augmentation got.
        size_hw: Same as in ``Views``.
    """
    if not isinstance(result, tuple | list) or len(result) != 2:
        return f"it should return an image and its ground truth, not {type(result).__name__}."
    image, target = result
    if not isinstance(image, Tensor) or image.dtype != torch.uint8 or image.ndim != 3 or image.shape[0] != 3:
        kind = f"{image.dtype} {list(image.shape)}" if isinstance(image, Tensor) else type(image).__name__
        return f"it should return an image as a uint8 tensor [3, H, W], not {kind}."
    if not isinstance(target, dict) or (missing := before.keys() - target.keys()):
        lacks = f"one without {sorted(missing)}" if isinstance(target, dict) else type(target).__name__
        return f"it should return the ground truth that it got as a dict, not {lacks}."
    for key, value in before.items():
        expected = Tensor if isinstance(value, Tensor) else int
        if not isinstance(target[key], expected):
            return f"it should return {key} as {expected.__name__}, not {type(target[key]).__name__}."
    counts = {key: len(target[key]) for key in ("boxes", "labels", "masks") if key in before}
    if len(set(counts.values())) > 1:
        return f"it returned different numbers of boxes, labels and masks: {counts}."
    shape = list(image.shape[-2:])
    for key in ("masks", "semantic"):
        if key in before and list(target[key].shape[-2:]) != shape:
            return f"it returned {key} of {list(target[key].shape[-2:])} pixels for an image of {shape}."
    if size_hw is not None and shape != list(size_hw):
        return f"it returned {shape} pixels for a crop of {list(size_hw)}. Keep the size of images."
    return None
