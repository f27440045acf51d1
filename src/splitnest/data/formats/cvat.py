"""Reader of CVAT's own XML: "CVAT for images 1.1" and "CVAT for video 1.1", one file for all images.

Source: CVAT, section "CVAT format" of its documentation, and ``cvat/apps/dataset_manager/formats/cvat.py``.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.categories import names_in
from splitnest.data.formats.collected import CollectedAnnotations
from splitnest.data.formats.keypoint_points import Point, Points
from splitnest.data.formats.shapes import box, ellipse, mask_instance, pasted, polygon_instance
from splitnest.data.formats.xml_elements import Element, parse_elements
from splitnest.data.images.limits import MAX_PIXELS
from splitnest.data.paths import required_path
from splitnest.errors import DataError
from splitnest.recipe import Split
from splitnest.recipe.data import CvatData
from splitnest.structures.categories import Categories

_INSTANCES = ("box", "polygon", "mask", "ellipse")
_NOT_INSTANCES = ("polyline", "points", "cuboid", "tag")
_CROWD_ATTRIBUTES = ("is_crowd", "iscrowd", "difficult")


def read_part(data: CvatData, split: Split, categories: Categories | None) -> tuple[Path, AnnotationFile, Path]:
    """Return the image folder of a part, its annotations, and their file; None takes the classes of the files."""
    images = required_path(data, f"{split}_images", "the image folder")
    source = required_path(data, f"{split}_annotations", "the annotation file")
    return images, read_cvat(source, images, categories), source


def class_names(parts: Sequence[tuple[CvatData, Split]]) -> tuple[list[str], list[str]]:
    """Return the names in the files of all parts, without notes."""
    return names_in(read_part(part, split, None)[1] for part, split in parts), []


def read_cvat(source: str | Path, images_dir: str | Path, categories: Categories | None = None) -> AnnotationFile:
    """Read an annotation file.

    Boxes, polygons, masks and ellipses are instances. Instances with an attribute ``is_crowd`` or ``difficult`` become
    crowd regions. Polylines, cuboids and tags have no area and are noted.

    Args:
        source: XML file.
        images_dir: Image folder. Images that the file does not name, and frames of a video, are matched by their
            numbers.
        categories: Classes of the model; None takes those of the file with instances, in the order of its labels.

    Raises:
        DataError: The file cannot be read or is not of CVAT, or an instance is not valid or has an unknown class.
    """
    return collect_cvat(source, images_dir, categories)[0]


def collect_cvat(
    source: str | Path, images_dir: str | Path, categories: Categories | None = None
) -> tuple[AnnotationFile, Points]:
    """Return the annotations of a file with the keypoints of skeletons; see ``read_cvat``."""
    source = Path(source)
    collected = CollectedAnnotations(source, Path(images_dir), categories)
    labels: list[str] = []
    tracks: dict[int, list[tuple[Element, str]]] = {}
    sizes: list[tuple[int, int]] = []

    def take_meta(meta: Element) -> None:
        for job in meta.children:
            labels.extend(_labels(job))
            if (size := job.first("original_size")) is not None:
                with_sides = {child.tag: child.text for child in size.children}
                sizes.append((int(_number(with_sides, "height")), int(_number(with_sides, "width"))))

    def take_image(image: Element) -> None:
        try:
            _add_image(collected, source, image)
        except ValueError as error:
            collected.faults.add(f"{source}, line {image.line}: {error}. Correct it.")

    def take_track(track: Element) -> None:
        for shape in track.children:
            if shape.attributes.get("outside") != "1" and (frame := shape.attributes.get("frame", "")).isdecimal():
                tracks.setdefault(int(frame), []).append((shape, track.attributes.get("label", "")))

    take = {"meta": take_meta, "image": take_image, "track": take_track}
    try:
        root = parse_elements(source, "an XML file of CVAT", take)
    except ValueError as error:
        raise DataError(f"{source} is not valid: {error}. Correct it.") from error
    if root.tag != "annotations":
        raise DataError(f"{source} is not an XML file of CVAT: its root element is {root.tag}, not annotations.")
    if tracks:
        _add_frames(collected, source, tracks, sizes[0] if sizes else None)
    collected.without_images("image that the XML file does not name: not read")
    return collected.file(labels), collected.points


def _labels(job: Element) -> Iterator[str]:
    """Yield the names of the labels of a task, a project or a job, without the parts of skeletons."""
    for holder in (job, *job.all("project")):
        for labels in holder.all("labels"):
            for label in labels.all("label"):
                name = label.first("name")
                if name is not None and label.first("parent") is None:
                    yield name.text


def _add_image(collected: CollectedAnnotations, source: Path, image: Element) -> None:
    """Add an image and its instances.

    Raises:
        ValueError: The image has no name, or its size is not a number.
    """
    place = f"{source}, line {image.line}"
    name = image.attributes.get("name", "")
    if not name:
        raise ValueError("this image has no name")
    found = collected.images.find(name)
    if found is None:
        collected.note("image of the XML file that does not exist: not read", name)
        return
    size_hw = int(_number(image.attributes, "height")), int(_number(image.attributes, "width"))
    if collected.add_image(found, place, size_hw):
        for parts, skeleton in _by_group(image):
            _add_instance(collected, source, parts, parts[0].attributes.get("label", ""), skeleton)


def _by_group(image: Element) -> Iterator[tuple[list[Element], Element | None]]:
    """Yield the shapes of each instance, and its skeleton if that is another shape.

    Polygons of one label and group are parts of one instance, as in CVAT's COCO export. A skeleton belongs to the only
    other instance of its label and group.
    """
    groups: dict[tuple[str, str], list[list[Element]]] = {}
    skeletons: dict[tuple[str, str], list[Element]] = {}
    for number, shape in enumerate(image.children):
        group = shape.attributes.get("group_id", "0")
        key = (shape.attributes.get("label", ""), group) if group not in ("", "0") else ("", f"shape {number}")
        instances = groups.setdefault(key, [])
        if shape.tag == "skeleton":
            skeletons.setdefault(key, []).append(shape)
        elif shape.tag == "polygon" and instances and instances[-1][0].tag == "polygon":
            instances[-1].append(shape)
        else:
            instances.append([shape])
    for key, instances in groups.items():
        own = skeletons.get(key, [])
        if len(instances) == 1 and len(own) == 1 and instances[0][0].tag in _INSTANCES:
            yield instances[0], own[0]
        else:
            yield from ((parts, None) for parts in [*instances, *([each] for each in own)])


def _add_frames(
    collected: CollectedAnnotations,
    source: Path,
    tracks: Mapping[int, list[tuple[Element, str]]],
    size_hw: tuple[int, int] | None,
) -> None:
    """Add the instances of a video's tracks to the images with the numbers of their frames."""
    of_number: dict[int, str] = {}
    for name in collected.images.names:
        if match := re.search(r"(\d{1,18})$", PurePosixPath(name).stem):
            of_number.setdefault(int(match[1]), name)
    for frame in sorted(tracks):
        if frame not in of_number:
            collected.note("frame of the XML file without an image: not read", f"frame {frame}")
        elif collected.add_image(of_number[frame], f"{source}, frame {frame}", size_hw):
            for shape, label in tracks[frame]:
                _add_instance(collected, source, [shape], label)


def _add_instance(
    collected: CollectedAnnotations, source: Path, parts: list[Element], label: str, skeleton: Element | None = None
) -> None:
    """Add the instance of one shape, or of several polygons.

    Args:
        collected: Annotations.
        source: File, for messages.
        parts: Shapes.
        label: Class name.
        skeleton: Skeleton with the keypoints of the instance; None takes those of a shape that is one.
    """
    shape = parts[0]
    place = f"{source}, line {shape.line}"
    if shape.tag in _NOT_INSTANCES:
        collected.note(f"{shape.tag} of CVAT, which has no area: not read", place)
        return
    if shape.tag not in (*_INSTANCES, "skeleton"):
        return
    if not label.strip():
        collected.faults.add(f"{place}: this {shape.tag} has no label. Add it.")
        return
    try:
        skeleton = shape if shape.tag == "skeleton" else skeleton
        points = [] if skeleton is None else _keypoints(skeleton)
        if shape.tag == "polygon":
            instance = polygon_instance([np.array(_points(part.attributes)).ravel() for part in parts])
        else:
            instance = _around(points) if shape.tag == "skeleton" else _instance(shape, collected.size_hw)
    except (ValueError, OverflowError) as error:
        collected.faults.add(f"{place}: {error}. Correct it.")
        return
    attributes = {child.attributes.get("name", ""): child.text.lower() for child in shape.all("attribute")}
    instance["iscrowd"] = int(any(attributes.get(name) in ("true", "1") for name in _CROWD_ATTRIBUTES))
    collected.add(label, place, instance, points)


def _instance(shape: Element, size_hw: tuple[int, int]) -> dict[str, Any]:
    """Return an instance in COCO's form.

    Raises:
        ValueError: The shape is not valid.
    """
    values = shape.attributes
    degrees = _number(values, "rotation") if "rotation" in values else 0.0
    match shape.tag:
        case "box":
            if degrees % 360:
                raise ValueError(f"the box is rotated by {degrees:g} degrees. Draw it as a polygon")
            return box(*(_number(values, key) for key in ("xtl", "ytl", "xbr", "ybr")))
        case "ellipse":
            x, y, radius_x, radius_y = (_number(values, key) for key in ("cx", "cy", "rx", "ry"))
            return polygon_instance([ellipse(x, y, radius_x, radius_y, degrees)])
        case _:
            left, top = int(_number(values, "left")), int(_number(values, "top"))
            return mask_instance(pasted(_mask(values), left, top, size_hw))


def _keypoints(skeleton: Element) -> list[Point]:
    """Return the keypoints of a skeleton that are labeled."""
    found: list[Point] = []
    for point in skeleton.all("points"):
        if point.attributes.get("outside") != "1":
            (x, y), *_ = _points(point.attributes)
            visible = 1 if point.attributes.get("occluded") == "1" else 2
            found.append((point.attributes.get("label", ""), x, y, visible))
    return found


def _around(points: list[Point]) -> dict[str, Any]:
    """Return an instance with the box around keypoints."""
    if not points:
        raise ValueError("the skeleton has no point inside the image")
    x, y = [point[1] for point in points], [point[2] for point in points]
    return box(min(x), min(y), max(x), max(y))


def _points(values: Mapping[str, str]) -> list[tuple[float, float]]:
    """Return points (x, y) that are written as ``x,y;x,y``."""
    points: list[tuple[float, float]] = []
    for text in values.get("points", "").split(";"):
        try:
            x, y = map(float, text.split(","))
        except ValueError as error:
            raise ValueError(f"the point {text!r} is not two numbers, as in 12.5,30") from error
        points.append((x, y))
    return points


def _mask(values: Mapping[str, str]) -> NDArray[np.bool_]:
    """Return a mask of a part of the image, from the lengths of runs, row by row and beginning with background."""
    width, height = int(_number(values, "width")), int(_number(values, "height"))
    if not 0 < width * height <= MAX_PIXELS or width < 1:
        raise ValueError(f"the mask has {width} x {height} pixels")
    try:
        counts = np.array([int(text) for text in values.get("rle", "").split(",")], np.int64)
    except ValueError as error:
        raise ValueError("'rle' is not a list of integers, as in 4, 12, 4") from error
    if (counts < 0).any() or (counts > width * height).any() or counts.sum() != width * height:
        raise ValueError(f"the runs of 'rle' have {counts.sum()} pixels, and the mask has {width} x {height}")
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(height, width)


def _number(values: Mapping[str, str], key: str) -> float:
    """Return a finite number.

    Raises:
        ValueError: The number is absent, or not finite.
    """
    try:
        value = float(values[key])
    except KeyError as error:
        raise ValueError(f"there is no {key!r}") from error
    except ValueError as error:
        raise ValueError(f"{key!r} is {values[key]!r}, not a number") from error
    if not math.isfinite(value):
        raise ValueError(f"{key!r} is {values[key]!r}, not a finite number")
    return value
