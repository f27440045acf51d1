"""Concatenation of annotations: the parts of a dataset as one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.formats.annotation_file import AnnotationFile, Segmentations
from splitnest.data.formats.categories import merged_categories
from splitnest.data.formats.coco_keypoints import KeypointFile
from splitnest.data.formats.image_folders import ImageList
from splitnest.data.formats.label_map_folders import LabelMapFiles
from splitnest.data.parts import Parts, check_same_names
from splitnest.structures.categories import Categories


def concatenate(
    files: Sequence[AnnotationFile], parts: Parts, model_categories: Categories | None = None
) -> AnnotationFile:
    """Return the images and annotations of several parts in their order.

    Categories of one name are one category; see ``merged_categories``. Ids of images and annotations are kept if they
    are distinct, and counted from 1 otherwise.

    Args:
        files: Annotations of each part in COCO's form.
        parts: Image folders of the parts.
        model_categories: Classes of the model, which have all names; None for any classes.

    Raises:
        DataError: Two parts list the same image or have different lists of class names, or some have annotations and
            others have none.
    """
    parts.check_annotated([file.has_annotations for file in files])
    lists = dict(file.class_list for file in files if file.class_list is not None)
    meaning = "Class numbers mean these names: use the same in all parts."
    check_same_names(list(lists.values()), list(lists), "class names", meaning)
    categories = merged_categories(files, model_categories)
    image_ids = _distinct([file.image_ids for file in files])
    index_of_name = {name: index for index, (_, name) in enumerate(categories)}
    first_image = np.cumsum([0, *(len(file.image_ids) for file in files)])
    category_index = [
        np.array([index_of_name[name] for _, name in file.categories], np.int64)[file.category_index] for file in files
    ]
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(file, name) for file in files])
        for name in ("sizes_hw", "boxes_xywh", "areas", "iscrowd", "lines")
    }
    return replace(
        files[0],
        **columns,
        categories=categories,
        image_ids=image_ids,
        has_new_image_ids=not np.array_equal(image_ids, np.concatenate([file.image_ids for file in files])),
        ids=_distinct([file.ids for file in files]),
        ids_in_files=np.concatenate([file.ids for file in files]),
        file_names=tuple(parts.names([file.file_names for file in files])),
        image_index=np.concatenate([file.image_index + n for file, n in zip(files, first_image[:-1], strict=True)]),
        category_index=np.concatenate(category_index),
        segmentations=_segmentations([file.segmentations for file in files]),
        paths=tuple(
            path
            for file, origin in zip(files, parts.origins, strict=True)
            for path in file.paths or (origin,) * len(file.image_ids)
        ),
        notes=parts.notes([file.notes for file in files]),
    )


def concatenate_keypoints(persons: Sequence[KeypointFile], parts: Parts) -> KeypointFile:
    """Return the persons of several parts in their order; see ``concatenate``."""
    return KeypointFile(
        file=concatenate([each.file for each in persons], parts),
        keypoints=np.concatenate([each.keypoints for each in persons]),
        num_keypoints=np.concatenate([each.num_keypoints for each in persons]),
        head_sizes=np.concatenate([each.head_sizes for each in persons]),
        crowd_indices=np.concatenate([each.crowd_indices for each in persons]),
    )


def concatenate_lists(lists: Sequence[ImageList], parts: Parts) -> ImageList:
    """Return the images and classes of several parts in their order.

    Raises:
        DataError: Two parts have the same image, or some have classes and others have none.
    """
    parts.check_annotated([each.labels is not None for each in lists])
    return ImageList(
        names=parts.names([each.names for each in lists]),
        labels=None if lists[0].labels is None else [label for each in lists for label in each.labels or ()],
        others=tuple(
            f"{name} in {origin}" for each, origin in zip(lists, parts.origins, strict=True) for name in each.others
        ),
    )


def concatenate_label_maps(files: Sequence[LabelMapFiles], parts: Parts) -> LabelMapFiles:
    """Return the images and label maps of several parts in their order.

    Raises:
        DataError: Two parts have the same image, or some have label maps and others have none.
    """
    parts.check_annotated([each.label_maps is not None for each in files])
    names = parts.names([[image.relative_to(each.folder).as_posix() for image in each.images] for each in files])
    notes = parts.notes([{"others": each.others, "unpaired": each.unpaired} for each in files])
    return replace(
        files[0],
        folder=parts.folder,
        images=[parts.folder / name for name in names],
        label_maps=None if files[0].label_maps is None else [path for each in files for path in each.label_maps or ()],
        encodings=[encoding for each in files for encoding in each.encodings],
        others=notes["others"],
        unpaired=notes["unpaired"],
    )


def _distinct(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return all ids, counted from 1 if one occurs twice."""
    ids = np.concatenate(parts)
    return ids if len(np.unique(ids)) == len(ids) else np.arange(1, len(ids) + 1)


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
