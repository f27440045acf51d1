"""Reader of YOLO annotations: a text file for each image, a line for each instance."""

import math
import os
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from splitnest.data.formats.annotation_columns import from_rows
from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.coco_json import ImageRow
from splitnest.data.formats.faults import Faults
from splitnest.data.formats.keypoint_points import Point, Points
from splitnest.data.images.listing import NOT_AN_IMAGE, is_hidden, list_files, list_images
from splitnest.data.images.size import size_or_default
from splitnest.data.paths import existing_folder, optional_path, required_path, required_root
from splitnest.errors import DataError, UsageError, cannot_read
from splitnest.files import open_text
from splitnest.recipe import Split
from splitnest.recipe.data import KeypointExportData, YoloData
from splitnest.recipe.plain_yaml import read_yaml
from splitnest.structures import polygons
from splitnest.structures.categories import Categories
from splitnest.structures.skeleton import Skeleton

TOLERANCE = 0.01
"""Tolerance of coordinates below 0 and above 1, as boxes are rounded."""

NAME_LISTS = ("classes.txt", "obj.names")
"""Files with a class name in each line, as labelImg and darknet write them."""

MAX_FIELDS = 1_000_000
"""Maximum number of fields in a line."""


def read_part(data: YoloData, split: Split, categories: Categories) -> tuple[Path, AnnotationFile, Path]:
    """Return the image folder of a part, its annotations, and the folder of their files."""
    images, labels = required_path(data, f"{split}_images", "the image folder"), yolo_labels(data, split)
    file = read_yolo(labels, images, categories)
    return images, replace(file, class_list=find_class_names(required_root(data), labels)), labels


def class_names(parts: Sequence[tuple[YoloData, Split]]) -> tuple[list[str], list[str]]:
    """Return the names that the first part gives, without notes; those of other parts are compared when it is read."""
    data, split = parts[0]
    return yolo_class_names(required_root(data), yolo_labels(data, split)), []


def yolo_labels(data: YoloData | KeypointExportData, split: Split) -> Path:
    """Return the folder of the text files of a split: as given, or ``labels/...`` for ``images/...``.

    Raises:
        UsageError: The folder is not set, and the image folder has no part ``images``.
    """
    if (annotations := optional_path(data, f"{split}_annotations")) is not None:
        return annotations
    images: str = getattr(data, f"{split}_images")
    parts = list(PurePosixPath(images).parts)
    if "images" not in parts:
        raise UsageError(
            f"data.{split}_annotations is not set, and {images} has no part 'images' to be replaced by 'labels'. Give "
            f"the folder of the text files, relative to data.root."
        )
    parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return required_root(data) / PurePosixPath(*parts)


def read_yolo(
    labels_dir: str | Path, images_dir: str | Path, categories: Categories, only: Container[str] | None = None
) -> AnnotationFile:
    """Read the annotations of all images in a folder and its subfolders, in the order of their names.

    Lines are ``class x y width height``, with the center of a box, or ``class x y x y ...``, with three or more
    vertices of a polygon. Coordinates are fractions of the width and height of the image. An image without a text file
    has no instances.

    Args:
        labels_dir: Folder of the files ``<name>.txt``, with the subfolders of the image folder.
        images_dir: Image folder; the sizes of the images are read.
        categories: Classes of the class numbers, from 0.
        only: Names of the images that are read, as a sample; None reads all.

    Raises:
        DataError: The folder of annotations does not exist, an image cannot be read, or a line is not valid.
    """
    return _read(Path(labels_dir), Path(images_dir), categories, only, None)[0]


def collect_yolo(
    labels_dir: str | Path,
    images_dir: str | Path,
    categories: Categories,
    skeleton: Skeleton,
    only: Container[str] | None = None,
) -> tuple[AnnotationFile, Points]:
    """Return the annotations of a pose dataset with their keypoints; see ``read_yolo``.

    Lines are ``class x y width height`` and two or three numbers for each keypoint: x and y as fractions, and
    visibility (0 not labeled, 1 hidden, 2 visible). With two numbers, a keypoint at 0, 0 is not labeled.

    Args:
        labels_dir, images_dir, categories, only: Same as for ``read_yolo``.
        skeleton: Keypoints in the order of the lines.

    Raises:
        DataError: Same conditions as for ``read_yolo``.
    """
    return _read(Path(labels_dir), Path(images_dir), categories, only, skeleton)


def _read(
    labels_dir: Path,
    images_dir: Path,
    categories: Categories,
    only: Container[str] | None,
    skeleton: Skeleton | None,
) -> tuple[AnnotationFile, Points]:
    """Return boxes and polygons, or boxes with the keypoints of a skeleton."""
    if not labels_dir.is_dir():
        raise DataError(f"{labels_dir} is not a folder. Give the folder of the text files.")
    listing, faults = list_images(existing_folder(images_dir, "images")), Faults(labels_dir)
    points: dict[int, Sequence[Point]] = {}
    images: list[ImageRow] = []
    paths: list[Path] = []
    annotations: list[dict[str, Any]] = []
    names = [name for name in listing.names if only is None or name in only]
    for image_id, name in enumerate(names, start=1):
        size_hw = size_or_default(images_dir / name)
        images.append((image_id, name, *size_hw))
        paths.append((labels_dir / name).with_suffix(".txt"))
        for annotation in _instances(paths[-1], size_hw, categories, faults, skeleton):
            if of_instance := annotation.pop("points", None):
                points[len(annotations)] = of_instance
            annotations.append({"image_id": image_id, **annotation})
    of_images = {os.path.splitext(name)[0] for name in listing.names}
    orphans = [name for name in list_files(labels_dir, ".txt") if name[: -len(".txt")] not in of_images]
    notes = {
        NOT_AN_IMAGE: tuple(listing.others),
        "label file without an image: not read": tuple(name for name in orphans if name not in NAME_LISTS),
    }
    pairs = [(category.id, category.name) for category in categories]
    file = from_rows(labels_dir, images, pairs, annotations, paths=paths, notes=notes, faults=faults)
    return file, points


def yolo_class_names(root: Path, labels_dir: Path) -> list[str]:
    """Return the class names that a dataset gives: ``names`` in ``data.yaml``, or a list (see ``NAME_LISTS``).

    Args:
        root: Folder of the dataset.
        labels_dir: Folder of the text files, where labelImg writes its list.

    Raises:
        DataError: There is no such file, or it is not valid.
    """
    found = find_class_names(root, labels_dir)
    if found is None:
        raise DataError(
            f"{root} has no data.yaml with names, and no {' or '.join(NAME_LISTS)}, so data.classes=file gives no "
            f"classes. List the class names in data.classes."
        )
    return found[1]


def find_class_names(root: Path, labels_dir: Path) -> tuple[Path, list[str]] | None:
    """Return the file that gives the class names, and the names; None if there is none.

    The folders from the root to that of the text files are searched, for parts that have a file each.

    Args:
        root: Folder of the dataset.
        labels_dir: Folder of the text files.

    Raises:
        DataError: A file is not valid.
    """
    between = [folder for folder in reversed(labels_dir.parents) if root in folder.parents]
    folders = list(dict.fromkeys((root, *between, labels_dir)))
    yaml_files = [path for folder in folders for path in _yaml_files(folder)]
    for path in yaml_files:
        try:
            content = read_yaml(_text(path), str(path))
        except UsageError as error:
            raise DataError(str(error)) from error
        names = content.get("names") if isinstance(content, dict) else None
        if isinstance(names, dict) and sorted(names) == list(range(len(names))):
            names = [names[number] for number in range(len(names))]
        if isinstance(names, list) and names:
            return path, [str(name) for name in names]
    for path in (folder / name for folder in folders for name in NAME_LISTS):
        if path.is_file() and (names := list(filter(None, map(str.strip, _text(path).splitlines())))):
            return path, names
    return None


def _yaml_files(folder: Path) -> list[Path]:
    """Return the YAML files of a folder, ``data.yaml`` first."""
    files = [path for path in folder.glob("*.y*ml") if not is_hidden(path.name)]
    return sorted(files, key=lambda path: (path.stem != "data", path))


def _text(path: Path) -> str:
    try:
        with open_text(path) as file:
            return file.read()
    except OSError as error:
        raise DataError(cannot_read(path, error, "a text file")) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} cannot be read as text, since it is not UTF-8 ({error}). Convert it.") from error


def _instances(
    path: Path,
    size_hw: tuple[int, int],
    categories: Categories,
    faults: Faults,
    skeleton: Skeleton | None,
) -> Iterator[dict[str, Any]]:
    """Yield the instances of one file in COCO's form, and add its faults."""
    if not path.exists():
        return
    try:
        text = _text(path)
    except DataError as error:
        faults.add(str(error))
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                fields = line.split(maxsplit=MAX_FIELDS)
                box = fields if skeleton is None else fields[:5]
                points = {} if skeleton is None else {"points": _points(fields[5:], size_hw, skeleton.names)}
                yield {**_instance(box, size_hw, categories), **points, "line": number}
            except ValueError as error:
                faults.add(f"{path}, line {number}: {error}.")


def _instance(fields: list[str], size_hw: tuple[int, int], categories: Categories) -> dict[str, Any]:
    """Return one instance.

    Raises:
        ValueError: The line is not valid.
    """
    label, *fractions = _numbers(fields)
    if not (label.is_integer() and 0 <= label < len(categories)):
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


def _points(fields: list[str], size_hw: tuple[int, int], names: Sequence[str]) -> list[Point]:
    """Return the labeled keypoints behind a box.

    Raises:
        ValueError: The numbers are not valid.
    """
    values = _numbers(fields)
    if len(values) not in (2 * len(names), 3 * len(names)):
        raise ValueError(
            f"{len(values)} numbers follow the box; {len(names)} keypoints have {2 * len(names)} (x, y) or "
            f"{3 * len(names)} (x, y, visibility)"
        )
    points: list[Point] = []
    size = len(values) // len(names)
    for first, name in zip(range(0, len(values), size), names, strict=True):
        x, y, *rest = values[first : first + size]
        visibility = rest[0] if rest else 2 * ((x, y) != (0, 0))
        if visibility not in (0, 1, 2):
            raise ValueError(f"the visibility of a keypoint is {visibility:g}, not 0, 1 or 2")
        if visibility:
            points.append((name, x * size_hw[1], y * size_hw[0], int(visibility)))
    return points


def _numbers(fields: list[str]) -> list[float]:
    values = []
    for text in fields:
        values.append(float(text))
        if not math.isfinite(values[-1]):
            raise ValueError(f"{text} is not a number")
    return values
