"""Detection dataset: images with boxes, classes and masks, from annotations of any format.

Shapes: N annotations of one image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from splitnest.data.class_counts import ClassCounts
from splitnest.data.dataset import ImageDataset
from splitnest.data.formats.annotation_file import (
    AnnotationFile,
    ImageSegmentations,
    Segmentation,
    valid_polygons,
)
from splitnest.data.formats.coco import read_coco
from splitnest.data.images.read import read_image
from splitnest.errors import DataError
from splitnest.structures import Detections
from splitnest.structures.boxes import xywh_to_xyxy
from splitnest.structures.categories import Categories, from_ids, match_categories
from splitnest.structures.masks import polygons_to_mask, rle_to_mask

OVERHANG = 1.0
"""Pixels by which a box may cross the image border without a note; annotation tools round, COCO's included."""


@dataclass(frozen=True)
class DetectionSample:
    """One image and its N annotations, in the order of the file.

    Attributes:
        image: uint8 RGB ``[H, W, 3]``.
        image_id, file_name: Values of the annotation file.
        boxes: float32 ``[N, 4]``, xyxy in pixels, as in the file; they may cross the border or have no area.
        labels: int64 ``[N]``, class indices.
        iscrowd: bool ``[N]``, crowd regions.
        areas: float64 ``[N]`` in square pixels.
        segmentations: Polygons or RLE of each annotation.
    """

    image: NDArray[np.uint8]
    image_id: int
    file_name: str
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    iscrowd: NDArray[np.bool_]
    areas: NDArray[np.float64]
    segmentations: Sequence[Segmentation]


class DetectionDataset(ImageDataset):
    """Images with boxes, classes and masks.

    Args:
        images_dir: Folder of the images; None for a subclass that has the pixels itself.
        file: Annotations.
        annotation_path: Path of the annotation file, for messages.
        categories: Classes of the model; None uses those of the file.

    Attributes:
        file: Annotations as flat arrays.
        categories: Classes that the labels index: those of the file sorted by id, with its ids. If the file has a
            subset of the model's classes, with the same ids and names, those of the model. Categories of the file that
            have no annotations and are not classes of the model are dropped.
        keeps_rle_masks: Whether instances with RLE masks take part in training whatever the recipe says.

    Raises:
        DataError: The folder does not exist, or the file has other classes than the model.
    """

    keeps_rle_masks: bool = False

    def __init__(
        self,
        images_dir: str | Path | None,
        file: AnnotationFile,
        annotation_path: str | Path,
        categories: Categories | None = None,
    ) -> None:
        self.annotation_path, self.source = Path(annotation_path), str(annotation_path)
        self.images_dir = Path() if images_dir is None else Path(images_dir)
        if not self.images_dir.is_dir():
            raise DataError(f"{images_dir} is not a folder. Give the folder of the images.")
        self.file = file if categories is None else file.without_unused(frozenset(categories.names))
        self.has_annotations = file.has_annotations
        self.categories = from_ids(self.file.categories)
        if categories is not None:
            to_file = ", or to 'file' to take them from it"
            self.categories = match_categories(self.categories, categories, self.annotation_path, alternative=to_file)
        index_of_id = {id_: index for index, id_ in enumerate(self.categories.ids)}
        label_of_category = np.array([index_of_id[id_] for id_, _ in self.file.categories], np.int64)
        self._labels = label_of_category[self.file.category_index]
        self._rows = np.argsort(self.file.image_index, kind="stable")
        self._row_ends = np.cumsum(np.bincount(self.file.image_index, minlength=len(self)))

    @classmethod
    def from_coco(
        cls, images_dir: str | Path, annotation_path: str | Path, categories: Categories | None = None
    ) -> Self:
        """Read a dataset with COCO annotations.

        Args:
            images_dir: Folder of the images.
            annotation_path: COCO JSON file.
            categories: Classes of the model; None uses those of the file.

        Raises:
            DataError: Same conditions as ``read_coco`` and ``DetectionDataset``.
        """
        return cls(images_dir, read_coco(annotation_path), annotation_path, categories)

    def __len__(self) -> int:
        return len(self.file.image_ids)

    def __getitem__(self, index: int) -> DetectionSample:
        """Read one image with its annotations.

        Raises:
            IndexError: There is no such index.
            DataError: The image cannot be read, or does not have the size that the annotation file gives.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} of {len(self)} images")
        rows = self.rows(index)
        return DetectionSample(
            image=self.read(index),
            image_id=self.image_id(index),
            file_name=self.name(index),
            boxes=xywh_to_xyxy(self.file.boxes_xywh[rows]).astype(np.float32),
            labels=self._labels[rows],
            iscrowd=self.file.iscrowd[rows],
            areas=self.file.areas[rows],
            segmentations=ImageSegmentations(self.file.segmentations, rows),
        )

    def rows(self, index: int) -> NDArray[np.int64]:
        """Return the rows of the annotations of one image in ``file``, in the order of its sample."""
        return self._rows[self._row_ends[index - 1] if index else 0 : self._row_ends[index]]

    def read(self, index: int) -> NDArray[np.uint8]:
        """Read the pixels of one image, uint8 RGB ``[H, W, 3]``.

        Raises:
            DataError: The image cannot be read, or does not have the size that the annotation file gives.
        """
        path = self.images_dir / self.file.file_names[index]
        image = read_image(path)
        height, width = self.size_hw(index)
        if image.shape[:2] != (height, width):
            raise DataError(
                f"{path} has {image.shape[1]} x {image.shape[0]} pixels upright, but {self.source} gives {width} x "
                f"{height}. The annotations belong to another image, or to this one before it was rotated."
            )
        return image

    def ground_truth(self, index: int, masks: bool) -> Detections:
        """Return the annotations of one image as detections with scores of 1.

        Crowd regions and boxes without area are left out, and so are polygons that cannot be drawn.

        Args:
            index: Index of the image.
            masks: Whether to return masks.
        """
        sample = self[index]
        has_area = (sample.boxes[:, 2:] > sample.boxes[:, :2]).all(axis=1) & np.isfinite(sample.boxes).all(axis=1)
        rows = np.flatnonzero(~sample.iscrowd & has_area)
        size_hw = self.size_hw(index)
        all_masks = np.zeros((len(rows), *size_hw), bool)
        for mask, row in zip(all_masks if masks else (), rows.tolist(), strict=False):
            mask[:] = _to_mask(sample.segmentations[row], size_hw)
        return Detections(
            boxes=sample.boxes[rows],
            scores=np.ones(len(rows), np.float32),
            labels=sample.labels[rows],
            masks=all_masks if masks else None,
            image_size=size_hw,
            categories=self.categories,
        )

    def image_id(self, index: int) -> int:
        """Return the id of one image in the annotation file."""
        return int(self.file.image_ids[index])

    def name(self, index: int) -> str:
        """Return the file name of one image."""
        return self.file.file_names[index]

    def path(self, index: int) -> Path | None:
        """Return the file of one image."""
        return self.images_dir / self.name(index)

    def size_hw(self, index: int) -> tuple[int, int]:
        """Return the height and width of one image in pixels."""
        height, width = self.file.sizes_hw[index].tolist()
        return height, width

    def class_counts(self) -> list[ClassCounts]:
        """Return the number of instances of each class, without crowd regions."""
        return [self.count_instances(~self.file.iscrowd)] if self.has_annotations else []

    def count_instances(self, rows: NDArray[np.bool_], unit: str = "instances") -> ClassCounts:
        """Return the number of annotations of each class among the selected ones, bool ``[N]``."""
        counts = np.bincount(self._labels[rows], minlength=len(self.categories)).tolist()
        return ClassCounts(self.source, unit, dict(zip(self.categories.names, counts, strict=True)))

    def class_pairs(self, rows: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the index of the image and the class of the selected annotations, bool ``[N]``."""
        return self.file.image_index[rows], self._labels[rows]

    @property
    def image_ids(self) -> list[int]:
        """Image ids in the order of the dataset."""
        return self.file.image_ids.tolist()

    @cached_property
    def anomalies(self) -> dict[str, NDArray[np.int64]]:
        """Kind of anomaly -> rows of the annotations in ``file`` that have it; they are used all the same."""
        file = self.file
        left, top, width, height = file.boxes_xywh.T
        image_height, image_width = file.sizes_hw[file.image_index].T
        outside = (left < -OVERHANG) | (top < -OVERHANG)
        outside |= (left + width > image_width + OVERHANG) | (top + height > image_height + OVERHANG)
        segmentations = file.segmentations
        return {
            "its box has no area": np.flatnonzero((width <= 0) | (height <= 0)),
            "its box crosses the image border": np.flatnonzero(outside),
            "a polygon has fewer than three vertices, or an odd number of coordinates": np.flatnonzero(
                segmentations.num_valid_polygons() < segmentations.num_polygons()
            ),
        }

    @property
    def problems(self) -> list[str]:
        """Anomalies of the annotations and their files, one line each."""
        lines = [f"{self.cite(row)}: {kind}" for kind, rows in self.anomalies.items() for row in rows.tolist()]
        return lines + self.describe_file_notes()

    @property
    def file_notes(self) -> Mapping[str, tuple[str, ...]]:
        """Kind of anomaly of the files -> one line for each case."""
        return self.file.notes

    def cite(self, row: int) -> str:
        """Return the name of one annotation of ``file`` in messages."""
        return self.file.cite(row)

    def check_files(self) -> list[str]:
        """Return the paths of images that do not exist."""
        return [str(path) for name in self.file.file_names if not (path := self.images_dir / name).is_file()]


def _to_mask(segmentation: Segmentation, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    if isinstance(segmentation, dict):
        return rle_to_mask(segmentation) if segmentation["size"] == list(size_hw) else np.zeros(size_hw, bool)
    return polygons_to_mask(valid_polygons(segmentation), size_hw)
