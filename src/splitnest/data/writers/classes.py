"""Writers of image classification datasets: a folder for each class, or a CSV file of image names and classes."""

import csv
import io
from dataclasses import replace
from pathlib import Path

from splitnest.data.formats.image_folders import CLASS_LIST_COLUMNS
from splitnest.data.writers.dataset_writer import DatasetWriter, SplitFiles
from splitnest.data.writers.image_files import ImageFiles
from splitnest.data.writers.labeled_image import LabeledImage
from splitnest.errors import DataError
from splitnest.files import plain_name
from splitnest.structures.categories import Categories


class ClassFolderWriter(DatasetWriter):
    """Writer of ``<split>/<class>/``."""

    def __init__(self, folder: Path, categories: Categories, files: ImageFiles) -> None:
        super().__init__(folder, categories, files)
        for name in categories.names:
            try:
                plain_name(name)
            except ValueError as error:
                raise DataError(
                    f"The class name {name!r} {error}, so no folder can have it. Rename the class, or write --to csv."
                ) from error

    def add(self, image: LabeledImage, split: str | None) -> None:
        """Write an image into the folder of its class."""
        name = _class_name(image, self.categories)
        inside = replace(image, name=image.name.removeprefix(f"{name}/"))
        self.files.place(inside, self.folder / (split or "") / name)


class ClassListWriter(DatasetWriter):
    """Writer of ``images/<split>/`` and ``classes_<split>.csv``."""

    def __init__(self, folder: Path, categories: Categories, files: ImageFiles) -> None:
        super().__init__(folder, categories, files)
        self._lists = SplitFiles(folder, "classes", ".csv")

    def add(self, image: LabeledImage, split: str | None) -> None:
        """Write an image and its row."""
        name = self.files.place(image, self.folder / "images" / (split or ""))
        rows = [] if self._lists.num_images[split] else [CLASS_LIST_COLUMNS]
        self._lists.num_images[split] += 1
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([*rows, (name, _class_name(image, self.categories))])
        self._lists.append(split, text.getvalue())


def _class_name(image: LabeledImage, categories: Categories) -> str:
    assert image.label is not None
    return categories[image.label].name
