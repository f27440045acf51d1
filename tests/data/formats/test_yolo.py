"""Reader of YOLO annotations: content, and errors of wrong files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from splitnest.data.detection.open import open_dataset
from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.yolo import _instance, read_yolo
from splitnest.data.images.read import read_image
from splitnest.data.images.size import image_size
from splitnest.errors import DataError, UsageError
from splitnest.recipe.data import YoloData
from splitnest.structures.categories import from_names

CLASSES = from_names(["cat", "dog"])


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., AnnotationFile]:
    """Return a function that writes images 50 wide and 40 high with the given text files, and reads them."""
    for folder in ("images/val/far", "labels/val/far"):
        (tmp_path / folder).mkdir(parents=True)

    def write_and_read(**files: str | bytes | None) -> AnnotationFile:
        for name, text in files.items():
            name = name.replace("__", "/")
            Image.new("RGB", (50, 40)).save(tmp_path / f"images/val/{name}.png")
            if text is not None:
                path = tmp_path / f"labels/val/{name}.txt"
                path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_yolo(tmp_path / "labels/val", tmp_path / "images/val", CLASSES)

    return write_and_read


def test_no_images(read: Callable[..., AnnotationFile]) -> None:
    file = read()
    assert len(file.image_ids) == len(file.ids) == 0
    assert file.categories == ((1, "cat"), (2, "dog"))


def test_boxes_and_polygons(read: Callable[..., AnnotationFile]) -> None:
    file = read(
        b="1 0.5 0.5 0.2 0.1\n\n0 0.1 0.25 0.5 0.25 0.5 0.75\n",
        a="",
        far__c=None,
        d="\ufeff1.0 0.01 0.5 0.04 0.2\r\n",
    )
    assert file.file_names == ("a.png", "b.png", "d.png", "far/c.png")
    assert file.sizes_hw.tolist() == [[40, 50]] * 4
    assert file.image_index.tolist() == [1, 1, 2]
    assert file.category_index.tolist() == [1, 0, 1]
    np.testing.assert_allclose(file.boxes_xywh, [[20, 18, 10, 4], [5, 10, 20, 20], [-0.5, 16, 2, 8]])
    np.testing.assert_allclose(file.areas, [40, 200, 16])
    assert file.segmentations.of(0) == file.segmentations.of(2) == []
    (polygon,) = file.segmentations.of(1)
    np.testing.assert_allclose(polygon, [5, 10, 25, 10, 25, 30])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.2", r"a\.txt, line 2: 3 numbers follow the class; a box has 4"),
        ("0 0.5 0.5 0.2 0.2 0.9", "5 numbers follow the class"),
        ("0 0.5 0.5 0.2 0.2 0.9 0.1 0.1", "7 numbers follow the class"),
        ("0", "0 numbers follow the class"),
        ("2 0.5 0.5 0.2 0.2", r"class 2 is not in data\.classes, whose numbers range from 0 to 1"),
        ("-1 0.5 0.5 0.2 0.2", "class -1 is not in data"),
        ("0.5 0.5 0.5 0.2 0.2", "class 0.5 is not in data"),
        ("cat 0.5 0.5 0.2 0.2", "could not convert string to float: 'cat'"),
        ("0 0.5 nan 0.2 0.2", "nan is not a number"),
        ("0 25 20 10 8", "coordinates should be fractions of the width and height, from 0 to 1"),
        ("0 0.5 -0.1 0.2 0.2", "coordinates should be fractions"),
    ],
)
def test_wrong_lines_are_rejected(read: Callable[..., AnnotationFile], line: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(a=f"0 0.5 0.5 0.2 0.2\n{line}\n")


def test_wrong_files_are_rejected(read: Callable[..., AnnotationFile], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.txt cannot be read as text"):
        read(a=b"\xff\xfe\x00")
    (tmp_path / "labels/val/a.txt").unlink()
    with pytest.raises(DataError, match=r"labels/test is not a folder"):
        read_yolo(tmp_path / "labels/test", tmp_path / "images/val", CLASSES)


def test_recipe_opens_a_dataset(read: Callable[..., AnnotationFile], tmp_path: Path) -> None:
    read(a="1 0.5 0.5 0.2 0.1")
    data = YoloData(format="yolo", classes=("cat", "dog"), root=str(tmp_path), val_images="images/val")
    dataset = open_dataset(data, "val", CLASSES)
    np.testing.assert_allclose(dataset[0].boxes, [[20, 18, 30, 22]])
    assert dataset[0].labels.tolist() == [1]
    same = data.model_copy(update={"val_annotations": "labels/val"})
    assert open_dataset(same, "val", CLASSES).file.ids.tolist() == [1]
    elsewhere = data.model_copy(update={"val_images": "photos/val"})
    with pytest.raises(UsageError, match=r"data\.val_annotations is not set, and photos/val has no part 'images'"):
        open_dataset(elsewhere, "val", CLASSES)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=4, max_size=4), st.tuples(st.integers(1, 2000), st.integers(1, 2000)))
def test_boxes_round_trip(fractions: list[float], size_hw: tuple[int, int]) -> None:
    height, width = size_hw
    x1, y1, box_width, box_height = _instance(["0", *map(repr, fractions)], size_hw, CLASSES)["bbox"]
    again = [(x1 + box_width / 2) / width, (y1 + box_height / 2) / height, box_width / width, box_height / height]
    np.testing.assert_allclose(again, fractions, atol=1e-9)


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
@pytest.mark.parametrize("orientation", range(9))
def test_image_size_is_that_of_the_upright_image(tmp_path: Path, orientation: int, name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / name
    Image.new("RGB", (50, 40)).save(path, exif=exif)
    assert image_size(path) == read_image(path).shape[:2]
