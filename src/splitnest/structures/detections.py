"""Detection and instance segmentation result: boxes, and masks of models with a mask head."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from splitnest.structures.box_masks import BoxMasks, check_box_masks
from splitnest.structures.boxes import xyxy_to_xywh
from splitnest.structures.categories import Categories
from splitnest.structures.picture import Pictured
from splitnest.structures.supervision import import_supervision
from splitnest.structures.validation import (
    checked_array,
    checked_boxes,
    checked_image,
    checked_labels,
    checked_sizes,
    selected_rows,
)
from splitnest.visualize import draw_detections


class _LazyMasks:
    """Descriptor of the field ``masks``: cropped masks become dense masks on first access."""

    def __get__(self, detections: Any, owner: Any = None) -> np.ndarray | None:
        if detections is None:
            return None  # default value of the field
        dense: np.ndarray | None = detections.__dict__["_dense"]
        cropped: BoxMasks | None = detections.__dict__["_cropped"]
        if dense is None and cropped is not None:
            dense = cropped.dense()
            dense.flags.writeable = False
            detections.__dict__["_dense"] = dense
        return dense

    def __set__(self, detections: Any, masks: np.ndarray | BoxMasks | None) -> None:
        is_cropped = isinstance(masks, BoxMasks)
        detections.__dict__.update(_cropped=masks if is_cropped else None, _dense=None if is_cropped else masks)


if TYPE_CHECKING:
    _Masks = _LazyMasks
else:
    _Masks = np.ndarray | BoxMasks | None  # what a signature shows


@dataclass(frozen=True, eq=False, repr=False)
class Detections(Pictured):
    """N instances in one image. The arrays are read-only; ``detections[rows]`` selects instances.

    Attributes:
        boxes: float32 ``[N, 4]``, xyxy in pixels of the original image.
        scores: float32 ``[N]``, from 0 to 1.
        labels: int64 ``[N]``, indices into ``categories``.
        masks: bool ``[N, H, W]`` at the size of the original image, or None for a model without masks. ``BoxMasks`` are
            accepted, and converted to dense masks on first access.
        image_size: Height and width of the original image in pixels.
        categories: Classes in index order.

    Raises:
        ValueError: A field has another dtype or shape, or values that are not valid.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: _Masks = _LazyMasks()
    image_size: tuple[int, int] = field(kw_only=True)
    categories: Categories = field(kw_only=True)

    def __post_init__(self) -> None:
        sizes = checked_sizes("Detections", self.image_size, self.categories)
        fields = {
            "boxes": checked_boxes("Detections.boxes", self.boxes, sizes),
            "scores": checked_array("Detections.scores", self.scores, np.float32, ("N",), sizes),
            "labels": checked_array("Detections.labels", self.labels, np.int64, ("N",), sizes),
        }
        if (cropped := self.__dict__["_cropped"]) is not None:
            check_box_masks("Detections.masks", cropped, len(self.boxes), self.image_size)
        elif self.masks is not None:
            fields["masks"] = checked_array("Detections.masks", self.masks, np.bool_, ("N", "H", "W"), sizes)
        checked_labels("Detections.labels", self.labels, self.categories)
        for name, array in fields.items():
            object.__setattr__(self, name, array)

    @classmethod
    def empty(cls, image_size: tuple[int, int], categories: Categories, masks: bool = False) -> Self:
        """Return a result without instances.

        Args:
            image_size: Height and width of the original image in pixels.
            categories: Classes in index order.
            masks: Whether the model has a mask head; ``masks`` is then an empty array instead of None.
        """
        return cls(
            boxes=np.zeros((0, 4), np.float32),
            scores=np.zeros(0, np.float32),
            labels=np.zeros(0, np.int64),
            masks=np.zeros((0, *image_size), bool) if masks else None,
            image_size=image_size,
            categories=categories,
        )

    @property
    def box_masks(self) -> BoxMasks | None:
        """Masks cropped to a part of the image, which need less memory than dense ``masks``."""
        cropped: BoxMasks | None = self.__dict__["_cropped"]
        return cropped if cropped is not None or self.masks is None else BoxMasks.from_dense(self.masks)

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: int | slice | list[int] | np.ndarray) -> Self:
        """Select instances by an index, a slice, an array of indices, or a bool array ``[N]``."""
        rows, masks = selected_rows(rows, len(self)), self.box_masks
        return type(self)(
            boxes=self.boxes[rows],
            scores=self.scores[rows],
            labels=self.labels[rows],
            masks=None if masks is None else masks[rows],
            image_size=self.image_size,
            categories=self.categories,
        ).on_image(self._read_image)

    def __iter__(self) -> Iterator[Self]:
        return (self[row] for row in range(len(self)))

    def __repr__(self) -> str:
        height, width = self.image_size
        counts = np.bincount(self.labels, minlength=len(self.categories))
        shown = ", ".join(f"{counts[label]} {self.categories[int(label)].name}" for label in np.flatnonzero(counts))
        return (
            f"Detections({shown or 'nothing'} in {height} x {width}{'' if self.box_masks is None else ', with masks'})"
        )

    def above(self, score: float) -> Self:
        """Return the instances with a score of at least ``score``."""
        return self[self.scores >= score]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict; boxes are xyxy in pixels, masks compressed COCO RLE."""
        rows: list[dict[str, Any]] = [
            {
                "label": label,
                "id": self.categories[label].id,
                "name": self.categories[label].name,
                "score": score,
                "box": box,
            }
            for label, score, box in zip(self.labels.tolist(), self.scores.tolist(), self.boxes.tolist(), strict=True)
        ]
        if (masks := self.box_masks) is not None:
            for row, rle in zip(rows, masks.rles(), strict=True):
                row["mask"] = rle
        return {"image_size": list(self.image_size), "detections": rows}

    def to_coco(self, image_id: int) -> list[dict[str, Any]]:
        """Return the rows of a COCO results file; boxes are xywh in pixels, masks compressed RLE.

        pycocotools assigns masks to area ranges by the area of ``bbox`` if a row has one. Remove ``bbox`` from the rows
        to use the mask area instead, as mmdetection and detectron2 do.

        Args:
            image_id: Id of the image in the annotation file.
        """
        rows: list[dict[str, Any]] = [
            {"image_id": image_id, "category_id": self.categories[label].id, "bbox": box, "score": score}
            for label, score, box in zip(
                self.labels.tolist(), self.scores.tolist(), xyxy_to_xywh(self.boxes).tolist(), strict=True
            )
        ]
        if (masks := self.box_masks) is not None:
            for row, rle in zip(rows, masks.rles(), strict=True):
                row["segmentation"] = rle
        return rows

    def to_supervision(self) -> Any:
        """Convert to ``supervision.Detections``.

        Raises:
            UsageError: supervision is not installed.
        """
        names = np.array([self.categories[label].name for label in self.labels.tolist()], dtype=str)
        return import_supervision().Detections(
            xyxy=self.boxes.copy(),
            mask=None if self.masks is None else self.masks.copy(),
            confidence=self.scores.copy(),
            class_id=self.labels.copy(),
            data={"class_name": names},
        )

    def draw(
        self, image: np.ndarray, score_threshold: float = 0.5, scores: bool = True, by_class: bool = False
    ) -> np.ndarray:
        """Draw boxes, masks and class names on a copy of the image.

        Args:
            image: uint8 RGB ``[H, W, 3]`` of size ``image_size``.
            score_threshold: Minimum score of the instances to draw.
            scores: Whether to show scores.
            by_class: Whether instances with masks get the color of their class, so that pictures can be compared,
                instead of distinct colors.

        Returns:
            uint8 RGB ``[H, W, 3]``.
        """
        shown = self.above(score_threshold)
        categories, masks = [self.categories[label] for label in shown.labels.tolist()], shown.box_masks
        return draw_detections(
            checked_image(image, self.image_size),
            shown.boxes,
            [category.name for category in categories],
            [category.color for category in categories],
            scores=shown.scores if scores else None,
            masks=None if masks is None else masks.crops,
            corners=None if masks is None else masks.corners,
            by_class=by_class,
        )
