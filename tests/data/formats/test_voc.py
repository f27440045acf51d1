"""Reader of Pascal VOC annotations: content, and errors of wrong files."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from splitnest.data.detection.dataset import DetectionDataset
from splitnest.data.detection.open import open_dataset
from splitnest.data.formats.annotation_file import AnnotationFile
from splitnest.data.formats.voc import read_voc
from splitnest.errors import DataError, UsageError
from splitnest.recipe.data import CocoData, VocData
from splitnest.structures.categories import from_names

CLASSES = from_names(["cat", "dog"])
SIZE = "<size><width>50</width><height>40</height><depth>3</depth></size>"
BOX = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>20</xmax><ymax>30</ymax></bndbox>"


def xml(*objects: str, size: str = SIZE) -> str:
    body = "\n".join(f"<object>\n{text}\n</object>" for text in objects)
    return f"<annotation>\n<filename>other.jpg</filename>\n{size}\n{body}\n</annotation>"


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., AnnotationFile]:
    """Return a function that writes a split with the given files, and reads it."""

    def write_and_read(names: str = "a\n", **files: str | bytes) -> AnnotationFile:
        for folder in ("ImageSets/Main", "Annotations", "JPEGImages"):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        split = tmp_path / "ImageSets/Main/train.txt"
        split.write_text(names)
        for name, text in files.items():
            (tmp_path / f"Annotations/{name}.xml").write_bytes(text if isinstance(text, bytes) else text.encode())
            Image.new("RGB", (50, 40)).save(tmp_path / f"JPEGImages/{name}.png")
        return read_voc(split, tmp_path / "Annotations", tmp_path / "JPEGImages", CLASSES)

    return write_and_read


def test_no_images(read: Callable[..., AnnotationFile]) -> None:
    file = read("\n")
    assert len(file.image_ids) == len(file.ids) == 0
    assert file.categories == ((1, "cat"), (2, "dog"))
    assert file.has_annotations


def test_objects_become_coco_annotations(read: Callable[..., AnnotationFile]) -> None:
    part = f"<part><name>head</name>{BOX}</part>"
    file = read(
        "b\n  a \n\n",
        a=xml(),
        b=xml(
            f"<name> dog </name>{part}{BOX}", f"<name>cat</name><difficult>1</difficult>{BOX.replace('>1<', '>7.5<')}"
        ),
    )
    assert file.file_names == ("b.png", "a.png")
    assert file.sizes_hw.tolist() == [[40, 50]] * 2
    assert file.ids.tolist() == [1, 2]
    assert file.image_index.tolist() == [0, 0]
    assert file.category_index.tolist() == [1, 0]
    assert file.boxes_xywh.tolist() == [[0, 1, 20, 29], [6.5, 1, 13.5, 29]]
    assert file.areas.tolist() == [580, 391.5]
    assert file.iscrowd.tolist() == [False, True]


def test_box_that_ends_where_it_starts_has_no_area(read: Callable[..., AnnotationFile], tmp_path: Path) -> None:
    file = read(a=xml(f"<name>cat</name>{BOX.replace('>20<', '>1<')}", f"<name>cat</name>{BOX.replace('>2<', '>31<')}"))
    assert file.boxes_xywh.tolist() == [[0, 1, 0, 29], [0, 30, 20, 0]]
    dataset = DetectionDataset(tmp_path / "JPEGImages", file, tmp_path / "train.txt", CLASSES)
    xml_file = tmp_path / "Annotations/a.xml"
    assert dataset.problems == [f"{xml_file}, line {line}: its box has no area" for line in (4, 7)]


@pytest.mark.parametrize("size", ["", SIZE.replace("50", "0")])
def test_missing_size_is_read_from_the_image(read: Callable[..., AnnotationFile], size: str) -> None:
    assert read(a=xml(size=size)).sizes_hw.tolist() == [[40, 50]]


def test_missing_image_is_reported_by_check_files(read: Callable[..., AnnotationFile], tmp_path: Path) -> None:
    file = read(a=xml())
    (tmp_path / "JPEGImages/a.png").unlink()
    file = read_voc(tmp_path / "ImageSets/Main/train.txt", tmp_path / "Annotations", tmp_path / "JPEGImages", CLASSES)
    assert file.file_names == ("a.jpg",)
    dataset = DetectionDataset(tmp_path / "JPEGImages", file, tmp_path, CLASSES)
    assert dataset.check_files() == [str(tmp_path / "JPEGImages" / "a.jpg")]


BOMB = """<?xml version="1.0"?>
<!DOCTYPE annotation [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<annotation><filename>&b;</filename></annotation>"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"a\.xml, line 1: invalid XML \(no element found\)"),
        ("<annotation>\n<object>\n</annotation>", r"a\.xml, line 3: invalid XML \(mismatched tag\)"),
        ("<annotation>&a;</annotation>", r"line 1: invalid XML \(undefined entity\)"),
        ("<kml/>", "its root element is kml"),
        (b"\xff\xfe<\x00", "a.xml is not UTF-8 text"),
        (BOMB, "has a document type declaration, which annotation files do not use"),
        (BOMB.encode("utf-16"), "is not UTF-8 text"),
        (xml(f"<name>cow</name>{BOX}"), r"a\.xml, line 4: class 'cow' is not a class of .* Its classes are cat, dog\."),
        (xml(f"<name> </name>{BOX}"), "line 4: this object has no name"),
        (xml("<name>cat</name>"), "line 4: this cat has no bndbox"),
        (xml(f"<name>cat</name>\n{BOX}", f"<name>cat</name>\n\n{BOX.replace('>20<', '>wide<')}"),
         r"a\.xml, line 11: xmax is 'wide', not a number"),
        (xml(f"<name>cat</name>{BOX.replace('>20<', '>inf<')}"), "xmax is 'inf', not a number"),
        (xml(f"<name>cat</name>{BOX.replace('ymax', 'y')}"), "line 5: this bndbox has no ymax"),
        (xml(size="<size><width>5</width></size>"), "line 3: this size has no height"),
    ],
)  # fmt: skip
def test_wrong_files_are_rejected(read: Callable[..., AnnotationFile], text: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(a=text)


def test_wrong_lists_are_rejected(read: Callable[..., AnnotationFile], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train\.txt, line 2: there should be one image name, not 'b -1'"):
        read("a\nb -1\n", a=xml(), b=xml())
    with pytest.raises(DataError, match=r"c\.xml cannot be read: it does not exist"):
        read("a\nc\n", a=xml())
    with pytest.raises(DataError, match=r"test\.txt cannot be read"):
        read_voc(tmp_path / "test.txt", tmp_path, tmp_path, CLASSES)


def test_recipe_opens_a_dataset(read: Callable[..., AnnotationFile], tmp_path: Path) -> None:
    read(a=xml(f"<name>cat</name>{BOX}"))
    data = VocData(format="voc", classes=("cat", "dog"), root=str(tmp_path), train_images="JPEGImages")
    with pytest.raises(UsageError, match=r"data\.train_annotations is not set\. Give the list of image names"):
        open_dataset(data, "train", CLASSES)
    dataset = open_dataset(data.model_copy(update={"train_annotations": "ImageSets/Main/train.txt"}), "train", CLASSES)
    assert dataset.categories == CLASSES
    assert dataset[0].boxes.tolist() == [[0, 1, 20, 30]]
    assert dataset[0].image.shape == (40, 50, 3)


def test_recipe_without_paths_is_rejected(tmp_path: Path) -> None:
    data = CocoData(classes=("cat",))
    with pytest.raises(UsageError, match=r"data\.root is not set"):
        open_dataset(data, "val", CLASSES)
    data = data.model_copy(update={"root": str(tmp_path)})
    with pytest.raises(UsageError, match=r"data\.val_images is not set\. Give the image folder, relative"):
        open_dataset(data, "val", CLASSES)
    data = data.model_copy(update={"val_images": ".", "val_annotations": "a.json"})
    with pytest.raises(UsageError, match=r"data\.train_images is not set"):
        open_dataset(data, "train", CLASSES)
    content = {"images": [], "annotations": [], "categories": [{"id": 7, "name": "cat"}, {"id": 9, "name": "dog"}]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert open_dataset(data, "val", CLASSES).categories.ids == (7, 9)


def test_real_annotations(shared_data: Callable[[str], Path]) -> None:
    root = shared_data("bccd")
    classes = from_names(["RBC", "WBC", "Platelets"])
    total = np.zeros(3, int)
    problems: list[str] = []
    for split, count in (("train", 205), ("val", 87), ("test", 72)):
        path = root / f"ImageSets/Main/{split}.txt"
        file = read_voc(path, root / "Annotations", root / "JPEGImages", classes)
        dataset = DetectionDataset(root / "JPEGImages", file, path, classes)
        assert len(dataset) == count
        assert dataset.check_files() == []
        total += np.bincount(file.category_index, minlength=3)
        problems += dataset.problems
    assert total.tolist() == [4155, 372, 361]
    assert problems == [
        f"{root}/Annotations/BloodImage_00343.xml, line 50: its box has no area",
        f"{root}/Annotations/BloodImage_00338.xml, line 158: its box has no area",
    ]
