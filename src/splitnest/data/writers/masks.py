"""Writer of masks: PNG label maps of class indices, and PNG maps of instance ids.

``labels/<image>.png`` has the class index of each pixel, and the maximum of its type (255, or 65535 for more than 255
classes) where there is none; up to 255 classes have their colors as a palette. ``instances/<image>.png`` has the number
of the instance of each pixel, from 1 in the order of the results, and 0 where there is none. Instances with higher
scores cover others. ``classes.txt`` has the class names in the order of the indices.
"""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from splitnest.data.writers.dataset_writer import DatasetWriter, write_file
from splitnest.data.writers.image_files import ImageFiles, ImageNames, printable_name
from splitnest.data.writers.labeled_image import LabeledImage
from splitnest.structures import SemanticSegmentation
from splitnest.structures.categories import Categories

NO_MASK = "instance without a mask: not in the label map"


class MaskWriter(DatasetWriter):
    """Writer of label maps, and of instance maps where there are things."""

    def __init__(self, folder: Path, categories: Categories, files: ImageFiles) -> None:
        super().__init__(folder, categories, files)
        self._names = ImageNames()
        write_file(folder / "classes.txt", "".join(f"{printable_name(name)}\n" for name in categories.names))

    def add(self, image: LabeledImage, split: str | None) -> None:
        """Write the maps of an image."""
        labels = np.full(image.size_hw, SemanticSegmentation.unlabeled(self.categories), np.int64)
        ids = np.zeros(image.size_hw, np.int64)
        numbered = enumerate(image.instances, start=1)
        for number, instance in sorted(numbered, key=lambda pair: (pair[1].score or 0.0, -pair[0])):
            if not instance.has_mask:
                self.notes[NO_MASK] += 1
                continue
            mask = instance.mask(image.size_hw)
            labels[mask], ids[mask] = instance.label, number
        name = str(Path(self._names.next(f"{split}/{image.name}" if split else image.name)).with_suffix(".png"))
        dtype = SemanticSegmentation.label_dtype(self.categories)
        write_label_map(self.folder / "labels" / name, labels.astype(dtype), self.categories)
        write_label_map(self.folder / "instances" / name, ids.astype(np.uint16), self.categories)


def write_label_map(path: Path, values: NDArray[np.integer], categories: Categories) -> None:
    """Write a label map, ``[H, W]``, as PNG; values of uint8 have the colors of the classes as a palette.

    Raises:
        OSError: The file cannot be written.
    """
    picture, file = Image.fromarray(values), io.BytesIO()
    if values.dtype == np.uint8:
        colors = [channel for category in categories for channel in category.color]
        picture.putpalette(colors + [0] * (3 * 256 - len(colors)))  # with fewer colors a file has fewer bits
    picture.save(file, "PNG")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.getvalue())
