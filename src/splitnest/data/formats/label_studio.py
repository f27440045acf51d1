"""Reader of Label Studio's JSON and JSON-MIN exports, one file for all images.

Source: Label Studio, section "Label Studio JSON format of annotated tasks"; label-studio-converter, ``brush.py``.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.categories import names_in
from splitnest.data.formats.collected import CollectedAnnotations
from splitnest.data.formats.json_stream import read_json
from splitnest.data.formats.keypoint_points import Point, Points
from splitnest.data.formats.label_studio_rle import decode
from splitnest.data.formats.shapes import box, ellipse, mask_instance, polygon_instance
from splitnest.data.paths import required_path
from splitnest.errors import DataError, cannot_read
from splitnest.files import open_text
from splitnest.recipe import Split
from splitnest.recipe.data import LabelStudioData
from splitnest.structures.categories import Categories

_UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")
"""Beginning of the name of an uploaded file."""

_CHOICE_NAMES = ("choice", "choices", "class", "label", "category")
"""Usual names of the control ``Choices``; JSON-MIN gives a single choice as a text under it."""

Region = dict[str, Any]


def read_part(data: LabelStudioData, split: Split, categories: Categories | None) -> tuple[Path, AnnotationFile, Path]:
    """Return the image folder of a part, its annotations, and their file; None takes the classes of the files."""
    images = required_path(data, f"{split}_images", "the image folder")
    source = required_path(data, f"{split}_annotations", "the annotation file")
    return images, read_label_studio(source, images, categories), source


def class_names(parts: Sequence[tuple[LabelStudioData, Split]]) -> tuple[list[str], list[str]]:
    """Return the names in the files of all parts, without notes."""
    return names_in(read_part(part, split, None)[1] for part, split in parts), []


def read_label_studio(
    source: str | Path, images_dir: str | Path, categories: Categories | None = None
) -> AnnotationFile:
    """Read an export.

    Boxes, polygons, ellipses and brush masks are instances. Of several annotations of an image the first one that was
    not cancelled is taken. An image whose annotation is empty has no instances; one without an annotation is not read.

    Args:
        source: JSON or JSON-MIN export.
        images_dir: Image folder. Uploaded images may have their names before or after the upload.
        categories: Classes of the model; None takes those of the file, sorted by name.

    Raises:
        DataError: The file cannot be read or is not an export, or a region is not valid or has an unknown class.
    """
    return collect_label_studio(source, images_dir, categories)[0]


def collect_label_studio(
    source: str | Path, images_dir: str | Path, categories: Categories | None = None
) -> tuple[AnnotationFile, Points]:
    """Return the annotations of an export with their keypoints; see ``read_label_studio``.

    Keypoints whose parent is a region belong to it.
    """
    collected = CollectedAnnotations(Path(source), Path(images_dir), categories)
    read_tasks(collected, _add_regions)
    return collected.file(), collected.points


def read_tasks(collected: CollectedAnnotations, add: Callable[[CollectedAnnotations, str, list[Region]], None]) -> None:
    """Read the tasks of an export, and add its images.

    Args:
        collected: Annotations, of an export as their origin.
        add: Function of the annotations, the place in the file and the results of the image that was added last.

    Raises:
        DataError: The file cannot be read or is not an export.
    """
    source = collected.origin

    def take(number: int, task: Any) -> None:
        place = f"{source}: task {task.get('id', number) if isinstance(task, dict) else number}"
        if not is_task(task):
            collected.faults.add(f"{place} is not a task of Label Studio. Export as JSON or JSON-MIN.")
        else:
            _add_task(collected, place, task, add)

    try:
        with open_text(source) as file:
            content = read_json(file, {}, take)
    except OSError as error:
        raise DataError(cannot_read(source, error, "a JSON export of Label Studio")) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{source} is not valid JSON ({error}). Replace the file.") from error
    if not isinstance(content, list):
        raise DataError(f"{source} is not a JSON export of Label Studio: its top level is not a list.")
    collected.without_images("image without a task in the export: not read")


def is_task(item: object) -> bool:
    """Return whether an element of a JSON list is a task of Label Studio, in JSON or JSON-MIN."""
    if not isinstance(item, dict):
        return False
    is_full = isinstance(item.get("data"), dict) and any(
        isinstance(item.get(key), list) for key in ("annotations", "completions", "predictions")
    )
    return is_full or ("annotation_id" in item and any(isinstance(value, str) for value in item.values()))


def _add_task(
    collected: CollectedAnnotations,
    place: str,
    task: dict[str, Any],
    add: Callable[[CollectedAnnotations, str, list[Region]], None],
) -> None:
    full = isinstance(task.get("data"), dict)
    data = task["data"] if full else task
    references = [value for value in (task.get("file_upload"), *data.values()) if isinstance(value, str)]
    image = next((found for text in references if (found := _image(collected, text)) is not None), None)
    if image is None:
        collected.note("task whose image does not exist: not read", f"{place}, {data.get('image', references[:1])}")
        return
    if full:
        key = next(key for key in ("annotations", "completions", "predictions") if key in task)
        if key == "predictions":
            collected.note("task without annotations: its predictions are read", f"{place}, {image}")
        annotations = [each for each in task[key] if isinstance(each, dict)]
        annotations = [each for each in annotations if not each.get("was_cancelled")]
        if not annotations:
            collected.note("task without an annotation: not read", f"{place}, {image}")
            return
        if len(annotations) > 1:
            collected.note("task with several annotations: the first one is read", f"{place}, {image}")
        regions = annotations[0].get("result", [])
    else:
        lists = [value for value in task.values() if isinstance(value, list)]
        regions = [*(region for value in lists for region in value), *_min_choices(task)]
    regions = [region for region in regions if isinstance(region, dict)] if isinstance(regions, list) else []
    sizes = [(region.get("original_height"), region.get("original_width")) for region in regions]
    size_hw = next((size for size in sizes if all(isinstance(side, int) for side in size)), None)
    if collected.add_image(image, place, size_hw):
        add(collected, place, regions)


def _min_choices(task: dict[str, Any]) -> Iterator[Region]:
    """Yield the choices of a JSON-MIN task in the form of JSON."""
    for key, value in task.items():
        if isinstance(value, dict) and isinstance(value.get("choices"), list):
            yield {"type": "choices", "value": value}
        elif key in _CHOICE_NAMES and isinstance(value, str) and value.strip():
            yield {"type": "choices", "value": {"choices": [value]}}


def _image(collected: CollectedAnnotations, reference: str) -> str | None:
    """Return the image that a reference means: a URL, a path of local storage, or the name of an upload."""
    try:
        parts = urlsplit(reference)
        path = parse_qs(parts.query).get("d", [unquote(parts.path)])[0]
    except ValueError:
        path = reference
    folder, _, name = path.replace("\\", "/").rpartition("/")
    names = (path, f"{folder}/{_UPLOAD_PREFIX.sub('', name)}", reference)
    return next((found for each in names if (found := collected.images.find(each)) is not None), None)


def _add_regions(collected: CollectedAnnotations, place: str, regions: list[Region]) -> None:
    points: dict[object, list[Point]] = {}
    instances: list[tuple[str, Region, str]] = []
    for number, region in enumerate(regions):
        where = f"{place}, region {region.get('id', number)}"
        label = region_label(region_value(region))
        if label is None:
            if region_value(region).keys() & {"points", "rle", "width", "radiusX"} and not _is_labeled_twin(
                region, regions
            ):
                collected.note("region without a label: not read", where)
            continue
        if "height" not in region_value(region) and not region_value(region).keys() & {"points", "rle", "radiusX"}:
            if region_value(region).keys() >= {"x", "y"}:
                try:
                    x, y = _fractions(region_value(region), ("x", "y"), collected.size_hw)
                except ValueError as error:
                    collected.faults.add(f"{where}: {error}. Correct it.")
                    continue
                points.setdefault(str(region.get("parentID")), []).append((label, x, y, _visibility(region)))
            continue
        instances.append((where, region, label))
    for where, region, label in instances:
        try:
            instance = _instance(region, collected.size_hw)
        except (ValueError, OverflowError) as error:
            collected.faults.add(f"{where}: {error}. Correct it.")
            continue
        collected.add(label, where, instance, points.get(str(region.get("id")), ()))


def _visibility(region: Region) -> int:
    """Return the visibility of a keypoint: 1 with the text ``hidden``, otherwise 2."""
    meta = region.get("meta")
    text = meta.get("text") if isinstance(meta, dict) else None
    return 1 if isinstance(text, list) and "hidden" in text else 2


def region_value(region: Region) -> dict[str, Any]:
    """Return the value of a region, which JSON-MIN writes into the region itself."""
    value = region.get("value", region)
    return value if isinstance(value, dict) else {}


def region_label(value: dict[str, Any]) -> str | None:
    """Return the first label of a region, under ``rectanglelabels``, ``polygonlabels`` or similar."""
    for key, labels in value.items():
        if key.endswith("labels") and isinstance(labels, list) and labels and str(labels[0]).strip():
            return str(labels[0])
    return None


def _is_labeled_twin(region: Region, regions: list[Region]) -> bool:
    """Return whether another region with the same id has the label, as for the tag ``Labels``."""
    return "id" in region and any(
        other is not region and other.get("id") == region["id"] and region_label(region_value(other)) is not None
        for other in regions
    )


def _instance(region: Region, size_hw: tuple[int, int]) -> dict[str, Any]:
    """Return an instance in COCO's form.

    Raises:
        ValueError: The region is not valid.
    """
    value = region_value(region)
    if region.get("image_rotation"):
        raise ValueError("the image was rotated in Label Studio. Save the rotated image, and annotate that")
    if "rle" in value:
        return mask_instance(decode(value["rle"], size_hw))
    if "points" in value:
        points = value["points"]
        if not isinstance(points, list):
            raise ValueError("'points' is not a list")
        return polygon_instance([np.array(list(_vertices(points, size_hw))).ravel()])
    degrees = value.get("rotation") or 0
    if not isinstance(degrees, int | float):
        raise ValueError(f"'rotation' is {degrees!r}, not a number")
    if "radiusX" in value:
        x, y, radius_x, radius_y = _fractions(value, ("x", "y", "radiusX", "radiusY"), size_hw)
        return polygon_instance([ellipse(x, y, radius_x, radius_y, degrees)])
    if degrees % 360:
        raise ValueError(f"the box is rotated by {degrees:g} degrees. Draw it as a polygon")
    x, y, width, height = _fractions(value, ("x", "y", "width", "height"), size_hw)
    return box(x, y, x + width, y + height)


def _vertices(points: list[Any], size_hw: tuple[int, int]) -> Iterator[list[float]]:
    for point in points:
        if not isinstance(point, list) or len(point) != 2:
            raise ValueError("'points' is not a list of points (x, y)")
        yield _fractions({"x": point[0], "y": point[1]}, ("x", "y"), size_hw)


def _fractions(value: dict[str, Any], keys: tuple[str, ...], size_hw: tuple[int, int]) -> list[float]:
    """Return numbers in percent of the width and height, in turns, as pixels."""
    pixels = []
    for key, side in zip(keys, (size_hw[1], size_hw[0]) * 2, strict=False):
        number = value.get(key)
        if not isinstance(number, int | float) or isinstance(number, bool) or not math.isfinite(number):
            raise ValueError(f"{key!r} is {number!r}, not a number")
        pixels.append(number * side / 100)
    return pixels
