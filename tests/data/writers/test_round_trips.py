"""Round trips of all writers and readers: what was written is read back, whatever the names and shapes are."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers import datasets
from helpers.datasets import SIZE, SQUARE, TRIANGLE, instance_of
from splitnest.data.editing.dataset import unified_classes
from splitnest.data.editing.open import open_dataset
from splitnest.data.writers.formats import DATASET_FORMATS
from splitnest.data.writers.labeled_image import Instance, LabeledImage
from splitnest.structures.categories import Categories, from_names

FORMATS = [*DATASET_FORMATS]
ROUNDED = {"voc": 0.5}
"""Format -> tolerance of the sides of its boxes in pixels."""

NO_MASKS, NO_CROWDS = {"voc"}, {"yolo", "label_studio"}

CATEGORIES = from_names(["apple", "pear"])


def round_trip(
    folder: Path,
    format: str,
    images: list[LabeledImage],
    categories: Categories,
    split: str | None = None,
    tolerance: float = 1e-6,
) -> None:
    """Write images, read them, and compare."""
    datasets.write_images(folder / "source", [image.name for image in images])
    given_images = [replace(image, path=folder / "source" / image.name) for image in images]
    datasets.write_dataset(folder / "written", format, given_images, categories, split)
    dataset = open_dataset(folder / "written")
    assert dataset.format == format
    assert [part.name for part in dataset.splits] == ["train" if format == "yolo" and split is None else split]
    found, names = datasets.images_of(dataset), unified_classes(dataset.splits)
    assert found.keys() == {image.name for image in images}
    for image in given_images:
        kept = [one for one in image.instances if not (one.iscrowd and format in NO_CROWDS)]
        datasets.assert_equal_images(
            replace(image, instances=tuple(kept)),
            found[image.name],
            (categories.names, names.names),
            boxes=ROUNDED.get(format, tolerance),
            masks=format not in NO_MASKS,
        )


@pytest.mark.parametrize("format", FORMATS)
def test_no_annotations_at_all(tmp_path: Path, format: str) -> None:
    images = [LabeledImage("a.png", SIZE), LabeledImage("b.png", SIZE)]
    round_trip(tmp_path, format, images, from_names(["apple"]))


@pytest.mark.parametrize("split", [None, "val"])
@pytest.mark.parametrize("format", FORMATS)
def test_all_kinds_of_annotations(tmp_path: Path, format: str, split: str | None) -> None:
    images = [
        LabeledImage(
            "a.png",
            SIZE,
            (
                Instance(0, (3.25, 4.5, 20.125, 30.75)),
                instance_of(1, [TRIANGLE]),
                instance_of(0, [TRIANGLE, SQUARE]),
                instance_of(1, datasets.mask_rle()),
                Instance(1, (0.0, 0.0, 64.0, 48.0), iscrowd=True),
            ),
        ),
        LabeledImage("sub/empty.png", SIZE),
        LabeledImage("sub/b.png", SIZE, (instance_of(1, datasets.mask_rle(1), iscrowd=True), instance_of(0, [SQUARE]))),
    ]
    round_trip(tmp_path, format, images, CATEGORIES, split)


@pytest.mark.parametrize("format", FORMATS)
def test_overlapping_parts_have_the_same_pixels(tmp_path: Path, format: str) -> None:
    images = [LabeledImage("a.png", SIZE, (instance_of(0, [SQUARE, SQUARE + 3]), instance_of(1, [SQUARE])))]
    round_trip(tmp_path, format, images, CATEGORIES, tolerance=0.5)


@pytest.mark.parametrize("format", [name for name in FORMATS if name not in NO_MASKS])
def test_keypoints(tmp_path: Path, format: str) -> None:
    categories = replace(
        from_names(["person"]), keypoint_names=("nose", "left_eye", "right_eye"), skeleton=((0, 1), (0, 2))
    )
    points = np.array([[12.5, 8.25, 2], [30.125, 9, 1], [0, 0, 0]])
    all_points = np.array([[12.5, 8.25, 2], [30.125, 9, 1], [1, 2, 2]])
    images = [
        LabeledImage("a.png", SIZE, (Instance(0, (3.25, 4.5, 20.125, 30.75), keypoints=points),)),
        LabeledImage("b.png", SIZE, (Instance(0, (3.0, 4.0, 20.0, 30.0)),)),
        LabeledImage("c.png", SIZE, (Instance(0, (3.0, 4.0, 20.0, 30.0), keypoints=all_points),)),
    ]
    round_trip(tmp_path, format, images, categories)


def names(alphabet: str) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=1, max_size=8).map(str.strip).filter(lambda text: text.strip(". ") != "")


SIDES = st.integers(0, 4 * 40).map(lambda value: value / 4)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    class_names=st.lists(names("ab \"'&<>/:#,éß名🍎%{}[]-"), min_size=1, max_size=3, unique=True),
    image_names=st.lists(names("ab \"'&<>#,éß名🍎%{}[]-"), min_size=1, max_size=2, unique_by=str.lower),
    boxes=st.lists(st.tuples(SIDES, SIDES), max_size=3),
)
@pytest.mark.parametrize("format", FORMATS)
def test_odd_names(
    format: str, class_names: list[str], image_names: list[str], boxes: list[tuple[float, float]]
) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        used = [Instance(label, (1.0, 2.0, 30.0, 40.0)) for label in range(len(class_names))]
        further = [Instance(0, (x / 2, y / 2, 20.5, 22.25)) for x, y in boxes]
        images = [LabeledImage(f"{name}.png", SIZE, (*used, *further)) for name in image_names]
        round_trip(folder, format, images, from_names(class_names))
    finally:
        shutil.rmtree(folder)
