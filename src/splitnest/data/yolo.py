"""Reading YOLO annotations: a text file for each image, a line for each object."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from splitnest.data import polygons
from splitnest.data.categories import Categories
from splitnest.data.coco_file import CocoFile, build_coco
from splitnest.data.image_size import image_size
from splitnest.data.images import SUFFIXES
from splitnest.errors import DataError

TOLERANCE = 0.01
"""By which a coordinate may pass 0 or 1: boxes are rounded."""


def read_yolo(labels_dir: str | Path, images_dir: str | Path, classes: Categories) -> CocoFile:
    """Read the annotations of all images in a folder and below it, in the order of their names.

    Lines are ``class x y width height``, with the centre of a box, or ``class x y x y ...`` with three or more points
    of an outline. Coordinates are shares of the width and height of the image. An image without a file of its own has
    no objects.

    Args:
        labels_dir: Folder with ``<name>.txt``, in the subfolder of the image where there is one.
        images_dir: Folder of the images, whose sizes are read.
        classes: What the class numbers stand for, from 0.

    Raises:
        DataError: The folder of annotations does not exist, an image cannot be read, or a line is not of this form.
    """
    labels_dir, images_dir = Path(labels_dir), Path(images_dir)
    if not labels_dir.is_dir():
        raise DataError(f"{labels_dir} is not a folder. Give the folder of the text files.")
    images: list[tuple[int, str, int, int]] = []
    annotations: list[dict[str, Any]] = []
    paths = sorted(path for path in images_dir.rglob("*") if path.suffix.lower() in SUFFIXES)
    for image_id, path in enumerate(paths, start=1):
        name = path.relative_to(images_dir)
        size_hw = image_size(path)
        images.append((image_id, name.as_posix(), *size_hw))
        for annotation in _objects((labels_dir / name).with_suffix(".txt"), size_hw, classes):
            annotations.append({"image_id": image_id, **annotation})
    return build_coco(labels_dir, images, [(category.id, category.name) for category in classes], annotations)


def _objects(path: Path, size_hw: tuple[int, int], classes: Categories) -> Iterator[dict[str, Any]]:
    """Yield the objects of one file in COCO's terms."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text ({error}).") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                yield _object(line.split(), size_hw, classes)
            except ValueError as error:
                raise DataError(f"{path}, line {number}: {error}.") from error


def _object(fields: list[str], size_hw: tuple[int, int], classes: Categories) -> dict[str, Any]:
    """Return one object; ValueError says what is wrong with its line."""
    label, *shares = _numbers(fields)
    if label not in range(len(classes)):
        raise ValueError(f"class {fields[0]} is not one of the {len(classes)} of data.classes, 0 to {len(classes) - 1}")
    if len(shares) != 4 and (len(shares) < 6 or len(shares) % 2):
        raise ValueError(
            f"{len(shares)} numbers follow the class; a box has 4 (x, y, width, height), an outline 6 or more, two each"
        )
    if not all(-TOLERANCE <= share <= 1 + TOLERANCE for share in shares):
        raise ValueError("coordinates should be shares of the image's sides, from 0 to 1")
    height, width = size_hw
    category_id = classes[int(label)].id
    if len(shares) == 4:
        x, y, box_width, box_height = (share * side for share, side in zip(shares, (width, height) * 2, strict=True))
        return {"category_id": category_id, "bbox": [x - box_width / 2, y - box_height / 2, box_width, box_height]}
    outline = np.array(shares) * np.resize([width, height], len(shares))
    x1, y1, x2, y2 = polygons.hull([outline]).tolist()
    return {
        "category_id": category_id,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": polygons.area(outline),
        "segmentation": [outline.tolist()],
    }


def _numbers(fields: list[str]) -> list[float]:
    values = []
    for text in fields:
        values.append(float(text))
        if not math.isfinite(values[-1]):
            raise ValueError(f"{text} is no number")
    return values
