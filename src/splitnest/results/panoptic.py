"""One segment for every pixel of one image: instances of things, and stuff."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypedDict

import numpy as np

from splitnest.data.categories import Categories
from splitnest.results.detections import Detections
from splitnest.results.fields import checked_array, checked_sizes
from splitnest.results.interop import import_supervision, mask_to_rle


class SegmentInfo(TypedDict):
    """What is known of one segment.

    Attributes:
        id: Its number in ``PanopticSegmentation.segments``, from 1.
        category: Index into the categories.
        isthing: True for one instance of a thing, False for all of a kind of stuff.
        score: Score of the instance from 0 to 1; None for stuff and for ground truth.
        area: Pixels.
    """

    id: int
    category: int
    isthing: bool
    score: float | None
    area: int


@dataclass(frozen=True, eq=False, repr=False)
class PanopticSegmentation:
    """One segment number per pixel. The array is read-only.

    Attributes:
        segments: int32 [H, W], numbers of segments, 0 for pixels that belong to none.
        segments_info: One row for each number that occurs in ``segments``.
        detections: The instances before they were merged with the stuff; None for ground truth.
        image_size: (H, W) of the input image.
        categories: Index -> id, name, colour, thing or stuff.

    Raises:
        ValueError: If a field has another dtype or shape, or ``segments_info`` does not describe ``segments``.
    """

    segments: np.ndarray
    segments_info: Sequence[SegmentInfo]
    detections: Detections | None = None
    image_size: tuple[int, int] = field(kw_only=True)
    categories: Categories = field(kw_only=True)

    def __post_init__(self) -> None:
        sizes = checked_sizes("PanopticSegmentation", self.image_size, self.categories)
        segments = checked_array("PanopticSegmentation.segments", self.segments, np.int32, ("H", "W"), sizes)
        rows = tuple(_checked_info(row, self.categories) for row in self.segments_info)
        ids, counts = np.unique(segments, return_counts=True)
        areas = {segment: area for segment, area in zip(ids.tolist(), counts.tolist(), strict=True) if segment != 0}
        given = {row["id"]: row["area"] for row in rows}
        if len(given) != len(rows) or given != areas:
            raise ValueError(
                "PanopticSegmentation.segments_info must have one row for each number in segments, with its area in "
                f"pixels: segments holds {areas}, segments_info {given} in {len(rows)} rows."
            )
        if self.detections is not None and self.detections.image_size != self.image_size:
            raise ValueError(
                f"PanopticSegmentation.detections must be of an image of size {self.image_size}, "
                f"but is of {self.detections.image_size}."
            )
        object.__setattr__(self, "segments", segments)
        object.__setattr__(self, "segments_info", rows)

    @classmethod
    def empty(cls, image_size: tuple[int, int], categories: Categories) -> Self:
        """No segments: all pixels are void."""
        return cls(np.zeros(image_size, np.int32), (), image_size=image_size, categories=categories)

    def __len__(self) -> int:
        return len(self.segments_info)

    def __repr__(self) -> str:
        height, width = self.image_size
        things = sum(row["isthing"] for row in self.segments_info)
        return f"PanopticSegmentation({things} things and {len(self) - things} stuff in {height} x {width})"

    def mask(self, segment_id: int) -> np.ndarray:
        """The pixels of one segment, bool [H, W]."""
        return self.segments == segment_id

    def to_dict(self) -> dict[str, Any]:
        """Plain Python, ready for JSON: a compressed COCO RLE for each segment."""
        rows = [
            {
                "segment": row["id"],
                "label": row["category"],
                "id": self.categories[row["category"]].id,
                "name": self.categories[row["category"]].name,
                "isthing": row["isthing"],
                "score": row["score"],
                "area": row["area"],
                "mask": mask_to_rle(self.mask(row["id"])),
            }
            for row in self.segments_info
        ]
        detections = [] if self.detections is None else self.detections.to_dict()["detections"]
        return {"image_size": list(self.image_size), "segments": rows, "detections": detections}

    def to_coco(self, image_id: int, file_name: str | None = None) -> dict[str, Any]:
        """One row of a COCO panoptic results file. Its pixels go into a PNG: see ``to_coco_png``.

        Args:
            image_id: Number of the image.
            file_name: Name of the PNG; the official ``<12 digits>.png`` where None.
        """
        rows = [
            {"id": row["id"], "category_id": self.categories[row["category"]].id, "area": row["area"]}
            for row in self.segments_info
        ]
        return {"image_id": image_id, "file_name": file_name or f"{image_id:012d}.png", "segments_info": rows}

    def to_coco_png(self) -> np.ndarray:
        """The pixels of the PNG of COCO's panoptic format: uint8 [H, W, 3], number = R + 256 G + 65536 B."""
        return np.stack([(self.segments >> shift & 255).astype(np.uint8) for shift in (0, 8, 16)], axis=2)

    def to_supervision(self) -> Any:
        """The segments as ``supervision.Detections`` with masks; stuff has a confidence of 1.

        Raises:
            UsageError: If supervision is not installed.
        """
        rows = self.segments_info
        masks = np.zeros((len(rows), *self.image_size), bool)
        boxes = np.zeros((len(rows), 4), np.float32)
        for index, row in enumerate(rows):
            masks[index] = self.mask(row["id"])
            ys, xs = np.flatnonzero(masks[index].any(axis=1)), np.flatnonzero(masks[index].any(axis=0))
            boxes[index] = xs[0], ys[0], xs[-1] + 1, ys[-1] + 1
        return import_supervision().Detections(
            xyxy=boxes,
            mask=masks,
            confidence=np.array([1 if row["score"] is None else row["score"] for row in rows], np.float32),
            class_id=np.array([row["category"] for row in rows], np.int64),
            data={"class_name": np.array([self.categories[row["category"]].name for row in rows], dtype=str)},
        )

    def draw(self, image: np.ndarray) -> np.ndarray:
        """Draw on a copy of the image: see ``splitnest.visualize.draw_panoptic``."""
        from splitnest.visualize import draw_panoptic

        return draw_panoptic(image, self)


def _checked_info(row: Mapping[str, Any], categories: Categories) -> SegmentInfo:
    """A copy of one row of ``segments_info`` in plain Python numbers.

    Raises:
        ValueError: If keys are missing or unknown, or the number or category cannot be.
    """
    name = "PanopticSegmentation.segments_info"
    if set(row) != set(SegmentInfo.__annotations__):
        raise ValueError(f"{name} rows must have {', '.join(SegmentInfo.__annotations__)}, but one has {sorted(row)}.")
    if not 0 < row["id"] < 256**3:
        raise ValueError(f"{name} ids must be from 1 to {256**3 - 1}, but one is {row['id']}.")
    if not 0 <= row["category"] < len(categories):
        raise ValueError(f"{name} categories must be from 0 to {len(categories) - 1}, but one is {row['category']}.")
    return SegmentInfo(
        id=int(row["id"]),
        category=int(row["category"]),
        isthing=bool(row["isthing"]),
        score=None if row["score"] is None else float(row["score"]),
        area=int(row["area"]),
    )
