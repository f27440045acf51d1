"""Reader of COCO detection annotations."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from splitnest.data.formats.annotation_columns import AnnotationColumns, from_columns
from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.categories import merged_categories
from splitnest.data.formats.coco_json import check_unique, convert, integer, list_of, read_annotations, read_images
from splitnest.data.paths import existing_folder, required_path
from splitnest.recipe import Split
from splitnest.recipe.data import CocoData
from splitnest.structures.categories import Categories


def read_part(data: CocoData, split: Split, categories: Categories) -> tuple[Path, AnnotationFile, Path]:
    """Return the image folder of a part, its annotations, and their file."""
    images = required_path(data, f"{split}_images", "the image folder")
    annotations = required_path(data, f"{split}_annotations", "the annotation file")
    file = read_coco(annotations)
    return existing_folder(images, "images"), file, annotations


def class_names(parts: Sequence[tuple[CocoData, Split]]) -> tuple[list[str], list[str]]:
    """Return the names of the categories with annotations in the order of their ids, and a note on the others."""
    paths = [required_path(part, f"{split}_annotations", "the annotation file") for part, split in parts]
    files = [read_coco(path) for path in dict.fromkeys(paths)]
    used = {file.categories[index][1] for file in files for index in set(file.category_index.tolist())}
    unused = [f"{name} (id {id_})" for id_, name in merged_categories(files) if name not in used]
    categories = merged_categories([file.without_unused(used) for file in files])
    notes = [f"data.classes=file: categories without annotations are left out: {', '.join(unused)}"] if unused else []
    return [name for _, name in categories if name in used], notes


def read_coco(path: str | Path) -> AnnotationFile:
    """Read a COCO detection file. Ids are integers, or integers written as strings; unknown keys are ignored.

    Raises:
        DataError: The file does not exist or is not valid COCO JSON, an id occurs twice, or an annotation refers to an
            image or a category that the file does not list.
    """
    return checked_content(path, *read_annotations(path, AnnotationColumns))


def checked_content(path: str | Path, content: dict[str, Any], columns: AnnotationColumns) -> AnnotationFile:
    """Return the validated content of a file.

    Args:
        path: Path of the file, for messages.
        content: Content of the file except for the annotations.
        columns: Annotations of the file.

    Raises:
        DataError: Same conditions as ``read_coco``.
    """
    images = read_images(path, content)
    categories = [
        convert(path, "categories", row, item, lambda item: (integer(item, "id"), str(item["name"])))
        for row, item in enumerate(list_of(path, content, "categories"))
    ]
    check_unique(path, "category", np.array([id_ for id_, _ in categories], np.int64))
    check_unique(path, "annotation", np.asarray(columns.ids))
    return from_columns(path, images, sorted(categories), columns, has_annotations="annotations" in content)
