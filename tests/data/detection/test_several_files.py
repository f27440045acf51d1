"""Several files of COCO, VOC and YOLO as one dataset."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import splitnest
from helpers.detection_files import write_image, write_xml, write_yolo
from helpers.tiny_detector import CLASSES, CONTENT
from splitnest import zoo
from splitnest.data.detection.dataset import DetectionDataset
from splitnest.data.scenes import Scenes
from splitnest.errors import DataError, UsageError
from splitnest.metrics.coco import CocoEvaluator
from splitnest.recipe import overrides
from splitnest.recipe.serialization import from_json, to_json
from splitnest.tasks import task_of

FILES = ["annotations/instances_a.json", "annotations/instances_b.json"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    Scenes(2, (64, 96), 0).write_coco(tmp_path, "a")
    Scenes(3, (64, 96), 1).write_coco(tmp_path, "b")
    return tmp_path


def recipe_of(folder: Path, **data: Any) -> Any:
    values = {"format": "coco", "root": str(folder), "classes": list(CLASSES), "val_images": None, **data}
    content = {**{key: value for key, value in CONTENT.items() if key != "base"}, "data": values}
    return overrides.apply(zoo.get(CONTENT["base"]), content)


def open_dataset(recipe: Any) -> DetectionDataset:
    dataset = task_of(recipe).open_dataset(recipe, "train")
    assert isinstance(dataset, DetectionDataset)
    return dataset


def change(path: Path, key: str, row: int, **values: Any) -> None:
    content = json.loads(path.read_text())
    content[key][row] |= values
    path.write_text(json.dumps(content))


def test_several_files_are_one_dataset(root: Path) -> None:
    recipe = recipe_of(root, train_images=["a", "b"], train_annotations=FILES)
    assert from_json(to_json(recipe)) == recipe
    dataset = open_dataset(recipe)
    names = [dataset.name(index) for index in (0, 1, 2)]
    assert names == ["a/000000000001.png", "a/000000000002.png", "b/000000000001.png"]
    assert dataset.image_ids == [1, 2, 3, 4, 5]  # both files count from 1
    scenes = [*Scenes(2, (64, 96), 0), *Scenes(3, (64, 96), 1)]
    for index, scene in enumerate(scenes):
        truth = dataset.ground_truth(index, masks=True)
        assert np.array_equal(dataset.read(index), scene.image)
        assert truth.labels.tolist() == [each.label for each in scene.objects]
        assert np.array_equal(truth.masks, [each.mask for each in scene.objects])
    assert dataset.check_files() == []
    assert str(root / FILES[1]) in dataset.inputs


def test_perfect_detections_of_several_files(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    dataset = open_dataset(recipe_of(root, train_images=["a", "b"], train_annotations=FILES))
    evaluator = CocoEvaluator(dataset, ("bbox", "segm"))
    for index in range(len(dataset)):
        evaluator.update(dataset.image_id(index), dataset.ground_truth(index, masks=True))
    metrics = evaluator.compute()
    assert (metrics["box_ap"], metrics["mask_ap"]) == (1, 1)
    assert "duplicate" not in capfd.readouterr().err


def test_categories_are_matched_by_name(root: Path) -> None:
    path = root / FILES[1]
    content = json.loads(path.read_text())
    for row in content["categories"]:
        row["id"] += 5
    for row in content["annotations"]:
        row["category_id"] += 5
    path.write_text(json.dumps(content))
    dataset = open_dataset(recipe_of(root, train_images=["a", "b"], train_annotations=FILES))
    assert dataset.categories.names == CLASSES
    last = list(Scenes(3, (64, 96), 1))[2]
    assert dataset.ground_truth(4, masks=False).labels.tolist() == [each.label for each in last.objects]


def test_distinct_image_ids_are_kept(root: Path) -> None:
    content = json.loads((root / FILES[1]).read_text())
    for row in content["images"]:
        row["id"] += 100
    for row in content["annotations"]:
        row["image_id"] += 100
    (root / FILES[1]).write_text(json.dumps(content))
    recipe = recipe_of(root, train_images=["a", "b"], train_annotations=FILES)
    assert open_dataset(recipe).image_ids == [1, 2, 101, 102, 103]


def test_one_folder_and_a_list_of_one(root: Path) -> None:
    for row in range(3):
        name = f"b{row}.png"
        (root / "b" / f"{row + 1:012d}.png").rename(root / "a" / name)
        change(root / FILES[1], "images", row, file_name=name)
    assert len(open_dataset(recipe_of(root, train_images="a", train_annotations=FILES))) == 5
    assert len(open_dataset(recipe_of(root, train_images=["a"], train_annotations=FILES[:1]))) == 2


def test_an_image_of_both_files_is_refused(root: Path) -> None:
    with pytest.raises(DataError, match=r"a/000000000001\.png is listed by both .*instances_a\.json and .*_b\.json"):
        open_dataset(recipe_of(root, train_images="a", train_annotations=FILES))


def test_other_faults(root: Path) -> None:
    with pytest.raises(UsageError, match="train_images is a list: give as many train_annotations"):
        recipe_of(root, train_images=["a", "b", "c"], train_annotations=FILES)
    with pytest.raises(DataError, match="c is not a folder"):
        open_dataset(recipe_of(root, train_images=["a", "c"], train_annotations=FILES))
    path = root / FILES[1]
    content = json.loads(path.read_text())
    del content["annotations"]
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"_b\.json has no annotations, but .*_a\.json has"):
        open_dataset(recipe_of(root, train_images=["a", "b"], train_annotations=FILES))


def test_classes_of_all_files(root: Path) -> None:
    recipe = recipe_of(root, train_images=["a", "b"], train_annotations=FILES, classes="file")
    completed, _ = task_of(recipe).complete(recipe)
    assert set(completed.data.classes) <= set(CLASSES)
    assert splitnest.Categories is type(open_dataset(completed).categories)


def test_ids_of_annotations_are_those_of_their_file(root: Path) -> None:
    recipe = recipe_of(root, train_images=["a", "b"], train_annotations=FILES)
    change(root / FILES[1], "annotations", 0, bbox=[5, 5, 0, 10])
    dataset = open_dataset(recipe)
    (problem,) = [line for line in dataset.problems if "no area" in line]
    assert problem == f"annotation 1 of b/000000000001.png in {root / FILES[1]}: its box has no area"


def test_class_of_one_file_alone_names_both(root: Path) -> None:
    content = json.loads((root / FILES[1]).read_text())
    content["categories"].append({"id": 99, "name": "zebra"})
    (root / FILES[1]).write_text(json.dumps(content))
    recipe = recipe_of(root, train_images=["a", "b"], train_annotations=FILES)
    dataset = open_dataset(recipe)  # a category without annotations is dropped
    assert any(f"zebra (id 99) in {root / FILES[1]}" in line for line in dataset.problems)
    change(root / FILES[1], "annotations", 0, category_id=99)
    with pytest.raises(DataError, match=r"_b\.json and .*_a\.json do not have the same classes: .*_b\.json has zebra"):
        open_dataset(recipe)
    completed, _ = task_of(recipe).complete(
        recipe_of(root, train_images=["a", "b"], train_annotations=FILES, classes="file")
    )
    assert "zebra" in completed.data.classes


def test_equal_ids_of_different_classes(root: Path) -> None:
    """Categories are matched by name, also where the classes are those of the files."""
    path = root / FILES[1]
    content = json.loads(path.read_text())
    content["categories"] = [{"id": row["id"], "name": f"new {row['name']}"} for row in content["categories"]]
    path.write_text(json.dumps(content))
    recipe = recipe_of(root, train_images=["a", "b"], train_annotations=FILES, classes="file")
    completed, _ = task_of(recipe).complete(recipe)
    dataset = open_dataset(completed)
    assert dataset.categories.names == completed.data.classes
    scenes = [*Scenes(2, (64, 96), 0), *Scenes(3, (64, 96), 1)]
    for index, scene in enumerate(scenes):
        prefix = "new " if index > 1 else ""
        names = [dataset.categories.names[label] for label in dataset.ground_truth(index, masks=False).labels.tolist()]
        assert names == [prefix + CLASSES[each.label] for each in scene.objects]


def voc(root: Path) -> dict[str, Any]:
    """Write VOC2007 and VOC2012 as they are published, with one image name in both, and return the data section."""
    for year, names in (("2007", ("000001", "000002")), ("2012", ("000001", "2012_000003"))):
        for name in names:
            write_image(root / f"VOC{year}/JPEGImages/{name}.jpg")
            write_xml(root / f"VOC{year}/Annotations/{name}.xml", "cat" if year == "2007" else "dog")
        lists = root / f"VOC{year}/ImageSets/Main"
        lists.mkdir(parents=True)
        (lists / "trainval.txt").write_text("\n".join(names))
    years = ("VOC2007", "VOC2012")
    return {
        "format": "voc",
        "root": str(root),
        "classes": ("cat", "dog"),
        "train_images": [f"{year}/JPEGImages" for year in years],
        "train_annotations": [f"{year}/ImageSets/Main/trainval.txt" for year in years],
        **dict.fromkeys(("val_images", "val_annotations")),
    }


def test_voc_2007_and_2012(tmp_path: Path) -> None:
    data = voc(tmp_path)
    recipe = recipe_of(tmp_path, **{**data, "classes": "file"})
    completed, _ = task_of(recipe).complete(recipe)
    assert completed.data.classes == ("cat", "dog")
    dataset = open_dataset(completed)
    assert [dataset.name(index) for index in range(4)] == [
        "VOC2007/JPEGImages/000001.jpg",
        "VOC2007/JPEGImages/000002.jpg",
        "VOC2012/JPEGImages/000001.jpg",
        "VOC2012/JPEGImages/2012_000003.jpg",
    ]
    assert [dataset[index].labels.tolist() for index in range(4)] == [[0], [0], [1], [1]]
    assert dataset.image_ids == [1, 2, 3, 4]
    assert dataset.cite(2) == f"{tmp_path / 'VOC2012/Annotations/000001.xml'}, line 3"
    assert dataset.check_files() == []


def test_two_lists_of_one_voc_folder(tmp_path: Path) -> None:
    data = voc(tmp_path)
    lists = tmp_path / "VOC2007/ImageSets/Main"
    for name in ("000001", "000002"):
        (lists / f"{name}.txt").write_text(name)
    folder = {"root": str(tmp_path / "VOC2007"), "train_images": "JPEGImages"}
    both = [f"ImageSets/Main/{name}.txt" for name in ("000002", "000001")]
    dataset = open_dataset(recipe_of(tmp_path, **{**data, **folder, "train_annotations": both}))
    assert [dataset.name(index) for index in range(2)] == ["000002.jpg", "000001.jpg"]
    lists_twice = [both[0], "ImageSets/Main/trainval.txt"]
    with pytest.raises(DataError, match=r"000002\.jpg is listed by both .*000002\.txt and .*trainval\.txt"):
        open_dataset(recipe_of(tmp_path, **{**data, **folder, "train_annotations": lists_twice}))


def yolo(root: Path, **names: list[str]) -> Any:
    """Write a YOLO dataset of one image for each name, with class names of its own, and return the recipe."""
    for part, classes in names.items():
        write_yolo(root / part, one="1 0.5 0.5 0.4 0.4\n")
        (root / part / "data.yaml").write_text(json.dumps({"names": classes}))
    images = [f"{part}/images" for part in names]
    data = {"format": "yolo", "classes": ["cat", "dog"], "train_images": images, "train_annotations": None}
    return recipe_of(root, **data, val_annotations=None)


def test_yolo_folders(tmp_path: Path) -> None:
    recipe = yolo(tmp_path, north=["cat", "dog"], south=["cat", "dog"])
    dataset = open_dataset(recipe)
    assert [dataset.name(index) for index in (0, 1)] == ["north/images/one.jpg", "south/images/one.jpg"]
    assert dataset[1].labels.tolist() == [1]
    assert dataset.cite(1) == f"{tmp_path / 'south/labels/one.txt'}, line 1"
    completed, _ = task_of(recipe).complete(overrides.apply(recipe, {"data.classes": "file"}))
    assert completed.data.classes == ("cat", "dog")


def test_yolo_folders_whose_class_numbers_differ(tmp_path: Path) -> None:
    recipe = yolo(tmp_path, north=["cat", "dog"], south=["dog", "cat"])
    message = r"north/data\.yaml and .*south/data\.yaml do not have the same class names: their order differs"
    with pytest.raises(DataError, match=message):
        open_dataset(recipe)
