"""Writer of CVAT annotations, "CVAT for images 1.1": boxes, polygons, masks and skeletons, an XML file for a split.

The file is ``annotations_<split>.xml``, images are in ``images/<split>/``, and ``subset`` is the split. Shapes of one
instance have one ``group_id``: several polygons, or a box and the skeleton of its keypoints. Numbers are not rounded.
Crowd regions have the attribute ``iscrowd``.
"""

from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from splitnest.data.writers.dataset_writer import DatasetWriter, SplitFiles
from splitnest.data.writers.image_files import ImageFiles
from splitnest.data.writers.labeled_image import HIDDEN, Instance, LabeledImage
from splitnest.data.writers.xml_text import check_xml, hex_color
from splitnest.structures.categories import Categories

CROWD = '<attribute name="iscrowd">true</attribute>'

_ATTRIBUTES = (
    "<attributes><attribute><name>iscrowd</name><mutable>False</mutable><input_type>checkbox</input_type>"
    "<default_value>false</default_value><values>false</values></attribute></attributes>"
)


class CvatWriter(DatasetWriter):
    """Writer of CVAT's layout."""

    def __init__(self, folder: Path, categories: Categories, files: ImageFiles) -> None:
        super().__init__(folder, categories, files)
        for name in (*categories.names, *categories.keypoint_names):
            check_xml(name)
        self._files = SplitFiles(folder, "annotations", ".xml")
        self._head = '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
        self._head += "".join(_meta(categories))

    def add(self, image: LabeledImage, split: str | None) -> None:
        """Write an image and its annotations."""
        name = self.files.place(image, self.folder / "images" / (split or ""))
        shapes = "".join(
            f"    {shape}\n"
            for number, instance in enumerate(image.instances, start=1)
            for shape in self._shapes(instance, number, image.size_hw)
        )
        number, (height, width) = self._files.num_images[split], image.size_hw
        subset = "" if split is None else f" subset={quoteattr(split)}"
        tag = f'<image id="{number}" name={quoteattr(name)}{subset} width="{width}" height="{height}">'
        self._files.append(split, f"{'' if number else self._head}  {tag}\n{shapes}  </image>\n")
        self._files.num_images[split] += 1

    def finish(self) -> None:
        """Write the end of each file."""
        for split in self._files.num_images:
            self._files.append(split, "</annotations>\n")

    def _shapes(self, instance: Instance, number: int, size_hw: tuple[int, int]) -> Iterator[str]:
        polygons = instance.polygons() if instance.has_mask else []
        is_group = polygons is not None and (len(polygons) > 1 or instance.keypoints is not None)
        group = f' group_id="{number}"' if is_group else ""
        label = quoteattr(self.categories[instance.label].name)
        for tag, place in self._places(instance, polygons, size_hw):
            head = f'<{tag} label={label} source="file" occluded="0" {place} z_order="0"{group}'
            yield f"{head}>{CROWD}</{tag}>" if instance.iscrowd else f"{head}/>"
        if instance.keypoints is not None:
            yield f'<skeleton label={label} source="file" z_order="0"{group}>'
            for name, (x, y, visibility) in zip(
                self.categories.keypoint_names, instance.keypoints.tolist(), strict=True
            ):
                state = f'outside="{int(visibility == 0)}" occluded="{int(visibility == HIDDEN)}"'
                yield f'  <points label={quoteattr(name)} source="file" {state} points="{x!r},{y!r}"/>'
            yield "</skeleton>"

    @staticmethod
    def _places(
        instance: Instance, polygons: list[np.ndarray] | None, size_hw: tuple[int, int]
    ) -> Iterator[tuple[str, str]]:
        """Yield tag and attributes of each shape: a mask, polygons, or a box where there are none."""
        if polygons is None:
            yield "mask", _mask_attributes(instance.mask(size_hw))
        for polygon in polygons or ():
            yield "polygon", f'points="{_points(polygon)}"'
        if polygons == []:
            sides = zip(("xtl", "ytl", "xbr", "ybr"), instance.box_xyxy, strict=True)
            yield "box", " ".join(f'{name}="{side!r}"' for name, side in sides)


def _meta(categories: Categories) -> Iterator[str]:
    """Yield the labels of a file; keypoints are the parts of a skeleton."""
    yield "  <meta>\n    <task>\n      <labels>\n"
    kind = "skeleton" if categories.keypoint_names else "any"
    for category in categories:
        name, color = escape(category.name), f"<color>{hex_color(category.color)}</color>"
        yield f"        <label><name>{name}</name>{color}<type>{kind}</type>{_ATTRIBUTES}</label>\n"
        for keypoint in categories.keypoint_names:
            yield (
                f"        <label><name>{escape(keypoint)}</name><type>points</type><attributes/>"
                f"<parent>{name}</parent></label>\n"
            )
    yield "      </labels>\n    </task>\n  </meta>\n"


def _points(polygon: np.ndarray) -> str:
    return ";".join(f"{x!r},{y!r}" for x, y in polygon.reshape(-1, 2).tolist())


def _mask_attributes(mask: np.ndarray) -> str:
    """Return run lengths of the part of a mask in its bounding box, row by row, background first; and the box."""
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom, left, right = (ys[0], ys[-1] + 1, xs[0], xs[-1] + 1) if len(ys) else (0, 1, 0, 1)
    flat = mask[top:bottom, left:right].ravel()
    edges = np.flatnonzero(np.diff(flat, prepend=False))
    counts = np.diff(edges, prepend=0, append=len(flat))
    rle = ", ".join(map(str, counts.tolist()))
    return f'rle="{rle}" left="{left}" top="{top}" width="{right - left}" height="{bottom - top}"'
