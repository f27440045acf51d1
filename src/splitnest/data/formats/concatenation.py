"""Concatenation of annotation files: several files as one dataset."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.formats.annotation_file import AnnotationFile, Segmentations
from splitnest.errors import DataError


def concatenate(files: Sequence[AnnotationFile], folders: Sequence[str], origins: Sequence[str]) -> AnnotationFile:
    """Return the images and annotations of several files in their order.

    Categories of one name are one category, with the id of the first file that has it. Ids of images and annotations
    are kept if they are distinct, and counted from 1 otherwise.

    Args:
        files: Annotations in COCO's form.
        folders: Image folder of each file, which precedes its file names.
        origins: Name of each file in messages.

    Raises:
        DataError: Two files list the same image, or some have annotations and others have none.
    """
    for file, origin in zip(files, origins, strict=True):
        if file.has_annotations != files[0].has_annotations:
            with_annotations, without = (origins[0], origin) if files[0].has_annotations else (origin, origins[0])
            raise DataError(f"{without} has no annotations, but {with_annotations} has. Give files of one kind.")
    names = [_names(file, folder) for file, folder in zip(files, folders, strict=True)]
    _check_distinct(names, origins)
    categories = _categories(files)
    index_of_name = {name: index for index, (_, name) in enumerate(categories)}
    first_image = np.cumsum([0, *(len(file.image_ids) for file in files)])
    category_index = [
        np.array([index_of_name[name] for _, name in file.categories], np.int64)[file.category_index] for file in files
    ]
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(file, name) for file in files])
        for name in ("sizes_hw", "boxes_xywh", "areas", "iscrowd")
    }
    return replace(
        files[0],
        **columns,
        categories=categories,
        image_ids=_distinct([file.image_ids for file in files]),
        ids=_distinct([file.ids for file in files]),
        file_names=tuple(name for each in names for name in each),
        image_index=np.concatenate([file.image_index + n for file, n in zip(files, first_image[:-1], strict=True)]),
        category_index=np.concatenate(category_index),
        segmentations=_segmentations([file.segmentations for file in files]),
        notes={
            kind: tuple(line for file in files for line in file.notes.get(kind, ()))
            for kind in dict.fromkeys(kind for file in files for kind in file.notes)
        },
    )


def _names(file: AnnotationFile, folder: str) -> list[str]:
    return [str(PurePosixPath(folder) / name) for name in file.file_names]


def _check_distinct(names: Sequence[Sequence[str]], origins: Sequence[str]) -> None:
    """Raise a DataError if two files list the same image."""
    first: dict[str, str] = {}
    for of_file, origin in zip(names, origins, strict=True):
        for name in of_file:
            if first.setdefault(name, origin) != origin:
                raise DataError(
                    f"{name} is listed by both {first[name]} and {origin}. Give each image to one file, with all of "
                    f"its annotations."
                )


def _distinct(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return all ids, counted from 1 if one occurs twice."""
    ids = np.concatenate(parts)
    return ids if len(np.unique(ids)) == len(ids) else np.arange(1, len(ids) + 1)


def _categories(files: Sequence[AnnotationFile]) -> tuple[tuple[int, str], ...]:
    """Return (id, name) of the categories of all files, sorted by id."""
    id_of: dict[str, int] = {}
    for file in files:
        for id_, name in file.categories:
            if name not in id_of:
                id_of[name] = id_ if id_ not in id_of.values() else max(id_of.values()) + 1
    return tuple(sorted((id_, name) for name, id_ in id_of.items()))


def _segmentations(parts: Sequence[Segmentations]) -> Segmentations:
    def ends(name: str, counted: str) -> NDArray[np.int64]:
        first = np.cumsum([0, *(len(getattr(part, counted)) for part in parts)])
        return np.concatenate([getattr(part, name) + n for part, n in zip(parts, first[:-1], strict=True)])

    return Segmentations(
        coordinates=np.concatenate([part.coordinates for part in parts]),
        polygon_ends=ends("polygon_ends", "coordinates"),
        annotation_ends=ends("annotation_ends", "polygon_ends"),
        rle_counts=np.concatenate([part.rle_counts for part in parts]),
        rle_ends=ends("rle_ends", "rle_counts"),
        rle_sizes=np.concatenate([part.rle_sizes for part in parts]),
    )
