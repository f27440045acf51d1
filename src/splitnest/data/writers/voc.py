"""Writer of Pascal VOC annotations: boxes in an XML file for each image.

Images are in ``JPEGImages/``, XML files in ``Annotations/``, the image names of each split in
``ImageSets/Main/<split>.txt``. Pixels are numbered from 1 and boxes are rounded to whole pixels (VOC development kit,
section 4), so they are exact to half a pixel. Crowd regions are difficult instances.
"""

import math
from pathlib import Path
from xml.sax.saxutils import escape

from splitnest.data.writers.dataset_writer import DatasetWriter, write_file
from splitnest.data.writers.image_files import ImageFiles
from splitnest.data.writers.labeled_image import Instance, LabeledImage
from splitnest.data.writers.xml_text import check_xml
from splitnest.structures.categories import Categories

MASK = "mask: not written, since VOC's XML has boxes only"
KEYPOINTS = "keypoints: not written, since VOC's XML has boxes only"
NARROW = "box of less than 2 pixels: written, but read as one without an area"


class VocWriter(DatasetWriter):
    """Writer of Pascal VOC's layout."""

    def __init__(self, folder: Path, categories: Categories, files: ImageFiles) -> None:
        super().__init__(folder, categories, files)
        self._names: dict[str, list[str]] = {}
        for category in categories:
            check_xml(category.name)

    def add(self, image: LabeledImage, split: str | None) -> None:
        """Write an image and its XML file."""
        name = self.files.place(image, self.folder / "JPEGImages")
        stem = str(Path(name).with_suffix(""))
        if split is not None:
            self._names.setdefault(split, []).append(stem)
        height, width = image.size_hw
        objects = "".join(self._object(instance) for instance in image.instances)
        write_file(
            self.folder / "Annotations" / f"{stem}.xml",
            f"<annotation>\n  <folder>JPEGImages</folder>\n  <filename>{escape(name)}</filename>\n"
            f"  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>\n"
            f"  <segmented>0</segmented>\n{objects}</annotation>\n",
        )

    def finish(self) -> None:
        """Write the lists of the splits."""
        for split, names in self._names.items():
            write_file(self.folder / "ImageSets" / "Main" / f"{split}.txt", "".join(f"{name}\n" for name in names))

    def _object(self, instance: Instance) -> str:
        self.notes[MASK] += instance.has_mask
        self.notes[KEYPOINTS] += instance.keypoints is not None
        left, top, right, bottom = (math.floor(side + 0.5) for side in instance.box_xyxy)
        self.notes[NARROW] += right - left < 2 or bottom - top < 2
        sides = (("xmin", left + 1), ("ymin", top + 1), ("xmax", right), ("ymax", bottom))
        box = "".join(f"<{tag}>{side}</{tag}>" for tag, side in sides)
        name = escape(self.categories[instance.label].name)
        return (
            f"  <object>\n    <name>{name}</name>\n    <pose>Unspecified</pose>\n    <truncated>0</truncated>\n"
            f"    <difficult>{int(instance.iscrowd)}</difficult>\n    <bndbox>{box}</bndbox>\n  </object>\n"
        )
