"""Recognition of datasets of boxes and polygons, once the annotations of their splits are read."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from splitnest.data.formats.annotation_file import AnnotationFile, span
from splitnest.data.recognition.recognized import Recognized, content_of
from splitnest.errors import DataError, first_few
from splitnest.recipe import Task
from splitnest.recipe.class_tables import CLASS_TABLES
from splitnest.structures.class_tables import class_table

MIN_TABLE_CLASSES = 15
"""Number of classes from which names are compared with those of published datasets."""

_SEMANTIC_TABLES = frozenset({"imagenet", "coco_stuff", "cityscapes", "ade20k"})


def recognized_instances(
    format_name: str,
    root: Path,
    data: dict[str, Any],
    files: Sequence[AnnotationFile | None],
    assumed: Sequence[str],
    *,
    class_order: Sequence[str] | None = None,
    all_names: Sequence[Sequence[str] | None] = (None, None),
    num_read: Sequence[int | None] = (None, None),
) -> Recognized:
    """Return a dataset of boxes or polygons.

    Args:
        format_name: Name of the format for people.
        root: Folder of the dataset.
        data: Keys of the data section.
        files: Annotations of the training split, and of the validation split or None.
        assumed: Assumptions made so far, a sentence each.
        class_order: Class names in label order, used or not; None takes those with instances, by category id.
        all_names: Names of all images of each split, where ``files`` have a sample.
        num_read: Number of images of each sample.

    Raises:
        DataError: A split has no images or no instances, or the validation split has classes of its own.
    """
    train, val = files
    assert train is not None
    check_not_empty(train, root, "training", data.get("train_annotations", data.get("train_images")))
    if val is not None:
        check_not_empty(val, root, "validation", data.get("val_annotations", data.get("val_images")))
    used = [_used(file) for file in files if file is not None]
    if len(used) == 2:
        check_classes(used[0], used[1])
    notes = list(assumed)
    value: str | None = None
    if class_order is None:
        names = list(dict.fromkeys(name for file in files if file is not None for _, name in file.categories))
        value = _table(train)
        if value is not None:
            classes = class_table(value).names
        else:
            classes = tuple(name for name in names if any(name in counts for counts in used))
            if unused := [name for name in names if name not in classes]:
                notes.append(f"categories without annotations are left out: {first_few(unused)}")
    else:
        classes = tuple(class_order)
    task, task_notes = _task(train)
    contents = [
        None if file is None else content_of(file, classes, names_of, count)
        for file, names_of, count in zip(files, all_names, num_read, strict=True)
    ]
    assert contents[0] is not None
    notes += task_notes
    notes += [f"{kind}: {len(cases)} ({first_few(cases)})" for kind, cases in _notes(files).items()]
    return Recognized(format_name, task, root, data, classes, contents[0], contents[1], value, assumed=tuple(notes))


def check_not_empty(file: AnnotationFile, root: Path, split: str, where: object) -> None:
    """Raise a DataError if a split has no images or no instances."""
    place = root / str(where) if isinstance(where, str) else root
    if not len(file.image_ids):
        raise DataError(
            f"The {split} split is empty: {place} has no annotated images. Add images with annotations, or remove the "
            f"split's folder or file, so that a part of the other images is taken."
        )
    if not len(file.ids):
        raise DataError(
            f"The {split} split has {len(file.image_ids)} images and no instances in {place}. Correct the annotations, "
            f"or remove the split's folder or file."
        )


def check_classes(train: Counter[str], val: Counter[str]) -> None:
    """Raise a DataError if the validation split has classes that the training split lacks.

    Args:
        train, val: Number of instances, or of images, of each class.
    """
    only = {name: count for name, count in val.items() if name not in train}
    if not only:
        return
    raise DataError(
        f"The splits have different classes: only validation has "
        f"{first_few([f'{name!r} ({count} times)' for name, count in only.items()])}, and training has "
        f"{first_few([*map(repr, train)])}. Write the same names in both, or move images of these classes to training."
    )


def _used(file: AnnotationFile) -> Counter[str]:
    counts = np.bincount(file.category_index, minlength=len(file.categories)).tolist()
    return Counter({name: count for (_, name), count in zip(file.categories, counts, strict=True) if count})


def _table(file: AnnotationFile) -> str | None:
    """Return the class table with the same ids and names as a file; None without one."""
    if len(file.categories) < MIN_TABLE_CLASSES:
        return None
    for name, count in CLASS_TABLES.items():
        if count == len(file.categories) and name not in _SEMANTIC_TABLES:
            table = class_table(name)
            if tuple(zip(table.ids, table.names, strict=True)) == file.categories:
                return name
    return None


def _task(file: AnnotationFile) -> tuple[Task, list[str]]:
    """Return the task that the annotations are for, and notes."""
    counted = ~file.iscrowd
    has_mask = (file.segmentations.is_rle() | (file.segmentations.num_valid_polygons() > 0))[counted]
    if not has_mask.any() or _are_boxes(file):
        return "detection", []
    if has_mask.all():
        return "instance", []
    note = (
        f"{int((~has_mask).sum())} of {len(has_mask)} instances have a box and no polygon: a detector of boxes is "
        f"trained; for masks give all instances polygons"
    )
    return "detection", [note]


def _are_boxes(file: AnnotationFile) -> bool:
    """Return whether all polygons are the rectangles of the boxes, as some tools export boxes."""
    masks = file.segmentations
    if masks.is_rle().any() or (np.diff(masks.polygon_ends, prepend=0) > 10).any() or (masks.num_polygons() > 1).any():
        return False
    for row in range(len(file.ids)):
        for polygon in range(len(masks.polygon_ends))[span(masks.annotation_ends, row)]:
            points = masks.coordinates[span(masks.polygon_ends, polygon)]
            x, y, width, height = file.boxes_xywh[row].tolist()
            sides = np.array([x, y, x + width, y + height])
            near = [np.isclose(points[axis::2, None], sides[axis::2], atol=1).any(axis=1).all() for axis in (0, 1)]
            if not all(near) or len(points) < 8:
                return False
    return True


def _notes(files: Sequence[AnnotationFile | None]) -> dict[str, list[str]]:
    notes: dict[str, list[str]] = {}
    for file in files:
        for kind, cases in ({} if file is None else file.notes).items():
            notes.setdefault(kind, []).extend(case for case in cases if case not in notes.get(kind, ()))
    return {kind: cases for kind, cases in notes.items() if cases}
