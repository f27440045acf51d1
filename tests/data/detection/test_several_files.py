"""Several COCO files as one dataset."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import splitnest
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


def recipe_of(root: Path, **data: Any) -> Any:
    values = {"format": "coco", "root": str(root), "classes": list(CLASSES), "val_images": None, **data}
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
