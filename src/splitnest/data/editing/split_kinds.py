"""Splits of datasets by the kind of their annotations: instances, label maps, panoptic segments, classes of images.

Shapes: N annotations, K keypoints, I images.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitnest.data.detection.panoptic import CocoPanoptic
from splitnest.data.editing.dataset import DatasetSplit
from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.images.size import image_size
from splitnest.data.semantic.dataset import LabelMapDataset
from splitnest.data.writers.labeled_image import LabeledImage, images_of_file, mask_instance
from splitnest.structures import SemanticSegmentation
from splitnest.structures.categories import Categories, from_ids
from splitnest.structures.masks import segments_to_rles
from splitnest.structures.regions import connected_regions


@dataclass(frozen=True)
class InstanceSplit(DatasetSplit):
    """Split with annotated instances.

    Attributes:
        name, images_dir: Same as for ``DatasetSplit``.
        file: Annotations.
        keypoints: float64 ``[N, K, 3]``: x and y in pixels, and visibility; None without keypoints.
        keypoint_names: Names of the K keypoints.
        skeleton: Pairs of keypoint indices, from 0.
        flip_indices: Keypoint that each keypoint becomes under a horizontal flip; empty where names tell it.
    """

    name: str | None
    file: AnnotationFile
    images_dir: Path
    keypoints: NDArray[np.float64] | None = None
    keypoint_names: tuple[str, ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()
    flip_indices: tuple[int, ...] = ()

    @property
    def file_names(self) -> Sequence[str]:  # type: ignore[override]  # read-only
        """Path of each image in the image folder."""
        return self.file.file_names

    @property
    def categories(self) -> Categories:  # type: ignore[override]  # read-only
        """Classes of the annotations, with their keypoints."""
        return replace(
            from_ids(self.file.categories),
            keypoint_names=self.keypoint_names,
            skeleton=self.skeleton,
            flip_indices=self.flip_indices,
        )

    @property
    def notes(self) -> Mapping[str, Sequence[str]]:  # type: ignore[override]  # read-only
        """Kind of annotation that is not read -> cases."""
        return self.file.notes

    @property
    def has_masks(self) -> bool:
        """Whether any annotation has polygons or an RLE."""
        return bool((~self.file.has_no_segmentation).any())

    def pairs(self) -> NDArray[np.int64]:
        """Return image index and class index of each instance."""
        return np.stack([self.file.image_index, self.file.category_index], axis=1).astype(np.int64)

    def images(self, labels: NDArray[np.int64]) -> Iterator[LabeledImage]:
        """Yield the images with their instances."""
        for image in images_of_file(self.file, self.images_dir, self.keypoints):
            instances = (replace(instance, label=int(labels[instance.label])) for instance in image.instances)
            yield replace(image, instances=tuple(instances))


class LabelMapSplit(DatasetSplit):
    """Split with a label map for each image, whose connected regions are the instances.

    Args:
        name: Same as for ``DatasetSplit``.
        dataset: Images and label maps.
    """

    def __init__(self, name: str | None, dataset: LabelMapDataset) -> None:
        self.name, self.images_dir, self.categories = name, dataset.files.folder, dataset.categories
        self.file_names = [dataset.name(index) for index in range(len(dataset))]
        self.notes = dataset.file_notes
        self._dataset = dataset
        self._unlabeled = SemanticSegmentation.unlabeled(dataset.categories)

    def pairs(self) -> NDArray[np.int64]:
        """Return image index and class index of each class of an image."""
        pairs = [np.zeros((0, 2), np.int64)]
        for index in range(len(self)):
            values = np.unique(self._dataset.labels(index)).astype(np.int64)
            values = values[values != self._unlabeled]
            pairs.append(np.column_stack([np.full_like(values, index), values]))
        return np.concatenate(pairs)

    def images(self, labels: NDArray[np.int64]) -> Iterator[LabeledImage]:
        """Yield the images with their regions."""
        for index, name in enumerate(self.file_names):
            segments, values = connected_regions(self._dataset.labels(index), self._unlabeled)
            rles = segments_to_rles(segments, np.arange(1, len(values) + 1))
            regions = (mask_instance(label, rle) for label, rle in zip(labels[values].tolist(), rles, strict=True))
            height, width = segments.shape
            yield LabeledImage(name, (height, width), tuple(regions), self._dataset.path(index))


class PanopticSplit(DatasetSplit):
    """Split with panoptic segments, which are the instances.

    Args:
        name: Same as for ``DatasetSplit``.
        images_dir: Image folder.
        annotations: COCO's panoptic JSON, with the PNG files beside it.
    """

    def __init__(self, name: str | None, images_dir: Path, annotations: Path) -> None:
        self._dataset = CocoPanoptic(images_dir, annotations)
        self.name, self.images_dir = name, images_dir
        self.file_names = self._dataset.file.file_names
        self.categories = self._dataset.panoptic_categories

    def pairs(self) -> NDArray[np.int64]:
        """Return image index and class index of each segment."""
        of_images = [self._dataset.labels(index).labels for index in range(len(self))]
        images = np.repeat(np.arange(len(self)), [len(labels) for labels in of_images])
        return np.column_stack([images, np.concatenate([np.zeros(0, np.int64), *of_images])]).astype(np.int64)

    def images(self, labels: NDArray[np.int64]) -> Iterator[LabeledImage]:
        """Yield the images with their segments."""
        for index, name in enumerate(self.file_names):
            panoptic = self._dataset.labels(index)
            rles = segments_to_rles(panoptic.segments, panoptic.ids)
            rows = zip(labels[panoptic.labels].tolist(), rles, panoptic.iscrowd.tolist(), strict=True)
            segments = tuple(mask_instance(label, rle, iscrowd=iscrowd) for label, rle, iscrowd in rows)
            id_ = int(self._dataset.file.image_ids[index])
            yield LabeledImage(name, panoptic.size_hw, segments, self.images_dir / name, id_)


@dataclass(frozen=True)
class ClassSplit(DatasetSplit):
    """Split with a class for each image.

    Attributes:
        name, images_dir, file_names, categories: Same as for ``DatasetSplit``.
        labels: Class index of each image.
    """

    name: str | None
    images_dir: Path
    file_names: Sequence[str]
    categories: Categories
    labels: Sequence[int]

    @property
    def has_masks(self) -> bool:
        """Whether any annotation has the pixels that it covers: none has."""
        return False

    def pairs(self) -> NDArray[np.int64]:
        """Return index and class index of each image."""
        return np.column_stack([np.arange(len(self)), np.array(self.labels, np.int64)]).astype(np.int64)

    def images(self, labels: NDArray[np.int64]) -> Iterator[LabeledImage]:
        """Yield the images with their class."""
        for name, label in zip(self.file_names, self.labels, strict=True):
            path = self.images_dir / name
            yield LabeledImage(name, image_size(path), path=path, label=int(labels[label]))
