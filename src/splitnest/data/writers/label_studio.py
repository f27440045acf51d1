"""Writer of Label Studio tasks: rectangles, polygons, brush masks and keypoints, and the labeling configuration.

The file is ``tasks_<split>.json``, the configuration ``label_config.xml``, images are in ``images/<split>/``. Results
of a model are predictions, others annotations. An image is named for Label Studio's local storage, whose root
(``LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT``) is the folder of the file. An RLE is a brush mask, several polygons
become one outline. Keypoints have the rectangle of their person as parent. Coordinates are percent of width and height,
with as many digits as are needed to read them back exactly.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np

from splitnest.data.writers.dataset_writer import DatasetWriter, SplitFiles, write_file
from splitnest.data.writers.exact_numbers import invertible
from splitnest.data.writers.image_files import ImageFiles
from splitnest.data.writers.labeled_image import HIDDEN, Instance, LabeledImage
from splitnest.data.writers.xml_text import check_xml, hex_color
from splitnest.structures.categories import Categories

LOCAL_FILES = "/data/local-files/?d="
"""Address of the files of local storage."""

CROWD = "crowd region: not written, since Label Studio has none"

_KINDS = {"box": "RectangleLabels", "polygon": "PolygonLabels", "brush": "BrushLabels"}
"""Name of a control -> tag of the configuration."""

_WORD_BITS = 8
_LENGTH_BITS = (3, 4, 8, 16)
"""Sizes of the run lengths of brush masks (``rle-pack`` of thi.ng/umbrella)."""


class LabelStudioWriter(DatasetWriter):
    """Writer of a Label Studio import file."""

    def __init__(self, folder: Path, categories: Categories, files: ImageFiles) -> None:
        super().__init__(folder, categories, files)
        for name in (*categories.names, *categories.keypoint_names):
            check_xml(name)
        self._files = SplitFiles(folder, "tasks", ".json")
        write_file(folder / "label_config.xml", label_config(categories))

    def add(self, image: LabeledImage, split: str | None) -> None:
        """Write an image and its task."""
        name = self.files.place(image, self.folder / "images" / (split or ""))
        path = "/".join(["images", *([split] if split else []), name])
        results = [
            result
            for number, instance in enumerate(image.instances, start=1)
            for result in self._results(instance, f"{number}", image.size_hw)
        ]
        data = {"image": f"{LOCAL_FILES}{quote(path)}", **({} if split is None else {"split": split})}
        kind = "predictions" if image.is_predicted else "annotations"
        task = {"data": data, kind: [{"result": results}]}
        self._files.append(split, ("," if self._files.num_images[split] else "[") + "\n" + json.dumps(task))
        self._files.num_images[split] += 1

    def finish(self) -> None:
        """Write the end of each file."""
        for split in self._files.num_images:
            self._files.append(split, "\n]\n")

    def _results(self, instance: Instance, id_: str, size_hw: tuple[int, int]) -> Iterator[dict[str, Any]]:
        if instance.iscrowd:
            self.notes[CROWD] += 1
            return
        label = self.categories[instance.label].name
        control, value = "box", _box(instance, size_hw)
        if instance.has_mask and isinstance(instance.segmentation, dict):
            control, value = "brush", {"format": "rle", "rle": brush_rle(instance.mask(size_hw))}
        elif instance.has_mask and len(outline := instance.outline(size_hw)):
            points = [_percent(x, y, size_hw) for x, y in outline.reshape(-1, 2).tolist()]
            control, value = "polygon", {"points": points, "closed": True}
        result = {**_result(id_, control, size_hw), "value": {**value, f"{_kind(control)}": [label]}}
        yield result if instance.score is None else {**result, "score": instance.score}
        if instance.keypoints is not None:
            yield from self._keypoints(instance.keypoints, id_, size_hw)

    def _keypoints(self, keypoints: np.ndarray, parent: str, size_hw: tuple[int, int]) -> Iterator[dict[str, Any]]:
        for index, (name, (x, y, visibility)) in enumerate(
            zip(self.categories.keypoint_names, keypoints.tolist(), strict=True)
        ):
            if visibility > 0:
                left, top = _percent(x, y, size_hw)
                value = {"x": left, "y": top, "width": 0.5, "keypointlabels": [name]}
                result = _result(f"{parent}-{index}", "keypoint", size_hw)
                hidden = {"meta": {"text": ["hidden"]}} if visibility == HIDDEN else {}
                yield {**result, "parentID": parent, "value": value, **hidden}


def label_config(categories: Categories) -> str:
    """Return the labeling configuration, XML, for the tasks of a dataset."""
    lines = ["<View>", '  <Image name="image" value="$image"/>']
    labels = [
        f"    <Label value={quoteattr(category.name)} background={quoteattr(hex_color(category.color))}/>"
        for category in categories
    ]
    for name, tag in _KINDS.items():
        lines += [f'  <{tag} name="{name}" toName="image">', *labels, f"  </{tag}>"]
    if categories.keypoint_names:
        points = [f"    <Label value={quoteattr(name)}/>" for name in categories.keypoint_names]
        lines += ['  <KeyPointLabels name="keypoint" toName="image">', *points, "  </KeyPointLabels>"]
    return "\n".join([*lines, "</View>", ""])


def brush_rle(mask: np.ndarray) -> list[int]:
    """Return a mask, bool ``[H, W]``, as the bytes of a brush mask: four channels of 0 or 255, row by row, packed."""
    flat = mask.ravel()
    starts = np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1])
    lengths = np.diff(starts, append=len(flat)) * 4
    header = f"{4 * len(flat):032b}{_WORD_BITS - 1:05b}" + "".join(f"{bits - 1:04b}" for bits in _LENGTH_BITS)
    parts = [header]
    for length, is_set in zip(lengths.tolist(), flat[starts].tolist(), strict=True):
        word = "1" * _WORD_BITS if is_set else "0" * _WORD_BITS
        for run in [1 << _LENGTH_BITS[-1]] * (length >> _LENGTH_BITS[-1]) + [length % (1 << _LENGTH_BITS[-1])]:
            if run:
                size = next(index for index, bits in enumerate(_LENGTH_BITS) if run <= 1 << bits)
                parts.append(f"1{size:02b}{run - 1:0{_LENGTH_BITS[size]}b}{word}")
    text = "".join(parts)
    padded = text + "0" * (-len(text) % 8)
    return list(int(padded, 2).to_bytes(len(padded) // 8))


def _kind(control: str) -> str:
    """Return the type of a result, which is also the key of its labels."""
    return f"{control}labels" if control != "box" else "rectanglelabels"


def _result(id_: str, control: str, size_hw: tuple[int, int]) -> dict[str, Any]:
    height, width = size_hw
    size = {"original_width": width, "original_height": height, "image_rotation": 0}
    return {"id": id_, "type": _kind(control), "from_name": control, "to_name": "image", **size}


def _box(instance: Instance, size_hw: tuple[int, int]) -> dict[str, Any]:
    x, y, width, height = instance.box_xywh
    left, top = _percent(x, y, size_hw)
    sides = _percent(width, height, size_hw)
    return {"x": left, "y": top, "width": sides[0], "height": sides[1], "rotation": 0}


def _percent(x: float, y: float, size_hw: tuple[int, int]) -> list[float]:
    height, width = size_hw
    return [
        invertible(x, x * 100 / width, lambda percent: percent * width / 100),
        invertible(y, y * 100 / height, lambda percent: percent * height / 100),
    ]
