"""Image with its annotations, the common input of all writers: ground truth of a file, or a result of a model.

Shapes: K keypoints.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.formats.annotation_file import AnnotationFile, Segmentation, valid_polygons
from splitnest.structures import polygons
from splitnest.structures.masks import polygons_to_mask, rle_crop, rle_to_mask
from splitnest.structures.outlines import join_polygons, mask_outline

CONFIDENT_KEYPOINT = 0.2
"""Minimum score of a predicted keypoint that is written as visible, as for drawings; others are written as hidden."""

HIDDEN, VISIBLE = 1, 2
"""Visibilities of labeled keypoints in COCO's format."""


@dataclass(frozen=True, eq=False)
class Instance:
    """Annotation, detection, person or segment.

    Attributes:
        label: Class index.
        box_xywh: Left, top, width and height in pixels.
        area: Area in square pixels; None is that of the box.
        segmentation: Polygons or RLE; an empty list without a mask.
        keypoints: float64 ``[K, 3]``: x and y in pixels, and visibility (0 not labeled, 1 hidden, 2 visible); None
            without keypoints.
        score: Score from 0 to 1; None for ground truth.
        iscrowd: Whether this is a crowd region.
    """

    label: int
    box_xywh: tuple[float, float, float, float]
    area: float | None = None
    segmentation: Segmentation = field(default_factory=list)
    keypoints: NDArray[np.float64] | None = None
    score: float | None = None
    iscrowd: bool = False

    @property
    def box_xyxy(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom in pixels."""
        x, y, width, height = self.box_xywh
        return x, y, x + width, y + height

    @property
    def has_mask(self) -> bool:
        """Whether there is an RLE with pixels, or a polygon."""
        if isinstance(self.segmentation, dict):
            return _mask_area(self.segmentation) > 0
        return bool(valid_polygons(self.segmentation))

    def polygons(self) -> list[NDArray[np.float64]] | None:
        """Return the polygons of the segmentation; None for an RLE."""
        return None if isinstance(self.segmentation, dict) else valid_polygons(self.segmentation)

    def mask(self, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the mask, bool ``[H, W]``; without a segmentation the pixels of the box."""
        if isinstance(self.segmentation, dict):
            return rle_to_mask(self.segmentation)
        if not self.has_mask:
            left, top, right, bottom = self.box_xyxy
            corners = np.array([left, top, right, top, right, bottom, left, bottom], np.float64)
            return polygons_to_mask([corners], size_hw)
        return polygons_to_mask(valid_polygons(self.segmentation), size_hw)

    def outline(self, size_hw: tuple[int, int]) -> NDArray[np.float64]:
        """Return the mask as one polygon inside the image, flat ``[x1, y1, ...]``; empty without pixels.

        Several polygons are joined by lines without area, see ``join_polygons``; overlapping ones and an RLE become the
        outline of their pixels.
        """
        parts = self.polygons()
        if parts is not None:
            parts = [clipped for part in parts if len(clipped := polygons.clip(part, size_hw))]
            if len(parts) < 2:
                return parts[0] if parts else np.zeros(0)
            joined, mask = join_polygons(parts), self.mask(size_hw)
            return joined if (polygons_to_mask([joined], size_hw) == mask).all() else mask_outline(mask)
        crop, corner = rle_crop(self.segmentation)  # type: ignore[arg-type]  # an RLE, as there are no polygons
        return (mask_outline(crop).reshape(-1, 2) + corner).ravel()


@dataclass(frozen=True, eq=False)
class LabeledImage:
    """Image and its annotations.

    Attributes:
        name: Path of the image in its folder, with slashes.
        size_hw: Height and width in pixels.
        instances: Annotations in order.
        path: Image file; None where there is none, as for an image from the web.
        id: Id of the image in an annotation file; None numbers the images.
        is_predicted: Whether the annotations are the result of a model.
        label: Class index of the whole image; None for other annotations.
    """

    name: str
    size_hw: tuple[int, int]
    instances: tuple[Instance, ...] = ()
    path: Path | None = None
    id: int | None = None
    is_predicted: bool = False
    label: int | None = None


def mask_instance(label: int, rle: dict[str, Any], score: float | None = None, iscrowd: bool = False) -> Instance:
    """Return an instance with the bounding box and the area of its RLE mask."""
    from hotcoco.mask import to_bbox

    x, y, width, height = (float(side) for side in to_bbox(rle))
    return Instance(label, (x, y, width, height), _mask_area(rle), rle, score=score, iscrowd=iscrowd)


def images_of_file(
    file: AnnotationFile, images_dir: Path, keypoints: NDArray[np.float64] | None = None
) -> Iterator[LabeledImage]:
    """Yield the images of an annotation file.

    Args:
        file: Annotations.
        images_dir: Folder of the images.
        keypoints: float64 ``[N, K, 3]``, keypoints of the annotations, as in ``KeypointFile``; None without keypoints.
    """
    rows = np.argsort(file.image_index, kind="stable")
    ends = np.cumsum(np.bincount(file.image_index, minlength=len(file.file_names)))
    for index, (start, end) in enumerate(zip([0, *ends.tolist()], ends.tolist(), strict=False)):
        yield LabeledImage(
            name=file.file_names[index],
            size_hw=(int(file.sizes_hw[index, 0]), int(file.sizes_hw[index, 1])),
            instances=tuple(_annotation(file, row, keypoints) for row in rows[start:end].tolist()),
            path=images_dir / file.file_names[index],
            id=int(file.image_ids[index]),
        )


def _annotation(file: AnnotationFile, row: int, keypoints: NDArray[np.float64] | None) -> Instance:
    has_keypoints = keypoints is not None and bool((keypoints[row, :, 2] > 0).any())
    x, y, width, height = file.boxes_xywh[row].tolist()
    return Instance(
        label=int(file.category_index[row]),
        box_xywh=(x, y, width, height),
        area=float(file.areas[row]),
        segmentation=file.segmentations.of(row),
        keypoints=keypoints[row] if keypoints is not None and has_keypoints else None,
        iscrowd=bool(file.iscrowd[row]),
    )


def image_of_result(
    name: str,
    path: Path | None,
    content: Mapping[str, Any],
    labels: Mapping[str, int],
    min_scores: Sequence[float],
) -> LabeledImage:
    """Return an image with the result of a model.

    Args:
        name: Path of the image in its folder, with slashes.
        path: Image file; None where there is none.
        content: Result, as its ``to_dict`` returns it.
        labels: Class index of each class name.
        min_scores: Minimum score of each class, for persons that of their box; segments are all kept.
    """
    if "segments" in content:
        instances = tuple(mask_instance(row["label"], row["mask"], row.get("score")) for row in content["segments"])
    elif "people" in content:
        people = [(row, labels[row["name"]]) for row in content["people"]]
        instances = tuple(_person(row, label) for row, label in people if row["box_score"] >= min_scores[label])
    else:
        found = [row for row in content.get("detections", ()) if row["score"] >= min_scores[row["label"]]]
        instances = tuple(_detection(row) for row in found)
    height, width = content["image_size"]
    return LabeledImage(name, (height, width), instances, path, is_predicted=True)


def _detection(row: Mapping[str, Any]) -> Instance:
    area = None
    if mask := row.get("mask"):
        area = _mask_area(mask)
    return Instance(row["label"], _xywh(row["box"]), area, mask or [], score=row["score"])


def _person(row: Mapping[str, Any], label: int) -> Instance:
    visibility = [VISIBLE if score >= CONFIDENT_KEYPOINT else HIDDEN for score in row["keypoint_scores"]]
    keypoints = np.column_stack([np.array(row["keypoints"], np.float64).reshape(-1, 2), visibility])
    return Instance(label, _xywh(row["box"]), keypoints=keypoints, score=row["score"])


def _mask_area(rle: dict[str, Any]) -> float:
    from hotcoco.mask import area

    return float(area(rle))


def _xywh(box_xyxy: list[float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = box_xyxy
    return left, top, right - left, bottom - top
