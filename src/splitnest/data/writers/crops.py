"""Writer of crops: an image file for each instance, in a folder named after its class."""

import math
from pathlib import Path

import numpy as np

from splitnest.data.images.read import read_image
from splitnest.data.writers.dataset_writer import DatasetWriter
from splitnest.data.writers.image_files import ImageFiles, ImageNames, plain_path
from splitnest.data.writers.labeled_image import LabeledImage
from splitnest.errors import DataError
from splitnest.structures.categories import Categories
from splitnest.visualize.write import encoded_image

NO_AREA = "box without an area in the image: no crop"
NO_FILE = "image that cannot be read again: no crops"


class CropWriter(DatasetWriter):
    """Writer of ``<class>/<image>-<number>.jpg``: the pixels that a box touches; stuff classes have no crops.

    Folders are named after the classes, without slashes and other characters that a file name cannot have.
    """

    def __init__(self, folder: Path, categories: Categories, files: ImageFiles) -> None:
        super().__init__(folder, categories, files)
        self._folders, taken = [], set[str]()
        for category in categories:
            name = str(plain_path(category.name.replace("/", "_").replace("\\", "_")))
            plain, number = name, 1
            while name.lower() in taken:
                number += 1
                name = f"{plain}-{number}"
            taken.add(name.lower())
            self._folders.append(name)
        self._names = [ImageNames() for _ in categories]

    def add(self, image: LabeledImage, split: str | None) -> None:
        """Write the crops of an image."""
        chosen = [
            (number, instance)
            for number, instance in enumerate(image.instances, start=1)
            if self.categories[instance.label].is_thing and not instance.iscrowd
        ]
        if not chosen:
            return
        try:
            pixels = read_image(image.path) if image.path is not None else None
        except DataError:
            pixels = None
        if pixels is None or pixels.shape[:2] != image.size_hw:
            self.notes[NO_FILE] += 1
            return
        stem = str(plain_path(image.name).with_suffix("")).replace("/", "_")
        for number, instance in chosen:
            left, top, right, bottom = instance.box_xyxy
            rows = slice(max(0, math.floor(top)), max(0, math.ceil(bottom)))
            columns = slice(max(0, math.floor(left)), max(0, math.ceil(right)))
            crop = pixels[rows, columns]
            if not crop.size:
                self.notes[NO_AREA] += 1
                continue
            name = self._names[instance.label].next(f"{stem}-{number}.jpg")
            path = self.folder / self._folders[instance.label] / (split or "") / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded_image(np.ascontiguousarray(crop), ".jpg"))
