"""Results of all tasks in the formats that can hold them."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import datasets
from splitnest.data.editing.open import open_dataset
from splitnest.data.writers.crops import NO_AREA, NO_FILE, CropWriter
from splitnest.data.writers.formats import DATASET_FORMATS, FORMATS, TABLE_FORMATS, check_formats, parse_formats
from splitnest.data.writers.image_files import ImageFiles, ImageNames, plain_path
from splitnest.data.writers.labeled_image import Instance, LabeledImage, image_of_result
from splitnest.data.writers.masks import NO_MASK, MaskWriter
from splitnest.data.writers.tables import result_rows
from splitnest.errors import DataError, UsageError
from splitnest.structures import Classification, Detections, PanopticSegmentation, Poses, Result, SemanticSegmentation
from splitnest.structures.categories import Categories, Category, from_names

SIZE = (6, 9)
CLASSES = Categories((Category(1, "dog/cat", (1, 2, 3)), Category(9, "sky", (4, 5, 6), False)))
PERSON = Categories(from_names(["person"]).items, keypoint_names=("nose", "left_eye"), skeleton=((0, 1),))


def detections(masks: bool = True) -> Detections:
    dense = np.zeros((2, *SIZE), bool)
    dense[0, 1:3, 2:5] = dense[1, 2:, :4] = True
    return Detections(
        np.array([[2, 1, 5, 3], [0, 2, 4, 6]], np.float32),
        np.array([0.9, 0.25], np.float32),
        np.array([0, 0]),
        dense if masks else None,
        image_size=SIZE,
        categories=CLASSES,
    )


def poses() -> Poses:
    return Poses(
        np.array([[[1, 2], [3.5, 2]]], np.float32),
        np.array([[0.5, 0.1]], np.float32),
        np.array([[0, 1, 5, 6]], np.float32),
        np.array([0.8], np.float32),
        image_size=SIZE,
        categories=PERSON,
    )


def panoptic() -> PanopticSegmentation:
    segments = np.full(SIZE, 7, np.int32)
    segments[0], segments[2:4, 3:6] = 0, 300
    infos = [
        {"id": 300, "category": 0, "isthing": True, "score": 0.75, "area": 6},
        {"id": 7, "category": 1, "isthing": False, "score": None, "area": 39},
    ]
    return PanopticSegmentation(segments, infos, image_size=SIZE, categories=CLASSES)  # type: ignore[arg-type]


def semantic() -> SemanticSegmentation:
    labels = np.full(SIZE, 255, np.uint8)
    labels[1:3], labels[4:, 2:5] = 1, 0
    return SemanticSegmentation(labels, image_size=SIZE, categories=CLASSES)


def classification() -> Classification:
    return Classification(np.array([0.25, 0.75], np.float32), image_size=SIZE, categories=CLASSES)


RESULTS = {
    "detection": detections(masks=False),
    "instance": detections(),
    "pose": poses(),
    "semantic": semantic(),
    "panoptic": panoptic(),
    "classification": classification(),
}


def categories_of(result: Result) -> Categories:
    return result.categories


def image_of(result: Result, path: Path | None = None, score: float = 0.0) -> LabeledImage:
    categories = categories_of(result)
    labels = {name: label for label, name in enumerate(categories.names)}
    return image_of_result("a.png", path, result.to_dict(), labels, [score] * len(categories))


def test_empty_results(tmp_path: Path) -> None:
    empty = (
        Detections.empty(SIZE, CLASSES, masks=True),
        Poses.empty(SIZE, PERSON),
        SemanticSegmentation.empty(SIZE, CLASSES),
        PanopticSegmentation.empty(SIZE, CLASSES),
    )
    for result in empty:
        assert image_of(result).instances == ()
        assert result_rows("a.png", result.to_dict(), result.categories, [0.0, 0.0]) == []


@pytest.mark.parametrize("task", [task for task in RESULTS if task != "classification"])
@pytest.mark.parametrize("format", DATASET_FORMATS)
def test_every_task_is_read_back(tmp_path: Path, task: str, format: str) -> None:
    result = RESULTS[task]
    try:
        check_formats([format], task)
    except UsageError:
        pytest.skip("refused, see below")
    datasets.write_images(tmp_path / "source", ["a.png"], SIZE)
    image = image_of(result, tmp_path / "source" / "a.png")
    datasets.write_dataset(tmp_path / "out", format, [image], categories_of(result))
    (found,) = datasets.images_of(dataset := open_dataset(tmp_path / "out")).values()
    names = tuple(name for _, name in dataset.splits[0].file.categories)
    datasets.assert_equal_images(
        image if format != "voc" else LabeledImage("a.png", SIZE, tuple(_boxes(image))),
        found,
        (categories_of(result).names, names),
        boxes=1.0,
        masks=format != "voc",
    )


def _boxes(image: LabeledImage) -> list[Instance]:
    return [Instance(instance.label, instance.box_xywh) for instance in image.instances]


def test_formats_that_cannot_hold_a_task_are_refused() -> None:
    refused = {
        (task, format)
        for task in RESULTS
        for format in FORMATS
        if _is_refused(task, format)
    }  # fmt: skip
    of_classification = {("classification", format) for format in FORMATS if format not in TABLE_FORMATS}
    others = {
        ("semantic", "voc"),
        ("semantic", "crops"),
        ("panoptic", "voc"),
        ("detection", "masks"),
        ("pose", "masks"),
    }
    assert refused == of_classification | others
    with pytest.raises(UsageError, match=r"voc cannot hold .* the class of each pixel\. Write coco, .* or parquet"):
        check_formats(["voc"], "semantic")


def _is_refused(task: str, format: str) -> bool:
    try:
        check_formats([format], task)
    except UsageError:
        return True
    return False


def test_list_of_formats() -> None:
    assert parse_formats("COCO, yolo,label-studio,labelstudio,coco") == ["coco", "yolo", "label_studio"]


def test_masks_of_instances_and_pixels(tmp_path: Path) -> None:
    for name, result in (("instance", detections()), ("semantic", semantic()), ("panoptic", panoptic())):
        (tmp_path / name).mkdir()
        writer = MaskWriter(tmp_path / name, CLASSES, ImageFiles())
        writer.add(image_of(result), "val")
        writer.finish()
        labels, ids = (np.asarray(Image.open(tmp_path / name / f / "val" / "a.png")) for f in ("labels", "instances"))
        if isinstance(result, SemanticSegmentation):
            assert (labels == result.labels).all()
        elif isinstance(result, PanopticSegmentation):
            assert ((ids == 1) == (result.segments == 300)).all()
            assert ((labels == 1) == (result.segments == 7)).all()
        else:
            assert ids[2, 2:4].tolist() == [1, 1]  # the higher score covers the other
            assert set(labels.ravel().tolist()) == {0, 255}
        assert (tmp_path / name / "classes.txt").read_text() == "dog/cat\nsky\n"
    assert Image.open(tmp_path / "semantic" / "labels" / "val" / "a.png").getpalette()[:6] == [1, 2, 3, 4, 5, 6]
    writer.add(image_of(detections(masks=False)), None)
    assert writer.notes == {NO_MASK: 2}


def test_crops(tmp_path: Path) -> None:
    datasets.write_images(tmp_path, ["a.png"], SIZE)
    (tmp_path / "out").mkdir()
    classes = from_names(["dog/cat", "dog_cat", "..", "DOG_cat"])
    writer = CropWriter(tmp_path / "out", classes, ImageFiles())
    boxes = [Instance(0, (2, 1, 3, 2)), Instance(1, (0.5, 0.5, 1, 1)), Instance(2, (-5, -5, 30, 30)),
             Instance(3, (20, 20, 5, 5)), Instance(3, (8, 5, 5, 5))]  # fmt: skip
    writer.add(LabeledImage("sub/a.png", SIZE, tuple(boxes), tmp_path / "a.png"), None)
    writer.add(LabeledImage("b.png", SIZE, (boxes[0],), tmp_path / "missing.png"), None)
    writer.add(LabeledImage("c.png", (9, 9), (boxes[0],), tmp_path / "a.png"), None)
    found = {
        str(path.relative_to(tmp_path / "out")): Image.open(path).size for path in (tmp_path / "out").rglob("*.jpg")
    }
    assert found == {
        "dog_cat/sub_a-1.jpg": (3, 2),
        "dog_cat-2/sub_a-2.jpg": (2, 2),
        "image/sub_a-3.jpg": (9, 6),
        "DOG_cat-3/sub_a-5.jpg": (1, 1),
    }
    assert writer.notes == {NO_AREA: 1, NO_FILE: 2}


@pytest.mark.parametrize("task", RESULTS)
def test_tables(tmp_path: Path, task: str) -> None:
    result = RESULTS[task]
    categories = categories_of(result)
    rows = result_rows('x/ü,"1".png', result.to_dict(), categories, [0.5] * len(categories))
    writer = TABLE_FORMATS["csv"](tmp_path / "a.csv", task, categories)
    writer.add(rows)
    writer.finish()
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(rows) == {"detection": 1, "instance": 1, "pose": 1}.get(task, 2)
    for text, row in zip(table, rows, strict=True):
        assert {key: "" if value is None else str(value) for key, value in row.items() if key in text} == text
    pyarrow = pytest.importorskip("pyarrow.parquet")
    parquet = TABLE_FORMATS["parquet"](tmp_path / "a.parquet", task, categories)
    parquet.add(rows)
    parquet.finish()
    read = pyarrow.read_table(tmp_path / "a.parquet").to_pylist()
    assert read == [{name: row.get(name) for name in read[0]} for row in rows]


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"need the package pyarrow, .*pip install 'splitnest\[tables\]'"):
        TABLE_FORMATS["parquet"](tmp_path / "a.parquet", "detection", CLASSES)


def test_image_names_differ_without_suffix_and_case() -> None:
    names = ImageNames()
    given = ["a.jpg", "A.png", "a.jpg", "sub/a.jpg", "../../etc/passwd", "/x/.b.png", "c\nd.png", "  ", "..", "C_D.png"]
    assert [names.next(name) for name in given] == [
        "a.jpg", "A-2.png", "a-3.jpg", "sub/a.jpg", "etc/passwd.jpg", "x/_.b.png", "c_d.png", "image.jpg",
        "image-2.jpg", "C_D-2.png",
    ]  # fmt: skip
    assert str(plain_path("..\\..\\a/./b//c")) == "a/b/c"
    assert len(plain_path("ü" * 300).name.encode()) <= 200


@pytest.mark.parametrize("format", ["voc", "cvat", "label_studio"])
def test_control_characters_are_not_written_as_xml(tmp_path: Path, format: str) -> None:
    with pytest.raises(DataError, match=r"The name 'a.x00b' has a control character, which XML cannot hold"):
        DATASET_FORMATS[format](tmp_path, from_names(["a\0b"]), ImageFiles())
