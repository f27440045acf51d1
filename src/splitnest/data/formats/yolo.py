"""Reader of YOLO annotations: a text file for each image, a line for each instance."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from splitnest.data.formats.annotation_file import AnnotationFile, from_rows
from splitnest.data.images.read import SUFFIXES
from splitnest.data.images.size import image_size
from splitnest.errors import DataError
from splitnest.structures import polygons
from splitnest.structures.categories import Categories

TOLERANCE = 0.01
"""Tolerance of coordinates below 0 and above 1, as boxes are rounded."""


def read_yolo(labels_dir: str | Path, images_dir: str | Path, categories: Categories) -> AnnotationFile:
    """Read the annotations of all images in a folder and its subfolders, in the order of their names.

    Lines are ``class x y width height``, with the center of a box, or ``class x y x y ...``, with three or more
    vertices of a polygon. Coordinates are fractions of the width and height of the image. An image without a text file
    has no instances.

    Args:
        labels_dir: Folder of the files ``<name>.txt``, with the subfolders of the image folder.
        images_dir: Image folder; the sizes of the images are read.
        categories: Classes of the class numbers, from 0.

    Raises:
        DataError: The folder of annotations does not exist, an image cannot be read, or a line is not valid.
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
        for annotation in _instances((labels_dir / name).with_suffix(".txt"), size_hw, categories):
            annotations.append({"image_id": image_id, **annotation})
    return from_rows(labels_dir, images, [(category.id, category.name) for category in categories], annotations)


def _instances(path: Path, size_hw: tuple[int, int], categories: Categories) -> Iterator[dict[str, Any]]:
    """Yield the instances of one file in COCO's form."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text ({error}).") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                yield _instance(line.split(), size_hw, categories)
            except ValueError as error:
                raise DataError(f"{path}, line {number}: {error}.") from error


def _instance(fields: list[str], size_hw: tuple[int, int], categories: Categories) -> dict[str, Any]:
    """Return one instance.

    Raises:
        ValueError: The line is not valid.
    """
    label, *fractions = _numbers(fields)
    if label not in range(len(categories)):
        last = len(categories) - 1
        raise ValueError(f"class {fields[0]} is not in data.classes, whose numbers range from 0 to {last}")
    if len(fractions) != 4 and (len(fractions) < 6 or len(fractions) % 2):
        raise ValueError(
            f"{len(fractions)} numbers follow the class; a box has 4 (x, y, width, height), a polygon 6 or more, two "
            f"for each vertex"
        )
    if not all(-TOLERANCE <= fraction <= 1 + TOLERANCE for fraction in fractions):
        raise ValueError("coordinates should be fractions of the width and height, from 0 to 1")
    height, width = size_hw
    category_id = categories[int(label)].id
    if len(fractions) == 4:
        x, y, box_width, box_height = (f * side for f, side in zip(fractions, (width, height) * 2, strict=True))
        return {"category_id": category_id, "bbox": [x - box_width / 2, y - box_height / 2, box_width, box_height]}
    polygon = np.array(fractions) * np.resize([width, height], len(fractions))
    x1, y1, x2, y2 = polygons.bounding_box([polygon]).tolist()
    return {
        "category_id": category_id,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": polygons.area(polygon),
        "segmentation": [polygon.tolist()],
    }


def _numbers(fields: list[str]) -> list[float]:
    values = []
    for text in fields:
        values.append(float(text))
        if not math.isfinite(values[-1]):
            raise ValueError(f"{text} is not a number")
    return values
