"""Writer of COCO's panoptic format: a JSON file for each split, and PNG files of the segments.

Images are in ``images/<split>/``, the JSON file is ``annotations/panoptic_<split>.json``, and the folder of the same
name has the PNG files, whose colors are segment ids: ``R + 256 G + 65536 B``.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from splitnest.data.writers.coco import JsonRows
from splitnest.data.writers.dataset_writer import DatasetWriter
from splitnest.data.writers.image_files import ImageFiles
from splitnest.data.writers.labeled_image import LabeledImage
from splitnest.structures.categories import Categories


class CocoPanopticWriter(DatasetWriter):
    """Writer of panoptic segments, which do not overlap."""

    def __init__(self, folder: Path, categories: Categories, files: ImageFiles) -> None:
        super().__init__(folder, categories, files)
        self._splits: dict[str | None, JsonRows] = {}

    def add(self, image: LabeledImage, split: str | None) -> None:
        """Write an image and the PNG file of its segments."""
        name = self.files.place(image, self.folder / "images" / (split or ""))
        ids = np.zeros(image.size_hw, np.uint32)
        segments: list[dict[str, Any]] = []
        for id_, instance in enumerate(image.instances, start=1):
            ids[instance.mask(image.size_hw)] = id_
            segments.append(
                {
                    "id": id_,
                    "category_id": self.categories[instance.label].id,
                    "area": instance.area,
                    "bbox": [*instance.box_xywh],
                    "iscrowd": int(instance.iscrowd),
                }
            )
        png = Path(name).with_suffix(".png").as_posix()
        pixels, file = np.stack([ids >> shift & 255 for shift in (0, 8, 16)], axis=2).astype(np.uint8), io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        path = self._json(split).with_suffix("") / png
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.getvalue())
        if split not in self._splits:
            self._splits[split] = JsonRows(self.folder)
        rows = self._splits[split]
        image_id = rows.add_image(image, name)
        rows.add_annotation({"image_id": image_id, "file_name": png, "segments_info": segments})

    def finish(self) -> None:
        """Write the JSON files."""
        categories = [
            {"id": category.id, "name": category.name, "supercategory": "", "isthing": int(category.is_thing)}
            for category in self.categories
        ]
        for split, rows in self._splits.items():
            rows.write(self._json(split), categories)

    def _json(self, split: str | None) -> Path:
        return self.folder / "annotations" / f"panoptic{'' if split is None else f'_{split}'}.json"
