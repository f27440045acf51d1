"""Writer of YOLO annotations: boxes, polygons or keypoints in a text file for each image, and ``data.yaml``.

The images of a split are in ``images/<split>/``, its text files in ``labels/<split>/``. Numbers have as many digits as
are needed to read them back exactly. An instance is one line, so several polygons and masks become one outline. A
dataset with keypoints has lines of a box and its keypoints (x, y, visibility) only, as Ultralytics requires.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import yaml

from splitnest.data.writers.dataset_writer import DatasetWriter, write_file
from splitnest.data.writers.exact_numbers import invertible
from splitnest.data.writers.image_files import ImageFiles
from splitnest.data.writers.labeled_image import Instance, LabeledImage
from splitnest.structures.categories import Categories
from splitnest.structures.flip_pairs import flip_indices

CROWD = "crowd region: not written, since YOLO has none"
NO_AREA = "box without an area in the image: not written"
MASK_OF_PERSON = "mask beside keypoints: not written, since a line of YOLO has one of them"


class YoloWriter(DatasetWriter):
    """Writer of Ultralytics' layout."""

    def __init__(self, folder: Path, categories: Categories, files: ImageFiles) -> None:
        super().__init__(folder, categories, files)
        self._splits: dict[str | None, None] = {}

    def add(self, image: LabeledImage, split: str | None) -> None:
        """Write an image and its text file."""
        self._splits[split] = None
        name = self.files.place(image, self.folder / "images" / (split or ""))
        lines = (line for instance in image.instances if (line := self._line(instance, image.size_hw)))
        path = (self.folder / "labels" / (split or "") / name).with_suffix(".txt")
        write_file(path, "".join(f"{line}\n" for line in lines))

    def finish(self) -> None:
        """Write ``data.yaml``."""
        content: dict[str, object] = {
            "train" if split is None else split: "/".join(["images", *([split] if split else [])])
            for split in self._splits
        }
        content["nc"] = len(self.categories)
        content["names"] = dict(enumerate(self.categories.names))
        if names := self.categories.keypoint_names:
            content["kpt_shape"] = [len(names), 3]
            flips = self.categories.flip_indices or flip_indices(names)
            if self.categories.flip_indices or flips != tuple(range(len(names))):
                content["flip_idx"] = list(flips)  # otherwise not known: Ultralytics does not flip then
            content["kpt_names"] = {label: list(names) for label in range(len(self.categories))}
        write_file(self.folder / "data.yaml", yaml.safe_dump(content, allow_unicode=True, sort_keys=False))

    def _line(self, instance: Instance, size_hw: tuple[int, int]) -> str | None:
        """Return the line of an instance; None for one that is not written."""
        if instance.iscrowd:
            self.notes[CROWD] += 1
            return None
        if self.categories.keypoint_names:
            self.notes[MASK_OF_PERSON] += instance.has_mask
        elif instance.has_mask and len(outline := instance.outline(size_hw)):
            return " ".join([str(instance.label), *_fractions(outline.tolist(), size_hw)])
        box = _center_box(instance, size_hw)
        if box is None:
            self.notes[NO_AREA] += 1
            return None
        return " ".join([str(instance.label), *_fractions(box, size_hw), *self._keypoints(instance, size_hw)])

    def _keypoints(self, instance: Instance, size_hw: tuple[int, int]) -> Iterator[str]:
        points = instance.keypoints
        if points is None:
            points = np.zeros((len(self.categories.keypoint_names), 3))
        height, width = size_hw
        for x, y, visibility in points.tolist():
            is_inside = visibility > 0 and 0 <= x <= width and 0 <= y <= height
            yield from _fractions([x, y], size_hw) if is_inside else ("0", "0")
            yield str(int(visibility) if is_inside else 0)


def _center_box(instance: Instance, size_hw: tuple[int, int]) -> list[float] | None:
    """Return center, width and height in pixels of the part of a box in the image; None without one."""
    x, y, width, height = instance.box_xywh
    right, bottom = min(x + width, size_hw[1]), min(y + height, size_hw[0])
    if x < 0 or y < 0 or right < x + width or bottom < y + height:
        x, y = max(x, 0.0), max(y, 0.0)
        width, height = right - x, bottom - y
    return [x + width / 2, y + height / 2, width, height] if width > 0 and height > 0 else None


def _fractions(values: Sequence[float], size_hw: tuple[int, int]) -> Iterator[str]:
    """Yield pixels, x and y in turn, as fractions of the width and height."""
    for index, value in enumerate(values):
        whole = float(size_hw[1 - index % 2])
        yield f"{invertible(value, value / whole, whole.__mul__):.17g}" if value else "0"
