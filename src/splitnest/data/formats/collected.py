"""Annotations of a dataset, collected by the readers of formats whose instances have class names."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from splitnest.data.formats.annotation_columns import AnnotationColumns, from_columns
from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.coco_json import ImageRow
from splitnest.data.formats.faults import Faults, unknown_classes
from splitnest.data.formats.keypoint_points import Point
from splitnest.data.formats.named_images import NamedImages
from splitnest.data.images.limits import MAX_PIXELS
from splitnest.data.images.listing import NOT_AN_IMAGE
from splitnest.data.images.size import size_or_default
from splitnest.structures.categories import Categories


class CollectedAnnotations:
    """Images and instances of a dataset, collected while its files are read.

    Args:
        origin: File or folder that is read, for messages.
        images_dir: Image folder.
        categories: Classes of the model; None takes those of the files.

    Attributes:
        images: Images of the folder.
        faults: Faults of the files.
        points: Row of an instance -> its keypoints, for instances that have any.
    """

    def __init__(self, origin: Path, images_dir: Path, categories: Categories | None) -> None:
        self.origin, self.images = origin, NamedImages(images_dir)
        self.faults = Faults(origin)
        self.points: dict[int, Sequence[Point]] = {}
        self._given = categories
        self._id_of_class = {} if categories is None else {category.name: category.id for category in categories}
        self._unknown: list[tuple[str, str]] = []
        self._columns, self._rows = AnnotationColumns(), list[ImageRow]()
        self._place_of: dict[str, str] = {}
        self._notes: dict[str, list[str]] = {}

    def note(self, kind: str, case: str) -> None:
        """Add a case of a kind of anomaly; see ``AnnotationFile.notes``."""
        self._notes.setdefault(kind, []).append(case)

    def add_image(self, name: str, place: str, size_hw: tuple[int, int] | None) -> bool:
        """Add an image, whose instances follow; return False, with a fault, if it cannot be taken.

        Args:
            name: Path of the image, relative to the image folder.
            place: Place in the files, for messages.
            size_hw: Height and width that the files give; None reads them from the image.
        """
        if name in self._place_of:
            self.faults.add(f"{place}: {name} is annotated by {self._place_of[name]} too. Keep one of them.")
            return False
        self._place_of[name] = place
        height, width = size_hw or (0, 0)
        if height * width > MAX_PIXELS:
            self.faults.add(
                f"{place}: the size is {width} x {height}, more than {MAX_PIXELS // 10**6} million pixels. Correct it."
            )
            return False
        if height < 1 or width < 1:
            height, width = size_or_default(self.images.folder / name)
        self._rows.append((len(self._rows) + 1, name, height, width))
        return True

    @property
    def image_name(self) -> str:
        """Path of the last image, relative to the image folder."""
        return self._rows[-1][1]

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the last image in pixels."""
        return self._rows[-1][2:]

    def add(self, label: str, place: str, instance: Mapping[str, Any], points: Sequence[Point] = ()) -> None:
        """Add an instance of the last image.

        Args:
            label: Class name.
            place: Place in the files, for messages.
            instance: Instance in COCO's form, without ids.
            points: Keypoints of the instance.
        """
        if not label.strip():
            self.faults.add(f"{place} has no class name. Add it.")
            return
        if self._given is None:
            self._id_of_class.setdefault(label, len(self._id_of_class) + 1)
        elif label not in self._id_of_class:
            self._unknown.append((label, place))
            return
        row = len(self._columns.ids)
        ids = {"id": row + 1, "image_id": len(self._rows), "category_id": self._id_of_class[label]}
        try:
            self._columns.append({**instance, **ids})
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            self.faults.add(f"{place}: {error}. Correct it.")
            return
        if points:
            self.points[row] = points

    def without_images(self, kind: str) -> None:
        """Add a note of a kind on the images of the folder that the files do not name."""
        for name in self.images.names:
            if name not in self._place_of:
                self.note(kind, name)

    def file(self, class_order: Iterable[str] = ()) -> AnnotationFile:
        """Return the annotations.

        Args:
            class_order: Order of the classes where none are given: names that come first; others are sorted.

        Raises:
            DataError: There are faults, classes that the model does not have, or numbers that are not plausible.
        """
        if self._unknown and self._given is not None:
            self.faults.add(unknown_classes(self._unknown, self._given))
        self.faults.raise_any()
        notes = {kind: tuple(cases) for kind, cases in self._notes.items()}
        notes = {NOT_AN_IMAGE: tuple(self.images.others), **notes}
        file = from_columns(self.origin, self._rows, self._categories(class_order), self._columns, has_annotations=True)
        return replace(file, notes=notes)

    def _categories(self, class_order: Iterable[str]) -> list[tuple[int, str]]:
        """Return (id, name) of the classes; those of the files are numbered from 1 in their order."""
        if self._given is not None:
            return sorted((category.id, category.name) for category in self._given)
        first = [name for name in dict.fromkeys(class_order) if name in self._id_of_class]
        names = [*first, *sorted(self._id_of_class.keys() - set(first))]
        new_id = np.zeros(len(names) + 1, np.int64)
        for id_, name in enumerate(names, start=1):
            new_id[self._id_of_class[name]] = id_
        self._columns.category_ids = array("q", new_id[np.asarray(self._columns.category_ids, np.int64)].tolist())
        self._id_of_class = {name: id_ for id_, name in enumerate(names, start=1)}
        return list(enumerate(names, start=1))
