"""Panoptic segmentation dataset: a detection dataset with a segment for each pixel."""

import os
from abc import abstractmethod
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.data.class_counts import ClassCounts
from splitnest.data.detection.dataset import DetectionDataset
from splitnest.data.formats.annotation_columns import from_rows
from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.coco import read_coco
from splitnest.data.formats.coco_json import index_of
from splitnest.data.formats.coco_panoptic import read_panoptic
from splitnest.data.formats.image_lists import limited_annotations, listed_rows
from splitnest.data.images.read import read_image
from splitnest.errors import DataError
from splitnest.progress import PROGRESS_FROM, track
from splitnest.structures.categories import Categories, match_panoptic_categories, things_of
from splitnest.structures.masks import segments_to_rles
from splitnest.structures.panoptic_labels import PanopticLabels


def instances_of(labels: PanopticLabels, image_id: int, categories: Categories) -> list[dict[str, Any]]:
    """Return the thing segments of an image as annotations in COCO's form, with tight boxes and RLE masks.

    Args:
        labels: Segments of the image.
        image_id: Id of the image.
        categories: Thing classes, then stuff classes.
    """
    from hotcoco.mask import area, to_bbox

    instances = []
    rles = segments_to_rles(labels.segments, labels.ids)
    for rle, label, iscrowd in zip(rles, labels.labels.tolist(), labels.iscrowd.tolist(), strict=True):
        category = categories[label]
        if category.is_thing:
            instances.append(
                {
                    "image_id": image_id,
                    "category_id": category.id,
                    "bbox": to_bbox(rle).tolist(),
                    "area": int(area(rle)),
                    "iscrowd": iscrowd,
                    "segmentation": rle,
                }
            )
    return instances


class PanopticDataset(DetectionDataset):
    """Images with instances, and with a segment for each pixel.

    Attributes:
        categories: Classes of the instances: thing classes.
        panoptic_categories: Classes of the segments: thing classes, then stuff classes.
    """

    panoptic_categories: Categories

    @abstractmethod
    def labels(self, index: int) -> PanopticLabels:
        """Return the segments of one image.

        Raises:
            DataError: The segments cannot be read, or are not valid.
        """


class CocoPanoptic(PanopticDataset):
    """Images with COCO's panoptic annotations, in the order of ``images`` in the JSON file.

    Args:
        images_dir: Folder of the images.
        annotation_file: COCO's panoptic JSON. The PNG files, whose pixels are R + 256 G + 65536 B = id of a segment,
            are in the folder beside it with its name without ``.json``, or in that folder one level up, as in
            detectron2.
        categories: Thing classes and then stuff classes of the model; None uses those of the file.
        instances_file: COCO JSON with the instances of the same images, as polygons that may overlap; the published
            models are trained on it. None derives instances from the thing segments, for which each PNG is read once.
        image_list: List of the images that are taken, in its order; None takes all.

    Raises:
        DataError: Same conditions as ``read_panoptic`` and ``DetectionDataset``; or the folder of PNG files does not
            exist, a class is a thing class in the file and a stuff class in the model or vice versa, or the two files
            list different images.
    """

    def __init__(
        self,
        images_dir: str | Path,
        annotation_file: str | Path,
        categories: Categories | None = None,
        instances_file: str | Path | None = None,
        image_list: Path | None = None,
    ) -> None:
        self._panoptic_path, self._image_list = Path(annotation_file), image_list
        self._panoptic = read_panoptic(annotation_file)
        if image_list is not None:
            self._panoptic = self._panoptic.of_images(listed_rows(image_list, self._panoptic.file_names))
        self._segments_dir = _segments_folder(self._panoptic_path) if self._panoptic.has_annotations else Path()
        of_file = self._panoptic.categories
        self.panoptic_categories = (
            of_file if categories is None else match_panoptic_categories(of_file, categories, self._panoptic_path)
        )
        index_of_id = {id_: index for index, id_ in enumerate(self.panoptic_categories.ids)}
        self._label_of_category = np.array([index_of_id[id_] for id_ in of_file.ids], np.int64)
        file = self._derived_instances() if instances_file is None else self._aligned(Path(instances_file))
        super().__init__(images_dir, file, instances_file or annotation_file, things_of(self.panoptic_categories))
        self.inputs = (self.source, str(self._panoptic_path))

    def labels(self, index: int) -> PanopticLabels:
        """Read the segments of one image.

        Raises:
            DataError: There are no annotations, the PNG cannot be read or has another size than the image, or its ids
                differ from those of the JSON.
        """
        panoptic = self._panoptic
        if not panoptic.has_annotations:
            raise DataError(f"{self._panoptic_path} has no annotations, as for a test set. Give another file.")
        path = self._segments_dir / panoptic.png_names[index]
        pixels = read_image(path)
        height, width = panoptic.sizes_hw[index].tolist()
        if pixels.shape[:2] != (height, width):
            raise DataError(
                f"{path} has {pixels.shape[1]} x {pixels.shape[0]} pixels, but {self._panoptic_path} gives {width} x "
                f"{height}. Replace the one that belongs to another image or to another size."
            )
        rows = panoptic.rows(index)
        try:
            return PanopticLabels(
                segments=_segment_ids(pixels),
                ids=panoptic.segment_ids[rows],
                labels=self._label_of_category[panoptic.category_index[rows]],
                iscrowd=panoptic.iscrowd[rows],
            )
        except ValueError as error:
            raise DataError(
                f"{path} does not match {self._panoptic_path}: {error}. Replace the older of the two."
            ) from error

    def class_counts(self) -> list[ClassCounts]:
        """Return the number of instances by thing class, and of segments by stuff class."""
        panoptic = self._panoptic
        if not panoptic.has_annotations:
            return []
        labels = self._label_of_category[panoptic.category_index]
        counts = np.bincount(labels, minlength=len(self.panoptic_categories)).tolist()
        names = self.panoptic_categories.names
        stuff = {name: counts[label] for label, name in enumerate(names) if label >= len(self.categories)}
        return [*super().class_counts(), ClassCounts(str(self._panoptic_path), "segments", stuff, kind="stuff classes")]

    def check_files(self) -> list[str]:
        """Return the paths of images and PNG files that do not exist."""
        pngs = (self._segments_dir / name for name in self._panoptic.png_names)
        return super().check_files() + [str(path) for path in pngs if not path.is_file()]

    def _derived_instances(self) -> AnnotationFile:
        """Return the thing segments as annotations with tight boxes, RLE masks and crowd flags."""
        panoptic, path = self._panoptic, self._panoptic_path
        things = [(category.id, category.name) for category in panoptic.categories if category.is_thing]
        sizes = panoptic.sizes_hw.tolist()
        images = [
            (id_, name, height, width)
            for id_, name, (height, width) in zip(panoptic.image_ids.tolist(), panoptic.file_names, sizes, strict=True)
        ]
        if not panoptic.has_annotations:
            return replace(from_rows(path, images, things, ()), has_annotations=False)
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes outside the GIL
            instances: Iterable[list[dict[str, Any]]] = pool.map(self._instances_of, range(len(images)))
            if len(images) >= PROGRESS_FROM:
                instances = track(instances, len(images), "reading segments")
            return from_rows(path, images, things, (row for rows in instances for row in rows))

    def _instances_of(self, index: int) -> list[dict[str, Any]]:
        return instances_of(self.labels(index), int(self._panoptic.image_ids[index]), self.panoptic_categories)

    def _aligned(self, instances_file: Path) -> AnnotationFile:
        """Read a COCO file of instances, with its images in the order of the panoptic file."""
        panoptic, file = self._panoptic, read_coco(instances_file)
        if self._image_list is not None:
            file = limited_annotations(file, self._image_list)
        index, is_listed = index_of(panoptic.image_ids, file.image_ids)
        for row in np.flatnonzero(~is_listed)[:1].tolist():
            raise _not_listed(instances_file, f"{panoptic.file_names[row]}, which {self._panoptic_path} lists")
        place, is_listed = index_of(file.image_ids, panoptic.image_ids)
        for row in np.flatnonzero(~is_listed)[:1].tolist():
            raise _not_listed(self._panoptic_path, f"{file.file_names[row]}, which {instances_file} lists")
        for row in np.flatnonzero((file.sizes_hw[index] != panoptic.sizes_hw).any(axis=1))[:1].tolist():
            (height, width), (other_height, other_width) = file.sizes_hw[index[row]], panoptic.sizes_hw[row]
            raise DataError(
                f"{panoptic.file_names[row]} has {width} x {height} pixels in {instances_file}, but {other_width} x "
                f"{other_height} in {self._panoptic_path}. Give two files of the same images."
            )
        return replace(
            file,
            image_ids=panoptic.image_ids,
            file_names=panoptic.file_names,
            sizes_hw=panoptic.sizes_hw,
            image_index=place[file.image_index],
            has_annotations=file.has_annotations and panoptic.has_annotations,
        )


def _segments_folder(path: Path) -> Path:
    """Return the folder of the PNG files of a panoptic JSON."""
    beside, above = path.with_suffix(""), path.parent.parent / path.stem
    for folder in (beside, above):
        if folder.is_dir():
            return folder
    raise DataError(f"The PNG files of {path} are neither in {beside} nor in {above}. Put them there.")


def _not_listed(path: Path, image: str) -> DataError:
    return DataError(f"{path} does not list {image}. Give two files of the same images.")


def _segment_ids(pixels: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return R + 256 G + 65536 B of pixels ``[H, W, 3]``."""
    red, green, blue = pixels.astype(np.int32).transpose(2, 0, 1)
    return red | green << 8 | blue << 16
