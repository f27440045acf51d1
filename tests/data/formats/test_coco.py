"""Reader of COCO detection files: content, and errors of wrong files."""

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from splitnest.data.detection.dataset import DetectionDataset
from splitnest.data.formats.coco import read_coco
from splitnest.errors import DataError
from splitnest.structures.categories import from_names
from splitnest.structures.class_tables import class_table

TRIANGLE = [10.0, 10.0, 30.0, 10.0, 10.0, 30.5]
CONTENT: dict[str, Any] = {
    "info": {"bbox": [0, 0, 1, 1], "image_id": "of no annotation"},
    "images": [
        {"id": 70, "file_name": "a.png", "height": 40, "width": 50, "license": 3},
        {"id": 7, "file_name": "b.png", "height": 20, "width": 30},
        {"id": 9, "file_name": "empty.png", "height": 20, "width": 30},
    ],
    "annotations": [
        {"id": 5, "image_id": 7, "category_id": 18, "bbox": [1, 2, 3.5, 4], "area": 9.5, "iscrowd": 0, "x": {"y": 1}},
        {"id": 900, "image_id": 70, "category_id": 1, "bbox": [10, 10, 20, 20.5], "area": 205.0, "iscrowd": 0,
         "segmentation": [TRIANGLE, [0, 0, 4, 0, 4, 4, 0, 4]]},
        {"id": 6, "image_id": 7, "category_id": 1, "bbox": [0, 0, 30, 20], "area": 600, "iscrowd": 1,
         "segmentation": {"size": [20, 30], "counts": [0, 600]}},
        {"id": 8, "image_id": 7, "category_id": 1, "bbox": [0, 0, 5, 20], "segmentation":
         {"size": [20, 30], "counts": "0T3P<"}},
    ],
    "categories": [{"id": 18, "name": "dog", "supercategory": "animal"}, {"id": 1, "name": "person"}],
}  # fmt: skip


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any], Path]:
    """Return a function that writes an annotation file beside its images."""
    for image in CONTENT["images"]:
        Image.new("RGB", (image["width"], image["height"]), (image["id"], 0, 0)).save(tmp_path / image["file_name"])

    def write_content(content: Any) -> Path:
        path = tmp_path / "annotations.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write_content


def changed(*keys: str | int, to: Any = None, delete: bool = False) -> dict[str, Any]:
    content: Any = copy.deepcopy(CONTENT)
    parent = content
    for key in keys[:-1]:
        parent = parent[key]
    if delete:
        del parent[keys[-1]]
    else:
        parent[keys[-1]] = to
    return content


def test_empty_file(write: Callable[[Any], Path]) -> None:
    path = write({"images": [], "annotations": [], "categories": []})
    dataset = DetectionDataset.from_coco(path.parent, path)
    assert len(dataset) == 0
    assert dataset.image_ids == dataset.problems == dataset.check_files() == []
    assert dataset.has_annotations


def test_annotations_of_an_image(write: Callable[[Any], Path]) -> None:
    path = write(CONTENT)
    dataset = DetectionDataset.from_coco(path.parent, path)
    assert dataset.image_ids == [70, 7, 9]
    assert dataset.categories.ids == (1, 18)
    assert dataset.categories.names == ("person", "dog")
    sample = dataset[1]
    assert (sample.image_id, sample.file_name, sample.image.shape) == (7, "b.png", (20, 30, 3))
    assert sample.image[0, 0].tolist() == [7, 0, 0]
    assert sample.boxes.dtype == np.float32
    assert sample.boxes.tolist() == [[1, 2, 4.5, 6], [0, 0, 30, 20], [0, 0, 5, 20]]
    assert sample.labels.tolist() == [1, 0, 0]
    assert sample.iscrowd.tolist() == [False, True, False]
    assert sample.areas.tolist() == [9.5, 600, 100]
    assert dataset[0].image_id == 70
    with pytest.raises(IndexError):
        dataset[3]


def test_segmentations_are_polygons_or_rle(write: Callable[[Any], Path]) -> None:
    path = write(CONTENT)
    dataset = DetectionDataset.from_coco(path.parent, path)
    (polygons,) = dataset[0].segmentations
    assert [polygon.tolist() for polygon in polygons] == [TRIANGLE, [0, 0, 4, 0, 4, 4, 0, 4]]
    none, from_list, from_string = dataset[1].segmentations
    assert none == []
    assert from_list == {"size": [20, 30], "counts": "0hb0"}
    assert from_string == {"size": [20, 30], "counts": "0T3P<"}
    assert dataset[1].segmentations[1:] == [from_list, from_string]


def test_image_without_annotations(write: Callable[[Any], Path]) -> None:
    path = write(CONTENT)
    sample = DetectionDataset.from_coco(path.parent, path)[2]
    assert sample.boxes.shape == (0, 4)
    assert sample.labels.shape == sample.areas.shape == sample.iscrowd.shape == (0,)
    assert list(sample.segmentations) == []


def test_pickled_sample_has_only_its_own_segmentations(write: Callable[[Any], Path]) -> None:
    content = copy.deepcopy(CONTENT)
    content["annotations"][1]["segmentation"] *= 2000
    path = write(content)
    pickled = pickle.dumps(DetectionDataset.from_coco(path.parent, path)[1])
    assert len(pickled) < 5000
    assert pickle.loads(pickled).segmentations == [
        [],
        *DetectionDataset.from_coco(path.parent, path)[1].segmentations[1:],
    ]


def test_other_lists_of_the_file_are_ignored(write: Callable[[Any], Path]) -> None:
    other = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1]}
    content = {"predictions": [other], **CONTENT, "note": {"a": other}}
    assert read_coco(write(content)).ids.tolist() == [5, 900, 6, 8]


def test_ids_may_be_strings(write: Callable[[Any], Path]) -> None:
    content = copy.deepcopy(CONTENT)
    for row in content["images"] + content["categories"]:
        row["id"] = str(row["id"])
    for row in content["annotations"]:
        row["image_id"] = f"0{row['image_id']}"
    file = read_coco(write(content))
    assert file.image_ids.tolist() == [70, 7, 9]
    assert file.image_index.tolist() == [1, 0, 1, 1]


def test_file_without_annotations_is_a_test_set(write: Callable[[Any], Path]) -> None:
    path = write(changed("annotations", delete=True))
    dataset = DetectionDataset.from_coco(path.parent, path)
    assert not dataset.has_annotations
    assert len(dataset) == 3
    assert dataset[0].boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"annotations\.json is not valid JSON .*line 1"),
        ("[" * 100_000, "is not valid JSON"),
        ([], "its top level is not a JSON object"),
        (changed("images", delete=True), "has no key 'images'"),
        (changed("categories", delete=True), "has no key 'categories'"),
        (changed("annotations", to={}), "'annotations' is not a list"),
        (changed("annotations", 1, to=3), r"annotations\[1\] is not a JSON object"),
        (changed("images", 1, "width", delete=True), r"images\[1\] \(id 7, file_name b\.png\) has no key 'width'"),
        (changed("images", 1, "id", to=70), "image id 70 occurs more than once"),
        (changed("images", 1, "id", to=-1), "'id' is -1, not an integer from 0"),
        (changed("images", 1, "id", to=2**70), r"'id' is 1180591620717411303424, not an integer from 0"),
        (changed("images", 1, "height", to=str(2**70)), "'height' is 1180591620717411303424, not an integer from 0"),
        (changed("categories", 0, "id", to=2**63), "not an integer from 0"),
        (changed("images", 1, "width", to=0), "its size is 0 x 20: height and width are at least 1"),
        (changed("images", 1, "height", to="?"), "'height' is '\\?', not an integer from 0"),
        (changed("categories", 0, "id", to=1), "category id 1 occurs more than once"),
        (changed("categories", 0, "name", delete=True), r"categories\[0\] \(id 18\) has no key 'name'"),
        (changed("annotations", 1, "id", to=5), "annotation id 5 occurs more than once"),
        (changed("annotations", 1, "id", delete=True), r"annotations\[1\] \(image_id 70\) has no key 'id'"),
        (changed("annotations", 1, "bbox", delete=True), r"annotations\[1\] \(id 900, image_id 70\) has no key 'bbox'"),
        (changed("annotations", 1, "bbox", to=[1, 2, 3]), r"\(id 900, image_id 70\): 'bbox' is \[1, 2, 3\], not four"),
        (changed("annotations", 1, "bbox", to=[1, 2, 3, "4"]), "'bbox' is not a list of numbers"),
        (
            changed("annotations", 1, "bbox", to=[1, 2, 3, float("nan")]),
            "annotation 900 of a.png: 'bbox' has the number nan, which is not finite",
        ),
        (changed("annotations", 1, "category_id", to=2), r"annotation 900 of image a\.png has category 2"),
        (changed("annotations", 1, "category_id", to=99), r"annotation 900 of image a\.png has category 99"),
        (
            changed("annotations", 1, "image_id", to=8),
            "annotation 900 belongs to image 8, which the file does not",
        ),
        (changed("annotations", 1, "image_id", to=2**70), r"annotations\[1\]"),
        (changed("annotations", 1, "area", to="big"), "'area' is not a list of numbers"),
        (changed("annotations", 1, "segmentation", to=TRIANGLE), "'segmentation' is not a list of numbers"),
        (changed("annotations", 1, "segmentation", to={"size": [40, 50]}), "has no key 'counts'"),
        (changed("annotations", 1, "segmentation", to={"size": [40], "counts": [0, 9]}), r"id 900.*length 2"),
        (changed("annotations", 1, "segmentation", to={"size": [4, 5], "counts": [0, 9, 99]}), "exceed h\\*w=20"),
    ],
)
def test_wrong_files_are_rejected(write: Callable[[Any], Path], content: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_coco(write(content))


def test_missing_files_are_reported(write: Callable[[Any], Path], tmp_path: Path) -> None:
    path = write(changed("images", 1, "file_name", to="absent.png"))
    dataset = DetectionDataset.from_coco(tmp_path, path)
    assert dataset.check_files() == [str(dataset.images_dir / "absent.png")]
    with pytest.raises(DataError, match=r"absent\.png does not exist"):
        dataset[1]
    with pytest.raises(DataError, match=r"absent\.json cannot be read"):
        DetectionDataset.from_coco(tmp_path, tmp_path / "absent.json")
    with pytest.raises(DataError, match="absent is not a folder"):
        DetectionDataset.from_coco(tmp_path / "absent", path)


def test_image_of_another_size_is_rejected(write: Callable[[Any], Path], tmp_path: Path) -> None:
    dataset = DetectionDataset.from_coco(tmp_path, write(changed("images", 0, "width", to=51)))
    with pytest.raises(DataError, match=r"a\.png has 50 x 40 pixels upright, but .* gives 51 x 40"):
        dataset[0]


def test_anomalies_are_kept_and_listed(write: Callable[[Any], Path], tmp_path: Path) -> None:
    content = copy.deepcopy(CONTENT)
    content["annotations"][0]["bbox"] = [1, 2, 0, 4]
    content["annotations"][1]["segmentation"][1] = [0, 0, 1, 1]
    content["annotations"][2]["bbox"] = [20, 10, 30, 5]
    content["annotations"][3]["bbox"] = [-0.5, 0, 31, 20.9]  # within the tolerance for rounding
    dataset = DetectionDataset.from_coco(tmp_path, write(content))
    assert dataset.problems == [
        "annotation 5 of b.png: its box has no area",
        "annotation 6 of b.png: its box crosses the image border",
        "annotation 900 of a.png: a polygon has fewer than three vertices, or an odd number of coordinates",
    ]
    assert dataset[1].boxes[:2].tolist() == [[1, 2, 1, 6], [20, 10, 50, 15]]


def test_classes_of_file_and_model_are_matched(write: Callable[[Any], Path], tmp_path: Path) -> None:
    path = write(CONTENT)
    own = from_names(["person", "dog"])
    dataset = DetectionDataset.from_coco(tmp_path, path, own)
    assert dataset.categories.ids == (1, 18)  # same names, ids of the file
    assert [category.color for category in dataset.categories] == [category.color for category in own]
    subset_of_coco = DetectionDataset.from_coco(tmp_path, path, class_table("coco"))
    assert subset_of_coco.categories is class_table("coco")
    assert subset_of_coco[1].labels.tolist() == [16, 0, 0]
    for classes, message in (
        (from_names(["dog", "person"]), "the order differs, person has id 1, dog has id 18"),
        (from_names(["person", "cat"]), "only the file has dog; only the model has cat"),
        (from_names(["person"]), "only the file has dog"),
        (from_names(["person", "dog", "a", "b", "c", "d", "e", "f"]), "only the model has a, b, c, d, e and 1 more"),
        (class_table("cityscapes"), "only the file has dog"),
    ):
        with pytest.raises(DataError, match=message):
            DetectionDataset.from_coco(tmp_path, path, classes)


@pytest.mark.parametrize("split", ["train2017", "val2017"])
def test_real_annotations_match_pycocotools(
    shared_data: Callable[[str], Path], split: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    folder = shared_data("coco_mini")
    path = folder / "annotations" / f"instances_{split}.json"
    dataset, reference = DetectionDataset.from_coco(folder / split, path, class_table("coco")), coco.COCO(path)
    assert dataset.image_ids == reference.getImgIds()
    assert dataset.check_files() == []
    monkeypatch.setattr(dataset, "read", lambda _: np.zeros((1, 1, 3), np.uint8))  # the images are not compared
    for index, image_id in enumerate(dataset.image_ids):
        sample, annotations = dataset[index], reference.loadAnns(reference.getAnnIds(image_id))
        assert [dataset.categories[label].id for label in sample.labels] == [a["category_id"] for a in annotations]
        boxes = np.array([annotation["bbox"] for annotation in annotations]).reshape(-1, 4)
        corners = np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])
        assert np.array_equal(sample.boxes, corners.astype(np.float32))
        for segmentation, annotation in zip(sample.segmentations, annotations, strict=True):
            expected = reference.annToRLE(annotation)
            if isinstance(segmentation, dict):
                assert segmentation["counts"].encode() == expected["counts"]
            else:
                assert [polygon.tolist() for polygon in segmentation] == annotation["segmentation"]
