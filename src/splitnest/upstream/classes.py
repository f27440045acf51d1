"""Classes of an upstream configuration: named in the file, or those of its dataset."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from splitnest.errors import UsageError
from splitnest.recipe.class_tables import CLASS_TABLES
from splitnest.recipe.file_data import normalized_class_name
from splitnest.structures.class_tables import class_table

_DETECTION = {
    "CocoDataset": "coco",
    "VOCDataset": "voc",
    "CityscapesDataset": "cityscapes_instances",
    "DeepFashionDataset": "deepfashion",
    "LVISDataset": "lvis_v0.5_mmdet",
    "LVISV05Dataset": "lvis_v0.5_mmdet",
    "LVISV1Dataset": "lvis_v1",
    "Objects365V1Dataset": "objects365_v1",
    "Objects365V2Dataset": "objects365_v2",
    "OpenImagesDataset": "openimages",
    "OpenImagesChallengeDataset": "openimages_challenge",
}
_SEMANTIC = {
    "CityscapesDataset": "cityscapes",
    "ADE20KDataset": "ade20k",
    "PascalVOCDataset": "voc_semantic",
    "PascalContextDataset": "pascal_context",
    "PascalContextDataset59": "pascal_context_59",
    "COCOStuffDataset": "coco_stuff_164k",
    "LoveDADataset": "loveda",
    "PotsdamDataset": "potsdam",
    "ISPRSDataset": "vaihingen",
    "iSAIDDataset": "isaid",
    "MapillaryDataset_v1": "mapillary",
}
_DETECTRON2 = {
    "coco": "coco",
    "lvis_v0.5": "lvis_v0.5",
    "lvis_v1": "lvis_v1",
    "cityscapes_fine": "cityscapes_instances",
}
"""Beginning of the name of a dataset of detectron2 -> class table."""

Names = tuple[str, ...]


class Classes(NamedTuple):
    """Classes of a configuration.

    Attributes:
        classes: Name of a class table, or the names in label order.
        palette: RGB color of each class; None for those of the table.
        note: Remark on how they were found; None if the file names them.
    """

    classes: str | Names
    palette: tuple[tuple[int, int, int], ...] | None = None
    note: str | None = None


def names_of(value: Any, where: str) -> Names | None:
    """Return class names as a tuple; None for none.

    Raises:
        UsageError: The value is no list of texts, or lists a name twice.
    """
    if value is None:
        return None
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
        raise UsageError(f"{where}: the class names should be a list of texts.")
    return tuple(names)


def detection_classes(names: Names | None, dataset: str | None, num_classes: int, where: str) -> Classes:
    """Return the classes of a detector of mmdetection; see ``resolved``."""
    return resolved(names, _DETECTION.get(dataset or ""), num_classes, where)


def semantic_classes(
    names: Names | None, palette: Any, dataset: str | None, reduce_zero_label: bool, num_classes: int, where: str
) -> Classes:
    """Return the classes of a segmentor of mmsegmentation; see ``resolved``.

    COCO-Stuff 10k and 164k have the same names, and differ in ``reduce_zero_label``.
    """
    table = _SEMANTIC.get(dataset or "")
    if num_classes == CLASS_TABLES["coco_stuff_10k"]:
        table = "coco_stuff_10k" if reduce_zero_label else "coco_stuff_164k"
    if table == "mapillary" and names is not None and len(names) == num_classes + 1:
        names = names[:num_classes]  # the last one, "Unlabeled", has no output
    found = resolved(names, table, num_classes, where)
    colors = _colors(palette, num_classes)
    return found if isinstance(found.classes, str) else found._replace(palette=colors)


def detectron2_classes(names: Names | None, datasets: Sequence[str], num_classes: int, where: str) -> Classes:
    """Return the classes of a detector of detectron2; see ``resolved``."""
    name = next((str(name) for name in datasets), "")
    return resolved(names, detectron2_table(name), num_classes, where)


def detectron2_table(dataset: str) -> str | None:
    """Return the table of the thing classes of a dataset of detectron2; None if splitnest does not know it."""
    return next((table for start, table in _DETECTRON2.items() if dataset.startswith(f"{start}_")), None)


def resolved(names: Names | None, table: str | None, num_classes: int, where: str) -> Classes:
    """Return a class table, or names.

    Args:
        names: Names in the file; None if it has none.
        table: Class table of the dataset that the configuration names; None if splitnest does not know it.
        num_classes: Number of classes of the network.
        where: Name of the configuration in messages.

    Raises:
        UsageError: The file names another number of classes.
    """
    if names is not None and len(names) != num_classes:
        raise UsageError(f"{where}: the network has {num_classes} classes, and {len(names)} names are given.")
    if names is not None:
        tables = [table] if table else []
        return Classes(next((one for one in (*tables, *_TABLES) if _is_table(names, one)), names))
    if table is not None and CLASS_TABLES[table] == num_classes:
        return Classes(table, note=f"classes: those of {table}, as the file has no names")
    generic = tuple(f"class {number}" for number in range(1, num_classes + 1))
    return Classes(
        generic, note=f"classes: {num_classes} without names; set data.classes to their names in label order"
    )


_TABLES = tuple(table for table in CLASS_TABLES if table not in ("imagenet", "coco_stuff"))
"""Class tables that names are compared with."""


def _is_table(names: Names, table: str) -> bool:
    known = class_table(table).names if CLASS_TABLES[table] == len(names) else ()
    return bool(known) and all(
        normalized_class_name(one) == normalized_class_name(other) for one, other in zip(known, names, strict=True)
    )


def _colors(palette: Any, num_classes: int) -> tuple[tuple[int, int, int], ...] | None:
    """Return a palette of RGB colors; None if it is none of the classes."""
    if not isinstance(palette, list | tuple) or len(palette) != num_classes:
        return None
    rows = [tuple(row) if isinstance(row, list | tuple) else () for row in palette]
    is_color = all(len(row) == 3 and all(isinstance(x, int) and 0 <= x <= 255 for x in row) for row in rows)
    return tuple((red, green, blue) for red, green, blue in rows) if is_color else None
