"""Panoptic segmentation result: a segment for each pixel, either an instance or a stuff class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypedDict

import numpy as np

from splitnest.structures.categories import Categories
from splitnest.structures.detections import Detections
from splitnest.structures.masks import mask_to_rle
from splitnest.structures.picture import Pictured
from splitnest.structures.supervision import import_supervision
from splitnest.structures.validation import checked_array, checked_image, checked_sizes
from splitnest.visualize import draw_panoptic
from splitnest.visualize.segmentation import Segment


class SegmentInfo(TypedDict):
    """Description of one segment.

    Attributes:
        id: Id in ``PanopticSegmentation.segments``, from 1.
        category: Class index.
        isthing: Whether the segment is an instance of a thing class; otherwise it covers a whole stuff class.
        score: Score of the instance from 0 to 1; None for stuff segments and for ground truth.
        area: Number of pixels.
    """

    id: int
    category: int
    isthing: bool
    score: float | None
    area: int


@dataclass(frozen=True, eq=False, repr=False)
class PanopticSegmentation(Pictured):
    """Segments of one image. The array is read-only.

    Attributes:
        segments: int32 ``[H, W]``, segment id of each pixel, 0 for void pixels.
        segments_info: One entry for each id in ``segments``.
        detections: Instances before the panoptic merge; None for ground truth.
        image_size: Height and width of the original image in pixels.
        categories: Thing and stuff classes in index order.

    Raises:
        ValueError: A field has another dtype or shape, or ``segments_info`` does not match ``segments``.
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
                "PanopticSegmentation.segments_info must have one entry for each id in segments, with its area in "
                f"pixels: segments has {areas}, but segments_info has {given} in {len(rows)} entries."
            )
        if self.detections is not None and self.detections.image_size != self.image_size:
            raise ValueError(
                f"PanopticSegmentation.detections must have image_size {self.image_size}, "
                f"but has {self.detections.image_size}."
            )
        object.__setattr__(self, "segments", segments)
        object.__setattr__(self, "segments_info", rows)

    @classmethod
    def empty(cls, image_size: tuple[int, int], categories: Categories) -> Self:
        """Return a result without segments; all pixels are void."""
        return cls(np.zeros(image_size, np.int32), (), image_size=image_size, categories=categories)

    def __len__(self) -> int:
        return len(self.segments_info)

    def __repr__(self) -> str:
        height, width = self.image_size
        things = sum(row["isthing"] for row in self.segments_info)
        return f"PanopticSegmentation({things} things and {len(self) - things} stuff in {height} x {width})"

    def above(self, score: float) -> Self:
        """Return the segmentation with the detections of at least this score; its segments are unchanged."""
        if self.detections is None:
            return self
        return replace(self, detections=self.detections.above(score)).on_image(self._read_image)

    def mask(self, segment_id: int) -> np.ndarray:
        """Return the mask of one segment, bool ``[H, W]``."""
        return self.segments == segment_id

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict with a compressed COCO RLE for each segment."""
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
        """Return an annotation of a COCO panoptic results file; ``to_coco_png`` returns its PNG.

        Args:
            image_id: Id of the image in the annotation file.
            file_name: Name of the PNG; None gives the official ``<12 digits>.png``.
        """
        rows = [
            {"id": row["id"], "category_id": self.categories[row["category"]].id, "area": row["area"]}
            for row in self.segments_info
        ]
        return {"image_id": image_id, "file_name": file_name or f"{image_id:012d}.png", "segments_info": rows}

    def to_coco_png(self) -> np.ndarray:
        """Return the PNG pixels of COCO's panoptic format, uint8 RGB ``[H, W, 3]`` with id = R + 256 G + 65536 B."""
        return np.stack([(self.segments >> shift & 255).astype(np.uint8) for shift in (0, 8, 16)], axis=2)

    def to_supervision(self) -> Any:
        """Convert to ``supervision.Detections`` with masks; stuff segments have a confidence of 1.

        Raises:
            UsageError: supervision is not installed.
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

    def draw(self, image: np.ndarray, by_class: bool = False) -> np.ndarray:
        """Draw segments and their class names on a copy of the image.

        Args:
            image: uint8 RGB ``[H, W, 3]`` of size ``image_size``.
            by_class: Whether things get the color of their class, so that pictures can be compared, instead of distinct
                colors.

        Returns:
            uint8 RGB ``[H, W, 3]``.
        """
        infos = [
            Segment(row["id"], category.name, category.color, row["isthing"], row["area"])
            for row in self.segments_info
            for category in (self.categories[row["category"]],)
        ]
        return draw_panoptic(checked_image(image, self.image_size), self.segments, infos, by_class)


def _checked_info(row: Mapping[str, Any], categories: Categories) -> SegmentInfo:
    """Return a copy of an entry of ``segments_info`` with plain Python numbers.

    Raises:
        ValueError: Keys are missing or unknown, or the id or the category is out of range.
    """
    name = "PanopticSegmentation.segments_info"
    if set(row) != set(SegmentInfo.__annotations__):
        raise ValueError(
            f"{name} entries must have {', '.join(SegmentInfo.__annotations__)}, but one has {sorted(row)}."
        )
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
