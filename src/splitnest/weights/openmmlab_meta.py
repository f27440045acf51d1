"""Metadata that OpenMMLab's trainings save beside the state dict, as plain values."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from splitnest.weights.stand_ins import Array
from splitnest.weights.stored_tensors import StoredTensor

CONFIG_KEYS = ("cfg", "config")
"""Keys of the configuration in ``meta``: mmengine, and mmcv before."""

MAX_VALUES, MAX_DEPTH = 100_000, 10
"""Maximum number of values in the metadata of a dataset, and levels of nesting."""


class OpenMMLabMeta(NamedTuple):
    """Metadata of a training.

    Attributes:
        classes: Class names in label order; None if there are none.
        config: Text of the configuration in Python; None if there is none.
        dataset: Further metadata of the dataset: palette, keypoints.
    """

    classes: tuple[str, ...] | None = None
    config: str | None = None
    dataset: Mapping[str, Any] = {}


def read_meta(content: Any) -> OpenMMLabMeta:
    """Return the metadata in the content of a checkpoint; those of a file without any are None and empty."""
    meta = content.get("meta") if isinstance(content, Mapping) else None
    if not isinstance(meta, Mapping):
        return OpenMMLabMeta()
    config = next((meta[key] for key in CONFIG_KEYS if isinstance(meta.get(key), str)), None)
    return OpenMMLabMeta(_classes(meta), config, _dataset(meta))


def _classes(meta: Mapping[Any, Any]) -> tuple[str, ...] | None:
    """Return the class names: of ``dataset_meta``, or ``CLASSES`` before 2023."""
    dataset_meta = meta.get("dataset_meta")
    for mapping, name in ((dataset_meta, "classes"), (dataset_meta, "CLASSES"), (meta, "CLASSES")):
        names = mapping.get(name) if isinstance(mapping, Mapping) else None
        if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
            return tuple(names)
    return None


def _dataset(meta: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the metadata of the dataset: ``dataset_meta``, or ``PALETTE`` and ``dataset_info`` before 2023."""
    own = meta.get("dataset_meta")
    before_2023 = {"palette": meta.get("PALETTE"), "dataset_info": meta.get("dataset_info")}
    found = own if isinstance(own, Mapping) else before_2023
    budget = [MAX_VALUES]
    return {str(key): value for key, item in found.items() if (value := _plain(item, budget)) is not None}


def _plain(value: object, budget: list[int], depth: int = 0) -> Any:
    """Return containers of plain values, with lists for arrays; None for anything else, and beyond the budget."""
    budget[0] -= 1
    if budget[0] < 0 or depth > MAX_DEPTH:
        return None
    if isinstance(value, Array | StoredTensor):
        budget[0] -= math.prod(value.shape)
        tensor = value.tensor() if budget[0] >= 0 else None
        return None if tensor is None else tensor.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(item, budget, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item, budget, depth + 1) for item in value]
    return value if isinstance(value, str | bool | int | float) else None
