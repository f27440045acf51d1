"""Panoptic ground truth of one image.

Shapes: S segments.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splitnest.structures.categories import Categories
from splitnest.structures.panoptic import PanopticSegmentation, SegmentInfo
from splitnest.structures.validation import Sizes, checked_array

UNLABELED = 255
"""Value of unlabeled pixels in label maps."""


@dataclass(frozen=True, eq=False)
class PanopticLabels:
    """Ground-truth segments of one image. The arrays are read-only.

    Attributes:
        segments: int32 ``[H, W]``, segment id of each pixel, 0 for unlabeled pixels.
        ids: int64 ``[S]``, ids in ``segments``, from 1 to 256**3 - 1, in any order.
        labels: int64 ``[S]``, class indices: thing classes, then stuff classes.
        iscrowd: bool ``[S]``, crowd regions.

    Raises:
        ValueError: A field has another dtype or shape, an id is out of range or occurs twice, or ``ids`` differ from
            those in ``segments``.
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
            raise ValueError(f"segment ids must be distinct, from 1 to {256**3 - 1}, but are {self.ids}")
        if (self.labels < 0).any():
            raise ValueError(f"segment labels must be class indices, from 0, but are {self.labels}")
        used = np.unique(self.segments)
        used = used[used != 0]
        unknown, unused = np.setdiff1d(used, known).tolist(), np.setdiff1d(known, used).tolist()
        if unknown or unused:
            reasons = (
                ("pixels have the id", unknown, "without a segment"),
                ("no pixels have the id", unused, "of a segment"),
            )
            raise ValueError(" and ".join(f"{before} {ids[0]} {after}" for before, ids, after in reasons if ids))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.segments.shape
        return height, width

    def semantic(self) -> NDArray[np.uint8]:
        """Return the class index of each pixel, or ``UNLABELED``, uint8 ``[H, W]``.

        Raises:
            ValueError: A label does not fit into uint8.
        """
        if self.labels.max(initial=0) >= UNLABELED:
            raise ValueError(f"labels of a uint8 map must be under {UNLABELED}, but one is {self.labels.max()}")
        return self._to_map(self.labels)

    def stuff_labels(self, num_things: int) -> NDArray[np.uint8]:
        """Return the stuff label of each pixel, uint8 ``[H, W]``.

        The label is 0 for all thing classes, 1 for the first stuff class, and ``UNLABELED`` for unlabeled pixels. Crowd
        regions have the label of their class (detectron2 ``prepare_panoptic_fpn.py``).

        Args:
            num_things: Number of thing classes.
        """
        return self._to_map(np.maximum(self.labels - num_things + 1, 0))

    def to_result(self, categories: Categories) -> PanopticSegmentation:
        """Return the segments as a result, for drawing and writing; ``iscrowd`` is dropped.

        Args:
            categories: Thing classes, then stuff classes.
        """
        areas = np.bincount(self._index(), minlength=len(self) + 1)[1:].tolist()
        rows = [
            SegmentInfo(id=id_, category=label, isthing=categories[label].is_thing, score=None, area=area)
            for id_, label, area in zip(self.ids.tolist(), self.labels.tolist(), areas, strict=True)
        ]
        return PanopticSegmentation(self.segments, rows, image_size=self.size_hw, categories=categories)

    def _index(self) -> NDArray[np.int64]:
        """Return 1 + the row of the segment of each pixel, or 0 for unlabeled pixels, ``[H * W]``."""
        order = np.argsort(self.ids)
        rows = np.append(0, order + 1)
        return rows[np.searchsorted(self.ids[order].astype(np.int32), self.segments.ravel(), side="right")]

    def _to_map(self, values: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return a map ``[H, W]`` with one value for each segment, and ``UNLABELED`` elsewhere."""
        return np.append(UNLABELED, values).astype(np.uint8)[self._index()].reshape(self.size_hw)
