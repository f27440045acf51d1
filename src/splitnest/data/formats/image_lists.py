"""Lists of image names that limit a split of a dataset: a text file with a name in each line."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from splitnest.data.formats.annotation_file import AnnotationFile, Segmentations
from splitnest.data.formats.coco_keypoints import KeypointFile
from splitnest.data.formats.image_folders import ImageList
from splitnest.data.formats.label_map_folders import LabelMapFiles
from splitnest.errors import DataError, cannot_read, first_few
from splitnest.files import open_text


def listed_rows(path: Path, names: Sequence[str]) -> NDArray[np.int64]:
    """Return the indices of the images that a list names, in the order of the list.

    A line is a name as ``names`` has it, a path that ends with it, or either without suffix.

    Args:
        path: List.
        names: Names of all images, relative to the image folder.

    Raises:
        DataError: The list cannot be read, is empty, or names an image that does not exist or twice.
    """
    try:
        with open_text(path) as file:
            lines = file.read().splitlines()
    except OSError as error:
        raise DataError(cannot_read(path, error, "a list of image names")) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text. Give a list of image names, one in a line.") from error
    row_of = {str(PurePosixPath(name).with_suffix("")): row for row, name in reversed(list(enumerate(names)))}
    row_of |= {name: row for row, name in enumerate(names)}
    rows: dict[int, int] = {}
    for number, line in enumerate(lines, start=1):
        if not (text := line.strip()):
            continue
        row = _row(text, row_of)
        if row is None:
            raise DataError(
                f"{path}, line {number}: {text} is not one of the {len(names)} images: {first_few(names)}. Correct the "
                f"name, or remove the line."
            )
        if row in rows:
            raise DataError(f"{path}, line {number}: {text} is listed before, in line {rows[row]}. Remove one.")
        rows[row] = number
    if not rows:
        raise DataError(f"{path} lists no images. Write their names, one in a line, or remove the key of the recipe.")
    return np.array(list(rows), np.int64)


def _row(text: str, row_of: dict[str, int]) -> int | None:
    parts = [part for part in text.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    for first in range(len(parts)):
        name = "/".join(parts[first:])
        for known in (name, str(PurePosixPath(name).with_suffix(""))):
            if known in row_of:
                return row_of[known]
    return None


def limited_annotations(file: AnnotationFile, path: Path) -> AnnotationFile:
    """Return the images of a list and their annotations, in the order of the list; see ``listed_rows``."""
    return _annotations_of(file, listed_rows(path, file.file_names))[0]


def limited_keypoints(persons: KeypointFile, path: Path) -> KeypointFile:
    """Return the images of a list and their persons; see ``limited_annotations``."""
    images = listed_rows(path, persons.file.file_names)
    file, rows = _annotations_of(persons.file, images)
    return KeypointFile(
        file,
        persons.keypoints[rows],
        persons.num_keypoints[rows],
        persons.head_sizes[rows],
        persons.crowd_indices[images],
    )


def limited_images(images: ImageList, path: Path) -> ImageList:
    """Return the images of a list and their classes; see ``listed_rows``."""
    rows = listed_rows(path, images.names).tolist()
    labels = None if images.labels is None else [images.labels[row] for row in rows]
    return replace(images, names=[images.names[row] for row in rows], labels=labels)


def limited_label_maps(files: LabelMapFiles, path: Path) -> LabelMapFiles:
    """Return the images of a list and their label maps; see ``listed_rows``."""
    rows = listed_rows(path, [image.relative_to(files.folder).as_posix() for image in files.images]).tolist()
    maps = None if files.label_maps is None else [files.label_maps[row] for row in rows]
    encodings = [files.encodings[row] for row in rows]
    images = [files.images[row] for row in rows]
    return replace(files, images=images, label_maps=maps, encodings=encodings, unpaired=())


def _annotations_of(file: AnnotationFile, images: NDArray[np.int64]) -> tuple[AnnotationFile, NDArray[np.int64]]:
    """Return some images with their annotations, grouped by image, and the rows of the annotations."""
    place = np.full(len(file.image_ids), -1, np.int64)
    place[images] = np.arange(len(images))
    rows = np.flatnonzero(place[file.image_index] >= 0)
    rows = rows[np.argsort(place[file.image_index[rows]], kind="stable")]
    columns = {key: getattr(file, key)[rows] for key in ("ids", "category_index", "boxes_xywh", "areas", "iscrowd")}
    return (
        replace(
            file,
            **columns,
            image_ids=file.image_ids[images],
            file_names=tuple(file.file_names[image] for image in images.tolist()),
            sizes_hw=file.sizes_hw[images],
            image_index=place[file.image_index[rows]],
            segmentations=_segmentations_of(file.segmentations, rows),
            paths=tuple(file.paths[image] for image in images.tolist()) if file.paths else (),
            lines=file.lines[rows] if len(file.lines) else file.lines,
            ids_in_files=file.ids_in_files[rows] if len(file.ids_in_files) else file.ids_in_files,
        ),
        rows,
    )


def _segmentations_of(masks: Segmentations, rows: NDArray[np.int64]) -> Segmentations:
    polygons, annotation_ends = _gathered(masks.annotation_ends, rows)
    coordinates, polygon_ends = _gathered(masks.polygon_ends, polygons)
    counts, rle_ends = _gathered(masks.rle_ends, rows)
    return Segmentations(
        coordinates=masks.coordinates[coordinates],
        polygon_ends=polygon_ends,
        annotation_ends=annotation_ends,
        rle_counts=masks.rle_counts[counts],
        rle_ends=rle_ends,
        rle_sizes=masks.rle_sizes[rows],
    )


def _gathered(ends: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the elements of some rows, given the end of each row, and the new ends."""
    lengths = np.diff(ends, prepend=0)[rows]
    new_ends = np.cumsum(lengths)
    starts = ends[rows] - lengths
    return np.repeat(starts - (new_ends - lengths), lengths) + np.arange(int(lengths.sum())), new_ends
