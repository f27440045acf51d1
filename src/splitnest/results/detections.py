"""Objects found in one image: boxes, and masks where the model has a mask head."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from splitnest.data.categories import Categories
from splitnest.results.box_masks import BoxMasks, checked_box_masks
from splitnest.results.fields import checked_array, checked_boxes, checked_labels, checked_sizes, selected_rows
from splitnest.results.interop import import_supervision, xyxy_to_xywh


class _Masks:
    """The field ``masks``: all pixels once somebody looks at them, until then the parts that hold something."""

    def __get__(self, found: Any, owner: Any = None) -> np.ndarray | None:
        if found is None:
            return None  # the field's default
        dense: np.ndarray | None = found.__dict__["_dense"]
        parts: BoxMasks | None = found.__dict__["_parts"]
        if dense is None and parts is not None:
            dense = parts.dense()
            dense.flags.writeable = False
            found.__dict__["_dense"] = dense
        return dense

    def __set__(self, found: Any, masks: np.ndarray | BoxMasks | None) -> None:
        is_parts = isinstance(masks, BoxMasks)
        found.__dict__.update(_parts=masks if is_parts else None, _dense=None if is_parts else masks)


@dataclass(frozen=True, eq=False, repr=False)
class Detections:
    """N objects of one image. The arrays are read-only; ``detections[rows]`` gives some of the objects.

    Attributes:
        boxes: float32 [N, 4], xyxy in pixels of the input image.
        scores: float32 [N], from 0 to 1.
        labels: int64 [N], indices into ``categories``.
        masks: bool [N, H, W] at the size of the input image, or None for a model without masks. May be given as
            ``BoxMasks``, and then takes the memory of all pixels from when it is first looked at.
        image_size: (H, W) of the input image.
        categories: Index -> id, name, colour.

    Raises:
        ValueError: If a field has another dtype or shape, or values that make no sense.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: _Masks = _Masks()
    image_size: tuple[int, int] = field(kw_only=True)
    categories: Categories = field(kw_only=True)

    def __post_init__(self) -> None:
        sizes = checked_sizes("Detections", self.image_size, self.categories)
        fields = {
            "boxes": checked_boxes("Detections.boxes", self.boxes, sizes),
            "scores": checked_array("Detections.scores", self.scores, np.float32, ("N",), sizes),
            "labels": checked_array("Detections.labels", self.labels, np.int64, ("N",), sizes),
        }
        if (parts := self.__dict__["_parts"]) is not None:
            checked_box_masks("Detections.masks", parts, len(self.boxes), self.image_size)
        elif self.masks is not None:
            fields["masks"] = checked_array("Detections.masks", self.masks, np.bool_, ("N", "H", "W"), sizes)
        checked_labels("Detections.labels", self.labels, self.categories)
        for name, array in fields.items():
            object.__setattr__(self, name, array)

    @classmethod
    def empty(cls, image_size: tuple[int, int], categories: Categories, masks: bool = False) -> Self:
        """No objects; with ``masks`` the result of a model that has a mask head."""
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
        """``masks`` as the parts of the image that hold them, without the memory of all pixels."""
        parts: BoxMasks | None = self.__dict__["_parts"]
        return parts if parts is not None or self.masks is None else BoxMasks.of_dense(self.masks)

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: int | slice | list[int] | np.ndarray) -> Self:
        """Some of the objects: by a number, a slice, an array of numbers, or a bool [N] array."""
        rows, masks = selected_rows(rows, len(self)), self.box_masks
        return type(self)(
            boxes=self.boxes[rows],
            scores=self.scores[rows],
            labels=self.labels[rows],
            masks=None if masks is None else masks[rows],
            image_size=self.image_size,
            categories=self.categories,
        )

    def __iter__(self) -> Iterator[Self]:
        return (self[row] for row in range(len(self)))

    def __repr__(self) -> str:
        height, width = self.image_size
        counts = np.bincount(self.labels, minlength=len(self.categories))
        found = ", ".join(f"{counts[label]} {self.categories[int(label)].name}" for label in np.flatnonzero(counts))
        return (
            f"Detections({found or 'nothing'} in {height} x {width}{'' if self.box_masks is None else ', with masks'})"
        )

    def above(self, score: float) -> Self:
        """The objects whose score is ``score`` or more."""
        return self[self.scores >= score]

    def to_dict(self) -> dict[str, Any]:
        """Plain Python, ready for JSON: boxes are xyxy, masks are compressed COCO RLE."""
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
        """Rows of a COCO results file; boxes are xywh, masks compressed RLE.

        Evaluators that take an object's area from its box where a row has one (pycocotools does) bin masks by the
        area of the box: leave ``bbox`` out of the rows where that matters, as mmdetection and detectron2 do.
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
        """The same as ``supervision.Detections``.

        Raises:
            UsageError: If supervision is not installed.
        """
        names = np.array([self.categories[label].name for label in self.labels.tolist()], dtype=str)
        return import_supervision().Detections(
            xyxy=self.boxes.copy(),
            mask=None if self.masks is None else self.masks.copy(),
            confidence=self.scores.copy(),
            class_id=self.labels.copy(),
            data={"class_name": names},
        )

    def draw(self, image: np.ndarray, score_threshold: float = 0.5, scores: bool = True) -> np.ndarray:
        """Draw on a copy of the image: see ``splitnest.visualize.draw_detections``."""
        from splitnest.visualize import draw_detections

        return draw_detections(image, self, score_threshold=score_threshold, scores=scores)
