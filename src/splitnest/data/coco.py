"""COCO detection data: photographs with boxes, classes and outlines."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from splitnest.data.categories import Categories, from_ids
from splitnest.data.coco_file import CocoFile, Segmentation, Segmentations, read_coco
from splitnest.data.images import read_image
from splitnest.errors import DataError, first_few
from splitnest.results.interop import xywh_to_xyxy

OVERHANG = 1.0
"""Pixels by which a box may pass the border unreported: annotators' boxes are rounded, COCO's own included."""


class ImageSegmentations(Sequence[Segmentation]):
    """Outlines of the annotations of one image, made when they are asked for; pickled without the whole file."""

    def __init__(self, store: Segmentations, rows: NDArray[np.int64]) -> None:
        self._store, self._rows = store, rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Segmentation: ...
    @overload
    def __getitem__(self, index: slice) -> list[Segmentation]: ...
    def __getitem__(self, index: int | slice) -> Segmentation | list[Segmentation]:
        if isinstance(index, slice):
            return [self._store.of(row) for row in self._rows[index].tolist()]
        return self._store.of(int(self._rows[index]))

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)


@dataclass(frozen=True)
class Sample:
    """One photograph and its N annotations, in the order of the file.

    Attributes:
        image: uint8 RGB ``[H, W, 3]``.
        image_id, file_name: As the file has them.
        boxes: float32 ``[N, 4]``, xyxy in pixels, as the file has them: also outside the image, also without area.
        labels: int64 ``[N]``, class indices.
        iscrowd: bool ``[N]``, regions of many objects.
        areas: float64 ``[N]`` in square pixels.
        segmentations: Polygons or RLE of each.
    """

    image: NDArray[np.uint8]
    image_id: int
    file_name: str
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    iscrowd: NDArray[np.bool_]
    areas: NDArray[np.float64]
    segmentations: Sequence[Segmentation]


class CocoDetection:
    """Photographs with annotations in COCO's terms.

    Args:
        images_dir: Folder that the file names are relative to; None where a subclass has the pixels.
        annotation_file: COCO JSON, checked when it is read.
        classes: Classes of the model; None takes those of the file.
        file: What ``annotation_file`` holds, where it has another form than COCO's.

    Attributes:
        file: The annotations as flat arrays.
        categories: Index -> class. The file's own sorted by id, with the ids of the file. Where the file has only some
            of ``classes``, by id and name, those stand.

    Raises:
        DataError: See ``read_coco``; or the folder does not exist, or the file's classes are not those of the model.
    """

    def __init__(
        self,
        images_dir: str | Path | None,
        annotation_file: str | Path,
        classes: Categories | None = None,
        file: CocoFile | None = None,
    ) -> None:
        self.annotation_file = Path(annotation_file)
        self.images_dir = Path() if images_dir is None else Path(images_dir)
        if not self.images_dir.is_dir():
            raise DataError(f"{images_dir} is not a folder. Give the folder of the photographs.")
        self.file: CocoFile = read_coco(annotation_file) if file is None else file
        self.categories = from_ids(self.file.categories)
        if classes is not None:
            self.categories = match_categories(self.categories, classes, self.annotation_file)
        index_of_id = {id_: index for index, id_ in enumerate(self.categories.ids)}
        label_of_category = np.array([index_of_id[id_] for id_, _ in self.file.categories], np.int64)
        self._labels = label_of_category[self.file.category_index]
        self._rows = np.argsort(self.file.image_index, kind="stable")
        self._row_ends = np.cumsum(np.bincount(self.file.image_index, minlength=len(self)))

    def __len__(self) -> int:
        return len(self.file.image_ids)

    def __getitem__(self, index: int) -> Sample:
        """Read one photograph with its annotations.

        Raises:
            IndexError: There is no such index.
            DataError: It cannot be read, or has not the size that the annotation file states.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} of {len(self)} photographs")
        rows = self.rows(index)
        return Sample(
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
        """Return which annotations of ``file`` are those of one photograph, in the order of its sample."""
        return self._rows[self._row_ends[index - 1] if index else 0 : self._row_ends[index]]

    def read(self, index: int) -> NDArray[np.uint8]:
        """Read the pixels of one photograph, uint8 RGB ``[H, W, 3]``.

        Raises:
            DataError: It cannot be read, or has not the size that the annotation file states.
        """
        path = self.images_dir / self.file.file_names[index]
        image = read_image(path)
        height, width = self.file.sizes_hw[index].tolist()
        if image.shape[:2] != (height, width):
            raise DataError(
                f"{path} is {image.shape[1]} x {image.shape[0]} pixels upright, but {self.annotation_file} says "
                f"{width} x {height}. The annotations are of another picture, or of this one before it was turned."
            )
        return image

    @property
    def source(self) -> str:
        """Where the annotations are from, for messages."""
        return str(self.annotation_file)

    def image_id(self, index: int) -> int:
        """Return the id of one photograph."""
        return int(self.file.image_ids[index])

    def name(self, index: int) -> str:
        """Return the file name of one photograph."""
        return self.file.file_names[index]

    @property
    def image_ids(self) -> list[int]:
        """Image ids in the order of the data set."""
        return self.file.image_ids.tolist()

    @property
    def has_annotations(self) -> bool:
        """False for a test set, whose file lists images only."""
        return self.file.has_annotations

    @cached_property
    def oddities(self) -> dict[str, NDArray[np.int64]]:
        """What is odd about annotations that are used all the same -> which of ``file`` are so."""
        file = self.file
        left, top, width, height = file.boxes_xywh.T
        image_height, image_width = file.sizes_hw[file.image_index].T
        outside = (left < -OVERHANG) | (top < -OVERHANG)
        outside |= (left + width > image_width + OVERHANG) | (top + height > image_height + OVERHANG)
        outlines = file.segmentations
        return {
            "its box has no area": np.flatnonzero((width <= 0) | (height <= 0)),
            "its box passes the border of the image": np.flatnonzero(outside),
            "a polygon has fewer than three points, or half a point": np.flatnonzero(
                outlines.num_sound_polygons() < outlines.num_polygons()
            ),
        }

    @property
    def problems(self) -> list[str]:
        """The oddities, one line each."""
        return [f"{self.cite(row)}: {what}" for what, rows in self.oddities.items() for row in rows.tolist()]

    def cite(self, row: int) -> str:
        """Return what one annotation of ``file`` is called in messages."""
        return f"annotation {self.file.ids[row]} of {self.file.file_names[self.file.image_index[row]]}"

    def check_files(self) -> list[str]:
        """List the paths of photographs that are missing."""
        return [str(path) for name in self.file.file_names if not (path := self.images_dir / name).is_file()]


def match_categories(found: Categories, classes: Categories, path: Path, key: str = "data.classes") -> Categories:
    """Return the categories that labels index: the file's, or ``classes`` where the file has some of them by id.

    Args:
        found: Those of the file.
        classes: Those of the model.
        path: Of the file, for messages.
        key: What to set otherwise, for messages.

    Raises:
        DataError: The file has others.
    """
    if found.names == classes.names:
        pairs = zip(found, classes, strict=True)
        return replace(classes, items=tuple(replace(of_model, id=of_file.id) for of_file, of_model in pairs))
    known = {(category.id, category.name) for category in classes}
    strangers = [category for category in found if (category.id, category.name) not in known]
    if not strangers:
        return classes
    unknown = [category.name for category in strangers if category.name not in classes.names]
    missing = [name for name in classes.names if name not in found.names]
    reasons = []
    if unknown:
        reasons.append(f"only the file has {first_few(unknown)}")
    if missing:
        reasons.append(f"only the model has {first_few(missing)}")
    if not reasons:
        reasons.append(f"the order differs, {first_few([f'{c.name} has id {c.id}' for c in strangers])}")
    raise DataError(
        f"{path} does not have the classes of the model: {'; '.join(reasons)}. "
        f"Set {key} to the file's names in the order of their ids, or take another file."
    )


def match_kinds(found: Categories, classes: Categories, path: Path) -> Categories:
    """Return the categories that labels index, things and stuff: see ``match_categories``.

    Raises:
        DataError: The file has others, or a class is a thing here and stuff there.
    """
    kinds = {category.name: category.is_thing for category in classes}
    for category in found:
        if kinds.get(category.name, category.is_thing) != category.is_thing:
            of_file, of_model = ("a thing", "stuff") if category.is_thing else ("stuff", "a thing")
            raise DataError(
                f"{category.name} is {of_file} in {path} ('isthing'), but {of_model} in the model. Move it between "
                f"data.classes and data.stuff, or mend the file."
            )
    return match_categories(found, classes, path, "data.classes and data.stuff")
