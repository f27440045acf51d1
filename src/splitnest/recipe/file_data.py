"""Fields of the data section of every recipe: location, classes and splits."""

import re
from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from splitnest.errors import first_few
from splitnest.recipe.base import Section
from splitnest.recipe.class_tables import CLASS_TABLES, ClassTable

FOLDERS = "folders"
"""Value of ``data.classes`` that takes the sorted names of the image folders as classes."""

FILE = "file"
"""Value of ``data.classes`` that takes the classes of the annotation files."""

Split = Literal["train", "val"]
SPLITS: tuple[Split, ...] = ("train", "val")
Names = Annotated[tuple[str, ...], Field(min_length=1)]
Paths = str | Names
ClassNames = ClassTable | Names


def normalized_class_name(name: str) -> str:
    """Return a class name in lower case, with single blanks for runs of blanks, underscores and hyphens."""
    return re.sub(r"[\s_-]+", " ", name).strip().lower()


class Data(Section):
    """Fields of every dataset.

    Attributes:
        root: Folder that all paths are relative to; None until the user gives it.
        classes: Name of a class table (``coco``, ``cityscapes``, ``lvis_v1``, ...), or the class names in label order;
            thing classes of a panoptic dataset.
    """

    root: str | None = None
    classes: ClassNames

    @property
    def num_classes(self) -> int:
        """Number of classes; 0 for those of folders or files that have not been read yet."""
        return CLASS_TABLES.get(self.classes, 0) if isinstance(self.classes, str) else len(self.classes)

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Class names that the recipe lists itself; None for a class table."""
        return self.classes if isinstance(self.classes, tuple) else None

    @property
    def stuff_classes(self) -> str | tuple[str, ...] | None:
        """Stuff classes of a panoptic dataset; None for any other."""
        return None

    @property
    def num_stuff(self) -> int:
        """Number of stuff classes; 0 for a dataset that is not panoptic."""
        stuff = self.stuff_classes
        return CLASS_TABLES[stuff] if isinstance(stuff, str) else len(stuff or ())

    def has_split(self, split: Split) -> bool:
        """Return whether the recipe names images for a split."""
        return getattr(self, f"{split}_images", None) is not None

    @model_validator(mode="after")
    def _check_distinct_classes(self) -> Self:
        names = [name for table in (self.classes, self.stuff_classes) if isinstance(table, tuple) for name in table]
        if repeated := [name for name, count in Counter(names).items() if count > 1]:
            raise ValueError(f"{first_few([*map(repr, repeated)])} is listed more than once among the classes")
        return self


class FileData(Data):
    """Dataset of image and annotation files.

    Attributes:
        train_images, val_images: Image folder of each split, or a list of folders; None for a recipe without the split.
        train_annotations, val_annotations: Annotation file or folder of each split, as the format defines it, or a list
            that makes one dataset: one for each image folder, or several for one.
        train_list, val_list: Text file with the names of the images of the split, one in a line, relative to the image
            folder (of several, to the folder that all are in), in the order that they are read in; None takes all.
    """

    train_list: str | None = None
    val_list: str | None = None
    train_images: Paths | None = None
    train_annotations: Paths | None = None
    val_images: Paths | None = None
    val_annotations: Paths | None = None

    def parts(self, split: Split) -> list[Self]:
        """Return the sections of the parts of a split, each with single paths; only one where nothing is a list."""
        lists = {key: value for key in self._path_keys(split) if isinstance(value := getattr(self, key), tuple)}
        count = max(map(len, lists.values()), default=1)
        return [self.model_copy(update={key: value[part] for key, value in lists.items()}) for part in range(count)]

    def _path_keys(self, split: Split) -> tuple[str, ...]:
        keys = (f"{split}_images", f"{split}_annotations", f"{split}_instances")
        return tuple(key for key in keys if key in type(self).model_fields)

    @model_validator(mode="after")
    def _check_lists(self) -> Self:
        for split in SPLITS:
            values = {key: getattr(self, key) for key in self._path_keys(split)}
            lengths = {
                key: len(value) if isinstance(value, tuple) else 0
                for key, value in values.items()
                if isinstance(value, tuple) or (value is not None and key != f"{split}_images")
            }
            one = next((key for key, length in lengths.items() if length), None)
            other = next((key for key, length in lengths.items() if one and length != lengths[one]), None)
            if one and other:
                hint = ", or one folder for all" if one == f"{split}_images" else ""
                raise ValueError(f"{one} is a list: give as many {other}{hint}")
        return self
