"""COCO panoptic data: photographs with objects, and a segment for every pixel."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.categories import Categories, things_of
from splitnest.data.coco import CocoDetection, match_kinds
from splitnest.data.coco_file import CocoFile, build_coco, read_coco
from splitnest.data.coco_json import index_of
from splitnest.data.images import read_image
from splitnest.data.panoptic_file import read_panoptic
from splitnest.data.panoptic_labels import PanopticDataset, PanopticLabels
from splitnest.errors import DataError
from splitnest.progress import track
from splitnest.results.interop import mask_to_rle

MANY = 200
"""Images whose segments are read with a bar: some seconds."""


class CocoPanoptic(CocoDetection, PanopticDataset):
    """Photographs with COCO's panoptic annotations, in the order of ``images`` in their JSON.

    Args:
        images_dir: Folder that the names of the photographs are relative to.
        annotation_file: COCO's panoptic JSON. Its PNG files, whose pixels are R + 256 G + 65536 B = the id of a
            segment, are in the folder beside it that has its name without ``.json``, or in that folder one level up, as
            detectron2 has it.
        classes: Things and then stuff of the model; None takes those of the file.
        instances_file: COCO JSON with the objects of the same photographs, as polygons that may overlap; published
            models are trained on that. None makes objects of the segments of things, for which every PNG is read once.

    Attributes:
        categories: Index -> class of the objects: things alone.
        panoptic_categories: Index -> class of the segments: things, then stuff.

    Raises:
        DataError: See ``read_panoptic`` and ``CocoDetection``; or the folder of PNG files does not exist, a class is a
            thing in the file and stuff in the model or the other way round, or the two files list different images.
    """

    def __init__(
        self,
        images_dir: str | Path,
        annotation_file: str | Path,
        classes: Categories | None = None,
        instances_file: str | Path | None = None,
    ) -> None:
        self._panoptic_path = Path(annotation_file)
        self._panoptic = read_panoptic(annotation_file)
        self._segments_dir = _find_segments(self._panoptic_path) if self._panoptic.has_annotations else Path()
        found = self._panoptic.categories
        self.panoptic_categories = found if classes is None else match_kinds(found, classes, self._panoptic_path)
        index_of_id = {id_: index for index, id_ in enumerate(self.panoptic_categories.ids)}
        self._label_of_category = np.array([index_of_id[id_] for id_ in found.ids], np.int64)
        file = self._objects() if instances_file is None else self._aligned(Path(instances_file))
        super().__init__(images_dir, instances_file or annotation_file, things_of(self.panoptic_categories), file)

    def labels(self, index: int) -> PanopticLabels:
        """Read the segments of one photograph.

        Raises:
            DataError: There are none, their PNG cannot be read or has another size than the photograph, or its ids are
                not those that the JSON states.
        """
        panoptic = self._panoptic
        if not panoptic.has_annotations:
            raise DataError(f"{self._panoptic_path} has no annotations, as that of a test set. Give another file.")
        path = self._segments_dir / panoptic.png_names[index]
        pixels = read_image(path)
        height, width = panoptic.sizes_hw[index].tolist()
        if pixels.shape[:2] != (height, width):
            raise DataError(
                f"{path} is {pixels.shape[1]} x {pixels.shape[0]} pixels, but {self._panoptic_path} says "
                f"{width} x {height}. Its segments are of another picture, or of this one in another size."
            )
        rows = panoptic.rows(index)
        try:
            return PanopticLabels(
                segments=_to_ids(pixels),
                ids=panoptic.segment_ids[rows],
                labels=self._label_of_category[panoptic.category_index[rows]],
                iscrowd=panoptic.iscrowd[rows],
            )
        except ValueError as error:
            raise DataError(
                f"{path} does not go with {self._panoptic_path}: {error}. Replace the older one."
            ) from error

    def check_files(self) -> list[str]:
        """List the paths of photographs and PNG files that are missing."""
        pngs = (self._segments_dir / name for name in self._panoptic.png_names)
        return super().check_files() + [str(path) for path in pngs if not path.is_file()]

    def _objects(self) -> CocoFile:
        """Return the segments of things in the form of a COCO file: tight boxes, RLE, crowds."""
        panoptic, path = self._panoptic, self._panoptic_path
        things = [(category.id, category.name) for category in panoptic.categories if category.is_thing]
        sizes = panoptic.sizes_hw.tolist()
        images = [
            (id_, name, height, width)
            for id_, name, (height, width) in zip(panoptic.image_ids.tolist(), panoptic.file_names, sizes, strict=True)
        ]
        if not panoptic.has_annotations:
            return replace(build_coco(path, images, things, ()), has_annotations=False)
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes outside of Python's lock
            objects: Iterable[list[dict[str, Any]]] = pool.map(self._objects_of, range(len(images)))
            if len(images) >= MANY:
                objects = track(objects, len(images), "reading segments")
            return build_coco(path, images, things, (row for rows in objects for row in rows))

    def _objects_of(self, index: int) -> list[dict[str, Any]]:
        from hotcoco.mask import area, to_bbox

        labels, objects = self.labels(index), []
        for id_, label, iscrowd in zip(labels.ids, labels.labels.tolist(), labels.iscrowd.tolist(), strict=True):
            category = self.panoptic_categories[label]
            if category.is_thing:
                rle = mask_to_rle(labels.segments == id_)
                where = {"image_id": int(self._panoptic.image_ids[index]), "category_id": category.id}
                facts = {"bbox": to_bbox(rle).tolist(), "area": int(area(rle)), "iscrowd": iscrowd}
                objects.append({**where, **facts, "segmentation": rle})
        return objects

    def _aligned(self, instances_file: Path) -> CocoFile:
        """Read the objects of a COCO file, with the images in the order of the panoptic file."""
        panoptic, file = self._panoptic, read_coco(instances_file)
        index, found = index_of(panoptic.image_ids, file.image_ids)
        for row in np.flatnonzero(~found)[:1].tolist():
            raise _not_in(instances_file, f"{panoptic.file_names[row]}, which {self._panoptic_path} lists")
        place, found = index_of(file.image_ids, panoptic.image_ids)
        for row in np.flatnonzero(~found)[:1].tolist():
            raise _not_in(self._panoptic_path, f"{file.file_names[row]}, which {instances_file} lists")
        for row in np.flatnonzero((file.sizes_hw[index] != panoptic.sizes_hw).any(axis=1))[:1].tolist():
            (height, width), (other_height, other_width) = file.sizes_hw[index[row]], panoptic.sizes_hw[row]
            raise DataError(
                f"{panoptic.file_names[row]} has {width} x {height} pixels in {instances_file}, but {other_width} x "
                f"{other_height} in {self._panoptic_path}. Give files of the same photographs."
            )
        return replace(
            file,
            image_ids=panoptic.image_ids,
            file_names=panoptic.file_names,
            sizes_hw=panoptic.sizes_hw,
            image_index=place[file.image_index],
            has_annotations=file.has_annotations and panoptic.has_annotations,
        )


def _find_segments(path: Path) -> Path:
    """Return the folder of the PNG files that go with a panoptic JSON."""
    beside, above = path.with_suffix(""), path.parent.parent / path.stem
    for folder in (beside, above):
        if folder.is_dir():
            return folder
    raise DataError(f"There is no folder {beside}, nor {above}, with the PNG files of {path}. Put it there.")


def _not_in(path: Path, what: str) -> DataError:
    return DataError(f"{path} does not list {what}. Give files of the same photographs.")


def _to_ids(pixels: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return R + 256 G + 65536 B of pixels ``[H, W, 3]``."""
    red, green, blue = pixels.astype(np.int32).transpose(2, 0, 1)
    return red | green << 8 | blue << 16
