"""Writer of COCO annotation files: boxes, polygons, RLE, keypoints, crowd regions and scores.

The images of a split are in ``images/<split>/``, its annotations in ``annotations/instances_<split>.json``, or
``person_keypoints_<split>.json`` for classes with keypoints. Numbers are written as they are, without rounding.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from splitnest.data.writers.dataset_writer import DatasetWriter
from splitnest.data.writers.image_files import ImageFiles
from splitnest.data.writers.labeled_image import Instance, LabeledImage
from splitnest.structures.categories import Categories
from splitnest.structures.flip_pairs import flip_indices


class CocoWriter(DatasetWriter):
    """Writer of COCO's layout: a JSON file for each split."""

    def __init__(self, folder: Path, categories: Categories, files: ImageFiles) -> None:
        super().__init__(folder, categories, files)
        self._splits: dict[str | None, JsonRows] = {}

    def add(self, image: LabeledImage, split: str | None) -> None:
        """Write an image."""
        if split not in self._splits:
            self._splits[split] = JsonRows(self.folder)
        name = self.files.place(image, self._images(split))
        rows = self._splits[split]
        image_id = rows.add_image(image, name)
        for instance in image.instances:
            of_instance = coco_annotation(instance, self.categories)
            rows.add_annotation({"id": rows.num_annotations + 1, "image_id": image_id, **of_instance})

    def finish(self) -> None:
        """Write the JSON file of each split."""
        for split, rows in self._splits.items():
            rows.write(self._json(split), category_rows(self.categories))

    def _images(self, split: str | None) -> Path:
        """Return the image folder of a split."""
        return self.folder / "images" / (split or "")

    def _json(self, split: str | None) -> Path:
        """Return the JSON file of a split."""
        kind = "person_keypoints" if self.categories.keypoint_names else "instances"
        return self.folder / "annotations" / f"{kind}{'' if split is None else f'_{split}'}.json"


class RoboflowWriter(CocoWriter):
    """Writer of COCO's JSON as Roboflow exports it: ``<split>/_annotations.coco.json`` beside the images."""

    def _images(self, split: str | None) -> Path:
        return self.folder / {None: "train", "val": "valid"}.get(split, str(split))

    def _json(self, split: str | None) -> Path:
        return self._images(split) / "_annotations.coco.json"


class JsonRows:
    """Rows of a COCO file, in temporary files until all are there.

    Args:
        folder: Folder of the temporary files.
    """

    def __init__(self, folder: Path) -> None:
        self._images: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._annotations: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._num_images = self.num_annotations = self._last_id = 0
        self._ids: set[int] = set()

    def add_image(self, image: LabeledImage, name: str) -> int:
        """Write the row of an image, and return its id: its own one, or a new one if that is taken."""
        self._num_images += 1
        id_ = self._last_id + 1 if image.id is None or image.id in self._ids else image.id
        self._ids.add(id_)
        self._last_id = max(self._last_id, id_)
        height, width = image.size_hw
        row = {"id": id_, "file_name": name, "height": height, "width": width}
        self._images.write(_line(row, self._num_images))
        return id_

    def add_annotation(self, row: dict[str, Any]) -> None:
        """Write the row of an annotation."""
        self.num_annotations += 1
        self._annotations.write(_line(row, self.num_annotations))

    def write(self, path: Path, categories: list[dict[str, Any]]) -> None:
        """Write the file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for start, rows in (('{"images": [', self._images), ('], "annotations": [', self._annotations)):
                file.write(start.encode())
                rows.seek(0)
                shutil.copyfileobj(rows, file)
                rows.close()
            file.write(b'\n], "categories": ' + json.dumps(categories).encode() + b"}\n")


def coco_annotation(instance: Instance, categories: Categories) -> dict[str, Any]:
    """Return an annotation in COCO's form, without its own id and that of the image."""
    segmentation = instance.segmentation
    x, y, width, height = instance.box_xywh
    row: dict[str, Any] = {
        "category_id": categories[instance.label].id,
        "bbox": [x, y, width, height],
        "area": width * height if instance.area is None else instance.area,
        "iscrowd": int(instance.iscrowd),
        "segmentation": segmentation if isinstance(segmentation, dict) else [p.tolist() for p in segmentation],
    }
    if categories.keypoint_names:
        points = instance.keypoints
        points = np.zeros((len(categories.keypoint_names), 3)) if points is None else points
        row["keypoints"] = points.ravel().tolist()
        row["num_keypoints"] = int((points[:, 2] > 0).sum())
    if instance.score is not None:
        row["score"] = instance.score
    return row


def category_rows(categories: Categories) -> list[dict[str, Any]]:
    """Return the categories of a COCO file; skeletons are numbered from 1."""
    rows: list[dict[str, Any]] = [
        {"id": category.id, "name": category.name, "supercategory": ""} for category in categories
    ]
    if categories.keypoint_names:
        for row in rows:
            row["keypoints"] = list(categories.keypoint_names)
            if categories.flip_indices not in ((), flip_indices(categories.keypoint_names)):
                row["flip_pairs"] = [[a + 1, b + 1] for a, b in enumerate(categories.flip_indices) if a < b]
            row["skeleton"] = [[start + 1, end + 1] for start, end in categories.skeleton]
    return rows


def _line(row: dict[str, Any], number: int) -> bytes:
    return (",\n" if number > 1 else "\n").encode() + json.dumps(row).encode()
