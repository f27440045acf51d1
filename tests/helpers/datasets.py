"""Small datasets with annotations of all kinds, and their comparison."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from splitnest.data.editing.dataset import Dataset, labeled_images, unified_classes
from splitnest.data.writers.formats import DATASET_FORMATS
from splitnest.data.writers.image_files import ImageFiles
from splitnest.data.writers.labeled_image import Instance, LabeledImage
from splitnest.structures.categories import Categories

SIZE = (48, 64)

TRIANGLE = np.array([10.25, 5.5, 40.75, 8, 22, 30.125])
SQUARE = np.array([45.5, 30, 60, 30, 60, 44.5, 45.5, 44.5])


def mask_rle(seed: int = 0, size_hw: tuple[int, int] = SIZE) -> dict[str, object]:
    """Return the RLE of a disk with a hole and a second part."""
    from splitnest.structures.masks import mask_to_rle

    ys, xs = np.mgrid[: size_hw[0], : size_hw[1]]
    distance = (ys - 20 - seed) ** 2 + (xs - 24) ** 2
    return mask_to_rle(((distance < 144) & (distance > 25)) | ((ys > 40) & (xs > 55)))


def instance_of(label: int, segmentation: object = (), **fields: object) -> Instance:
    """Return an instance with the box and the area of its segmentation."""
    from hotcoco.mask import area, to_bbox

    if isinstance(segmentation, dict):
        x, y, width, height = (float(side) for side in to_bbox(segmentation))
        return Instance(label, (x, y, width, height), float(area(segmentation)), segmentation, **fields)  # type: ignore[arg-type]
    parts: Sequence[np.ndarray] = segmentation  # type: ignore[assignment]
    points = np.concatenate(parts).reshape(-1, 2)
    x, y, right, bottom = *points.min(axis=0).tolist(), *points.max(axis=0).tolist()
    return Instance(label, (x, y, right - x, bottom - y), 100.0, list(parts), **fields)  # type: ignore[arg-type]


def write_images(folder: Path, names: Sequence[str], size_hw: tuple[int, int] = SIZE) -> None:
    """Write a small image with pixels of its own for each name."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)


def write_dataset(
    folder: Path, format: str, images: Sequence[LabeledImage], categories: Categories, split: str | None = None
) -> None:
    """Write images, which need files, in a format."""
    folder.mkdir(parents=True)
    files = ImageFiles()
    writer = DATASET_FORMATS[format](folder, categories, files)
    for image in images:
        writer.add(image, split)
    writer.finish()
    files.faults.raise_any()


def images_of(dataset: Dataset) -> dict[str, LabeledImage]:
    """Return the images of all splits by name."""
    categories = unified_classes(dataset.splits)
    return {image.name: image for split in dataset.splits for image in labeled_images(split, categories)}


def assert_equal_images(
    first: LabeledImage,
    second: LabeledImage,
    names: tuple[Sequence[str], Sequence[str]],
    *,
    boxes: float = 1e-6,
    masks: bool = True,
) -> None:
    """Check that two images have the same instances in the same order.

    Args:
        first, second: Images.
        names: Class names of the labels of each.
        boxes: Tolerance of the sides of boxes in pixels.
        masks: Whether to compare masks, pixel by pixel.
    """
    assert first.size_hw == second.size_hw
    assert len(first.instances) == len(second.instances)
    for one, other in zip(first.instances, second.instances, strict=True):
        assert names[0][one.label] == names[1][other.label]
        assert one.iscrowd == other.iscrowd
        np.testing.assert_allclose(one.box_xyxy, other.box_xyxy, atol=boxes)
        if masks:
            assert one.has_mask == other.has_mask
            if one.has_mask:
                assert (one.mask(first.size_hw) == other.mask(first.size_hw)).all()
        if one.keypoints is None or other.keypoints is None:
            assert one.keypoints is other.keypoints
        else:
            np.testing.assert_allclose(one.keypoints, other.keypoints, atol=1e-6)
