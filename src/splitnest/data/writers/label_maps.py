"""Writer of datasets of label maps: a PNG file with the class index of each pixel for each image.

Images are in ``images/<split>/``, label maps in ``label_maps/<split>/``, the class names in ``classes.txt`` in the
order of the indices. Pixels without a class have the maximum of the type, 255 or 65535 for more than 255 classes.
Up to 255 classes have their colors as a palette.
"""

from pathlib import Path

import numpy as np

from splitnest.data.writers.dataset_writer import DatasetWriter, write_file
from splitnest.data.writers.image_files import ImageFiles, printable_name
from splitnest.data.writers.labeled_image import LabeledImage
from splitnest.data.writers.masks import NO_MASK, write_label_map
from splitnest.structures import SemanticSegmentation
from splitnest.structures.categories import Categories

OVERLAP = "instance that covers another one of another class: the smaller one is in front"
SAME_CLASS = "instances of one class in an image: the label map does not tell them apart"


class LabelMapWriter(DatasetWriter):
    """Writer of folders of images and label maps."""

    def __init__(self, folder: Path, categories: Categories, files: ImageFiles) -> None:
        super().__init__(folder, categories, files)
        write_file(folder / "classes.txt", "".join(f"{printable_name(name)}\n" for name in categories.names))

    def add(self, image: LabeledImage, split: str | None) -> None:
        """Write an image and its label map."""
        dtype = SemanticSegmentation.label_dtype(self.categories)
        unlabeled = SemanticSegmentation.unlabeled(self.categories)
        name = self.files.place(image, self.folder / "images" / (split or ""))
        values = np.full(image.size_hw, unlabeled, dtype)
        with_mask = [instance for instance in image.instances if instance.has_mask]
        self.notes[NO_MASK] += len(image.instances) - len(with_mask)
        for instance in sorted(with_mask, key=lambda instance: -(instance.area or 0)):
            mask = instance.mask(image.size_hw)
            covered = values[mask]
            self.notes[OVERLAP] += bool(((covered != unlabeled) & (covered != instance.label)).any())
            values[mask] = instance.label
        path = (self.folder / "label_maps" / (split or "") / name).with_suffix(".png")
        write_label_map(path, values, self.categories)
