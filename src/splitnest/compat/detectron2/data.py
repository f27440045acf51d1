"""Metadata of datasets: ``MetadataCatalog``."""

from typing import Any

from splitnest.structures.class_tables import class_table
from splitnest.upstream.classes import detectron2_table

PANOPTIC = "_panoptic_separated"
"""End of the names of COCO's datasets that have stuff classes too."""

THINGS = "things"
"""Name and color of class 0 of a semantic head, which stands for all things."""

THINGS_COLOR = (82, 18, 128)


class Metadata:
    """Metadata of a dataset as attributes, such as ``thing_classes``.

    Args:
        name: Name of the dataset.
        **values: Values by name.
    """

    def __init__(self, name: str, **values: Any) -> None:
        self.name = name
        self.set(**values)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the metadata of the dataset {self.__dict__.get('name')!r} has no {name!r}")

    def set(self, **values: Any) -> "Metadata":
        """Set values, and return the metadata."""
        self.__dict__.update(values)
        return self

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, or a default."""
        return self.__dict__.get(key, default)

    def as_dict(self) -> dict[str, Any]:
        """Return the values by name."""
        return dict(self.__dict__)

    def __repr__(self) -> str:
        return f"Metadata({', '.join(f'{key}={value!r}' for key, value in self.__dict__.items())})"


class Catalog:
    """Metadata by name of the dataset. That of COCO, LVIS and Cityscapes is known."""

    def __init__(self) -> None:
        self._known: dict[str, Metadata] = {}

    def get(self, name: str) -> Metadata:
        """Return the metadata of a dataset, which is created if it does not exist."""
        if name not in self._known:
            self._known[name] = Metadata(name, **_builtin(name))
        return self._known[name]

    def list(self) -> list[str]:
        """Return the names of the datasets."""
        return [*self._known]

    def remove(self, name: str) -> None:
        """Remove the metadata of a dataset."""
        del self._known[name]


MetadataCatalog = Catalog()


def _builtin(name: str) -> dict[str, Any]:
    table = detectron2_table(name)
    if table is None:
        return {}
    things = class_table(table)
    values: dict[str, Any] = {
        "thing_classes": list(things.names),
        "thing_colors": [list(category.color) for category in things],
        "thing_dataset_id_to_contiguous_id": {category.id: index for index, category in enumerate(things)},
    }
    if table == "coco" and name.endswith(PANOPTIC):
        stuff = class_table("coco_stuff")
        values |= {
            "stuff_classes": [THINGS, *stuff.names],
            "stuff_colors": [list(THINGS_COLOR), *(list(category.color) for category in stuff)],
        }
    return values
