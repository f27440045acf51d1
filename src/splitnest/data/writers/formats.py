"""Formats of datasets and results that can be written, and what each can hold."""

from collections.abc import Iterable
from typing import Literal

from splitnest.data.writers.classes import ClassFolderWriter, ClassListWriter
from splitnest.data.writers.coco import CocoWriter, RoboflowWriter
from splitnest.data.writers.coco_panoptic import CocoPanopticWriter
from splitnest.data.writers.crops import CropWriter
from splitnest.data.writers.cvat import CvatWriter
from splitnest.data.writers.dataset_writer import DatasetWriter
from splitnest.data.writers.label_maps import LabelMapWriter
from splitnest.data.writers.label_studio import LabelStudioWriter
from splitnest.data.writers.labelme import LabelmeWriter
from splitnest.data.writers.masks import MaskWriter
from splitnest.data.writers.tables import CsvWriter, ParquetWriter
from splitnest.data.writers.voc import VocWriter
from splitnest.data.writers.yolo import YoloWriter
from splitnest.errors import UsageError

DATASET_FORMATS: dict[str, type[DatasetWriter]] = {
    "coco": CocoWriter,
    "yolo": YoloWriter,
    "voc": VocWriter,
    "labelme": LabelmeWriter,
    "cvat": CvatWriter,
    "label_studio": LabelStudioWriter,
}
"""Writers of datasets with their images, of ground truth and of results."""

EDITED_FORMATS: dict[str, type[DatasetWriter]] = {
    **DATASET_FORMATS,
    "roboflow": RoboflowWriter,
    "label_maps": LabelMapWriter,
    "coco_panoptic": CocoPanopticWriter,
    "class_folders": ClassFolderWriter,
    "csv": ClassListWriter,
}
"""Writers of datasets that are converted, split and merged."""

AnnotationKind = Literal["instances", "label maps", "panoptic segments", "classes of images"]
"""Kind of the annotations of a dataset."""

_OF_MASKS = ("coco", "yolo", "labelme", "cvat", "label_studio", "roboflow", "label_maps")

_HOLDS: dict[AnnotationKind, tuple[str, ...]] = {
    "instances": (*DATASET_FORMATS, "roboflow", "label_maps"),
    "label maps": _OF_MASKS,
    "panoptic segments": (*_OF_MASKS, "coco_panoptic"),
    "classes of images": ("class_folders", "csv"),
}
"""Kind of annotations -> formats that have a place for them."""

PICTURE_FORMATS: dict[str, type[DatasetWriter]] = {"crops": CropWriter, "masks": MaskWriter}
"""Writers of image files that are made of results."""

TABLE_FORMATS: dict[str, type[CsvWriter | ParquetWriter]] = {"csv": CsvWriter, "parquet": ParquetWriter}
"""Writers of tables."""

FORMATS = (*DATASET_FORMATS, *PICTURE_FORMATS, *TABLE_FORMATS)

_CANNOT_HOLD = {
    "classification": {*DATASET_FORMATS, *PICTURE_FORMATS},
    "semantic": {"voc", "crops"},
    "panoptic": {"voc"},
    "detection": {"masks"},
    "pose": {"masks"},
}
"""Task -> formats that have no place for its results."""

_RESULTS = {
    "classification": "class probabilities",
    "semantic": "the class of each pixel",
    "panoptic": "segments",
    "detection": "boxes without masks",
    "pose": "keypoints",
}


def parse_formats(text: str) -> list[str]:
    """Return the formats of a list with commas, without repetitions.

    Raises:
        UsageError: A format does not exist.
    """
    names = [name.strip().lower().replace("-", "_") for name in text.split(",")]
    names = ["label_studio" if name == "labelstudio" else name for name in names if name]
    for name in names:
        if name not in FORMATS:
            raise UsageError(f"{name!r} is no format that can be written. The formats are {', '.join(FORMATS)}.")
    if not names:
        raise UsageError(f"--write has no format. The formats are {', '.join(FORMATS)}.")
    return list(dict.fromkeys(names))


def check_formats(names: Iterable[str], task: str) -> None:
    """Check that formats can hold the results of a task.

    Raises:
        UsageError: A format cannot.
    """
    lacking = _CANNOT_HOLD.get(task, set())
    possible = [name for name in FORMATS if name not in lacking]
    for name in names:
        if name in lacking:
            raise UsageError(
                f"{name} cannot hold the results of this model, which predicts {_RESULTS[task]}. Write "
                f"{', '.join(possible[:-1])} or {possible[-1]} instead."
            )


def check_kind(format: str, kind: AnnotationKind, source: object, has_masks: bool) -> None:
    """Check that a format can hold the annotations of a dataset.

    Args:
        format: Name of the format, one of ``EDITED_FORMATS``.
        kind: Kind of the annotations.
        source: Dataset, for the message.
        has_masks: Whether any annotation has the pixels that it covers.

    Raises:
        UsageError: The format has no place for them.
    """
    possible = [name for name in _HOLDS[kind] if has_masks or name != "label_maps"]
    if format not in possible:
        seen = kind if kind != "instances" or has_masks or format != "label_maps" else "boxes without masks"
        raise UsageError(
            f"{format} has no place for {seen}, which {source} has. Write --to {', '.join(possible[:-1])} or "
            f"{possible[-1]} instead."
        )
