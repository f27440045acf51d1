"""Reader of labelme annotations: a JSON file for each image.

Source: labelme 5, ``label_file.py``, ``utils/shape.py`` and ``examples/instance_segmentation/labelme2coco.py``.
"""

import base64
import io
import json
import math
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.categories import names_in
from splitnest.data.formats.collected import CollectedAnnotations
from splitnest.data.formats.keypoint_points import Point, Points
from splitnest.data.formats.shapes import box, ellipse, mask_instance, pasted, polygon_instance
from splitnest.data.images.listing import list_files
from splitnest.data.images.read import open_header
from splitnest.data.paths import optional_path, required_path
from splitnest.errors import DataError, cannot_read
from splitnest.files import open_text
from splitnest.recipe import Split
from splitnest.recipe.data import LabelmeData
from splitnest.structures.categories import Categories

MAX_BYTES = 500_000_000
"""Maximum size of a file, which may hold the image."""

_NOT_AN_INSTANCE = ("line", "linestrip", "point", "points")
"""Shapes without area; points are keypoints, for a pose estimator."""

Shape = dict[str, Any]


def read_part(data: LabelmeData, split: Split, categories: Categories | None) -> tuple[Path, AnnotationFile, Path]:
    """Return the image folder of a part, its annotations, and their folder; None takes the classes of the files."""
    images = required_path(data, f"{split}_images", "the image folder")
    source = optional_path(data, f"{split}_annotations") or images
    return images, read_labelme(source, images, categories), source


def class_names(parts: Sequence[tuple[LabelmeData, Split]]) -> tuple[list[str], list[str]]:
    """Return the names in the files of all parts, without notes."""
    return names_in(read_part(part, split, None)[1] for part, split in parts), []


def read_labelme(
    source: str | Path,
    images_dir: str | Path,
    categories: Categories | None = None,
    only: Container[str] | None = None,
) -> AnnotationFile:
    """Read the annotations of a folder.

    Polygons, rectangles, circles and masks are instances. Polygons of one label with the same ``group_id`` are parts of
    one instance. Instances that are marked as difficult become crowd regions. Other JSON files are passed over.

    Args:
        source: Folder of the JSON files.
        images_dir: Image folder, often the same. An embedded image is not read.
        categories: Classes of the model; None takes those of the files, sorted by name.
        only: Names of the JSON files that are read, as a sample; None reads all.

    Raises:
        DataError: A folder does not exist, or has no annotations; a file is not valid; or an instance has an unknown
            class.
    """
    return collect_labelme(source, images_dir, categories, only)[0]


def collect_labelme(
    source: str | Path,
    images_dir: str | Path,
    categories: Categories | None = None,
    only: Container[str] | None = None,
) -> tuple[AnnotationFile, Points]:
    """Return the annotations of a folder with their keypoints; see ``read_labelme``.

    Points with the ``group_id`` of a rectangle or a polygon are its keypoints, named by their labels; those with the
    flag ``hidden`` are hidden.
    """
    source = Path(source)
    if not source.is_dir():
        raise DataError(f"{source} is not a folder. Give the folder of labelme's JSON files.")
    collected = CollectedAnnotations(source, Path(images_dir), categories)
    is_found = False
    for name in list_files(source, ".json"):
        if only is not None and name not in only:
            continue
        try:
            content = read_labelme_json(source / name)
        except DataError as error:
            collected.faults.add(str(error))
            continue
        if content is not None:
            is_found = True
            _add_image(collected, source / name, name, content)
    if not is_found:
        collected.faults.raise_any()
        raise DataError(f"{source} has no JSON files of labelme. Give their folder.")
    if only is None:
        collected.without_images("image without a JSON file: not read")
    return collected.file(), collected.points


def read_labelme_json(path: Path) -> dict[str, Any] | None:
    """Return the content of a file; None if it is another JSON file.

    Raises:
        DataError: The file cannot be read, is too large, or is not valid JSON.
    """
    try:
        with open_text(path) as file:
            if path.stat().st_size > MAX_BYTES:
                raise DataError(f"{path} has more than {MAX_BYTES // 10**6} MB, too many for the JSON of one image.")
            content = json.load(file)
    except OSError as error:
        raise DataError(cannot_read(path, error, "a JSON file of labelme")) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not valid JSON ({error}). Replace the file.") from error
    is_labelme = isinstance(content, dict) and isinstance(content.get("shapes"), list)
    return content if is_labelme else None


def _add_image(collected: CollectedAnnotations, path: Path, name: str, content: dict[str, Any]) -> None:
    given = str(content.get("imagePath") or "")
    beside = str(Path(name).with_name(Path(given.replace("\\", "/")).name)) if given else ""
    image = next(filter(None, map(collected.images.find, (beside, given, name))), None)
    if image is None:
        collected.note("JSON file without an image: not read", name)
        return
    size = content.get("imageHeight"), content.get("imageWidth")
    size_hw = (size[0], size[1]) if isinstance(size[0], int) and isinstance(size[1], int) else None
    if not collected.add_image(image, str(path), size_hw):
        return
    shapes: list[tuple[str, Shape]] = []
    for number, shape in enumerate(content["shapes"]):
        place = f"{path}: shapes[{number}]"
        if not isinstance(shape, dict) or not isinstance(shape.get("label"), str) or not shape["label"].strip():
            collected.faults.add(f"{place} has no label. Add it.")
        else:
            shapes.append((place, shape))
    _add_instances(collected, shapes)


def _add_instances(collected: CollectedAnnotations, shapes: list[tuple[str, Shape]]) -> None:
    points: dict[int | str | None, list[Point]] = {}
    for place, shape in shapes:
        if shape.get("shape_type") == "point":
            try:
                (x, y), *_ = _points(shape).tolist()
            except ValueError as error:
                collected.faults.add(f"{place}: {error}. Correct it.")
                continue
            points.setdefault(_group(shape), []).append((shape["label"], x, y, _visibility(shape)))
    used: set[int | str | None] = set()
    for place, members in _instances(shapes):
        kind, group = _kind(members[0]), _group(members[0])
        if kind in _NOT_AN_INSTANCE:
            if kind != "point":
                collected.note(f"{kind} of labelme, which has no area: not read", place)
            continue
        try:
            instance = _instance(members, collected.size_hw)
        except (ValueError, TypeError, OverflowError) as error:
            collected.faults.add(f"{place}: {error}. Correct it.")
            continue
        own = points.get(group, []) if group is not None and group not in used else []
        used.add(group)
        instance["iscrowd"] = int(any(member.get("difficult") is True for member in members))
        collected.add(members[0]["label"], place, instance, own)


def _instances(shapes: list[tuple[str, Shape]]) -> Iterator[tuple[str, list[Shape]]]:
    """Yield the shapes of each instance, and the place of the first one."""
    groups: dict[tuple[str, object], tuple[str, list[Shape]]] = {}
    for number, (place, shape) in enumerate(shapes):
        group = _group(shape)
        is_part = _kind(shape) == "polygon" and group is not None
        key: tuple[str, object] = (shape["label"], group) if is_part else ("", (number,))
        groups.setdefault(key, (place, []))[1].append(shape)
    yield from groups.values()


def _kind(shape: Shape) -> str:
    return str(shape.get("shape_type") or "polygon")


def _visibility(shape: Shape) -> int:
    """Return the visibility of a keypoint: 1 with the flag ``hidden``, otherwise 2."""
    flags = shape.get("flags")
    return 1 if isinstance(flags, dict) and flags.get("hidden") is True else 2


def _group(shape: Shape) -> int | str | None:
    group = shape.get("group_id")
    return group if isinstance(group, int | str) else None


def _instance(members: list[Shape], size_hw: tuple[int, int]) -> dict[str, Any]:
    """Return an instance in COCO's form.

    Raises:
        ValueError: A shape is not valid, or not known.
    """
    kind, points = _kind(members[0]), _points(members[0])
    if kind == "polygon":
        return polygon_instance([_points(member).ravel() for member in members])
    if kind == "rectangle" and len(points) in (2, 4):
        low, high = points.min(axis=0), points.max(axis=0)
        if len(points) == 4 and not np.isin(points, np.stack([low, high])).all():
            raise ValueError("the rectangle is rotated. Draw it as a polygon")
        return box(*low.tolist(), *high.tolist())
    if kind == "circle" and len(points) == 2:
        (x, y), radius = points[0].tolist(), math.dist(*points.tolist())
        return polygon_instance([ellipse(x, y, radius, radius)])
    if kind == "mask" and len(points) == 2:
        left, top = (round(value) for value in points[0].tolist())
        return mask_instance(pasted(_mask(members[0]), left, top, size_hw))
    if kind == "rotation":
        raise ValueError("the rectangle is rotated (shape_type 'rotation'). Draw it as a polygon")
    raise ValueError(f"a shape {kind!r} of {len(points)} points is not one of labelme's instances")


def _points(shape: Shape) -> np.ndarray:
    """Return the points of a shape, ``[P, 2]``, xy in pixels."""
    try:
        points = np.array(shape.get("points"), np.float64)
    except (TypeError, ValueError, RecursionError):
        points = np.zeros(0)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise ValueError("'points' is not a list of points (x, y)")
    return points


def _mask(shape: Shape) -> np.ndarray:
    """Return the mask of a shape, a PNG in base64, bool ``[H, W]``."""
    try:
        content = base64.b64decode(shape.get("mask") or "", validate=True)
        with open_header(io.BytesIO(content), "the mask") as image:
            return np.asarray(image.convert("L")) > 0
    except (DataError, ValueError, OSError, SyntaxError) as error:
        raise ValueError(f"'mask' is not a PNG file in base64 ({error})") from error
