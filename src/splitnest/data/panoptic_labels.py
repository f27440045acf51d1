"""The ground truth of panoptic segmentation: which segment each pixel of one image belongs to.

S segments.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splitnest.data.categories import Categories
from splitnest.results.fields import Sizes, checked_array
from splitnest.results.panoptic import PanopticSegmentation, SegmentInfo

UNLABELLED = 255
"""In a map of classes or stuff: pixels of which it is not known."""


@dataclass(frozen=True, eq=False)
class PanopticLabels:
    """The segments of one image. The arrays are read-only.

    Attributes:
        segments: int32 ``[H, W]``, the id of the segment of each pixel, 0 for unlabelled ones.
        ids: int64 ``[S]``, the ids in ``segments``, from 1 to 256**3 - 1, in any order.
        labels: int64 ``[S]``, indices into things and then stuff.
        iscrowd: bool ``[S]``, regions of many objects.

    Raises:
        ValueError: A field has another dtype or shape, an id occurs twice or cannot be, or ``ids`` are not those in
            ``segments``.
    """

    segments: NDArray[np.int32]
    ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    iscrowd: NDArray[np.bool_]

    def __post_init__(self) -> None:
        sizes: Sizes = {}
        for name, dtype in (("segments", np.int32), ("ids", np.int64), ("labels", np.int64), ("iscrowd", np.bool_)):
            shape = ("H", "W") if name == "segments" else ("S",)
            checked = checked_array(f"PanopticLabels.{name}", getattr(self, name), dtype, shape, sizes)
            object.__setattr__(self, name, checked)
        known = np.unique(self.ids)
        if len(known) < len(self.ids) or (self.ids < 1).any() or (self.ids >= 256**3).any():
            raise ValueError(f"the ids of segments must be distinct, from 1 to {256**3 - 1}, but are {self.ids}")
        if (self.labels < 0).any():
            raise ValueError(f"the labels of segments must be indices of classes, from 0, but are {self.labels}")
        used = np.unique(self.segments)
        used = used[used != 0]
        strange, unused = np.setdiff1d(used, known).tolist(), np.setdiff1d(known, used).tolist()
        if strange or unused:
            found = (
                ("pixels have the id", strange, "of no segment"),
                ("no pixels have the id", unused, "of a segment"),
            )
            raise ValueError(" and ".join(f"{what} {ids[0]} {whose}" for what, ids, whose in found if ids))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.segments.shape
        return height, width

    def semantic(self) -> NDArray[np.uint8]:
        """Return the class of each pixel, uint8 ``[H, W]``: index into things and then stuff, or ``UNLABELLED``.

        Raises:
            ValueError: A label does not fit.
        """
        if self.labels.max(initial=0) >= UNLABELLED:
            raise ValueError(f"labels are under {UNLABELLED} in a map of 8 bits, but one is {self.labels.max()}")
        return self._painted(self.labels)

    def separated(self, num_things: int) -> NDArray[np.uint8]:
        """Return the stuff of each pixel, uint8 ``[H, W]``: 0 for all things, 1 for the first stuff, or ``UNLABELLED``.

        Crowd regions count as what they are a crowd of (detectron2 ``prepare_panoptic_fpn.py``).

        Args:
            num_things: Classes before the first stuff.
        """
        return self._painted(np.maximum(self.labels - num_things + 1, 0))

    def to_result(self, categories: Categories) -> PanopticSegmentation:
        """Return the segments as a result, for drawing and writing; what is a crowd is lost.

        Args:
            categories: Things and then stuff.
        """
        areas = np.bincount(self._index(), minlength=len(self) + 1)[1:].tolist()
        rows = [
            SegmentInfo(id=id_, category=label, isthing=categories[label].is_thing, score=None, area=area)
            for id_, label, area in zip(self.ids.tolist(), self.labels.tolist(), areas, strict=True)
        ]
        return PanopticSegmentation(self.segments, rows, image_size=self.size_hw, categories=categories)

    def _index(self) -> NDArray[np.int64]:
        """Return for each pixel 0 or 1 + the row of its segment, ``[H * W]``."""
        order = np.argsort(self.ids)
        rows = np.append(0, order + 1)
        return rows[np.searchsorted(self.ids[order].astype(np.int32), self.segments.ravel(), side="right")]

    def _painted(self, values: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the value of the segment of each pixel."""
        return np.append(UNLABELLED, values).astype(np.uint8)[self._index()].reshape(self.size_hw)


class PanopticDataset(ABC):
    """What a data set has besides its objects if each pixel of its photographs is labelled.

    Attributes:
        panoptic_categories: Index -> class: things, then stuff.
    """

    panoptic_categories: Categories

    @abstractmethod
    def labels(self, index: int) -> PanopticLabels:
        """Return the segments of one photograph.

        Raises:
            DataError: They cannot be read, or are not sound.
        """
