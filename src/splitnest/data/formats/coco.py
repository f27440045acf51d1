"""Reader of COCO detection annotations."""

from pathlib import Path
from typing import Any

import numpy as np

from splitnest.data.formats.annotation_columns import AnnotationColumns, from_columns
from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.coco_json import check_unique, convert, integer, list_of, read_annotations, read_images


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
