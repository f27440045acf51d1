"""Adapters of datasets of other libraries to the items that splitnest takes; neither library is imported."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from splitnest.errors import DataError
from splitnest.structures.boxes import xywh_to_xyxy
from splitnest.structures.instances import Instances


class TorchvisionDetection:
    """Items of torchvision's ``CocoDetection``, wrapped by ``wrap_dataset_for_transforms_v2``.

    Masks need ``target_keys=("boxes", "labels", "masks")`` in the wrapper, crowd regions ``"iscrowd"`` too.

    Args:
        dataset: Wrapped dataset.
        category_ids: COCO category id of each class, in the order of ``data.classes``; None takes all of the file in
            the order of their ids.
    """

    def __init__(self, dataset: Any, category_ids: Sequence[int] | None = None) -> None:
        self.dataset = dataset
        ids = sorted(dataset.coco.cats) if category_ids is None else category_ids
        self._label_of = {int(id_): label for label, id_ in enumerate(ids)}

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Any, Instances]:
        """Return an image and its instances of the classes; an image without annotations has none."""
        image, target = self.dataset[index]
        ids = target.get("labels", torch.empty(0, dtype=torch.int64)).tolist()
        rows = [row for row, id_ in enumerate(ids) if id_ in self._label_of]
        masks, iscrowd = target.get("masks"), target.get("iscrowd")
        return image, Instances(
            boxes=torch.as_tensor(target.get("boxes", torch.empty(0, 4)))[rows],
            labels=torch.tensor([self._label_of[ids[row]] for row in rows], dtype=torch.int64),
            masks=None if masks is None else [torch.as_tensor(masks[row]) > 0 for row in rows],
            iscrowd=None if iscrowd is None else torch.tensor([bool(iscrowd[row]) for row in rows]),
        )


class HuggingFaceRows:
    """Items of a Hugging Face ``datasets.Dataset``, or of any sequence of rows.

    A target is a class index, a label map, or, for detection, a mapping of lists or a list of mappings:
    ``bbox``, COCO's x, y, width and height in pixels; ``category`` or ``category_id``, the class index of each box;
    and, where it exists, ``segmentation``, the polygons of each box.

    Args:
        rows: Dataset of rows, which map column names to values.
        image: Column of the images.
        target: Column of the targets.
    """

    def __init__(self, rows: Any, image: str = "image", target: str = "label") -> None:
        self.rows, self.image_column, self.target_column = rows, image, target
        # Reading a row decodes its image, unless that column is left out.
        self._targets = rows.select_columns([target]) if hasattr(rows, "select_columns") else rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Return an image and its target; a grayscale Pillow image is converted later, as one in a file is."""
        row = self.rows[index]
        return _value(row, self.image_column), _target(_value(row, self.target_column))

    def target(self, index: int) -> Any:
        """Return the target of an item without decoding its image."""
        return _target(_value(self._targets[index], self.target_column))


def _value(row: Any, column: str) -> Any:
    try:
        return row[column]
    except KeyError as error:
        raise DataError(
            f"the row has no column {column!r}, but {', '.join(map(str, row))}. Name the columns of image and target."
        ) from error


def _target(value: Any) -> Any:
    """Return boxes as instances, and any other target as it is."""
    if isinstance(value, list) and all(isinstance(each, Mapping) for each in value):
        if not value:
            return Instances(torch.empty(0, 4), torch.empty(0, dtype=torch.int64))
        value = {key: [each.get(key) for each in value] for key in value[0]}
    if not isinstance(value, Mapping):
        return value
    labels = value.get("category", value.get("category_id"))
    if labels is None or "bbox" not in value:
        raise DataError(f"the objects have {', '.join(map(str, value))}, not 'bbox' and 'category'. Rename the keys.")
    boxes = xywh_to_xyxy(np.asarray(value["bbox"], np.float64).reshape(-1, 4))
    polygons = value.get("segmentation")
    return Instances(torch.from_numpy(boxes), torch.tensor(list(labels), dtype=torch.int64), polygons)
