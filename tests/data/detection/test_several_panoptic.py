"""Several panoptic files as one dataset."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.panoptic_tree import CLASSES, PIXELS, ROWS, instances, write, write_png
from splitnest.data.detection.open import open_dataset
from splitnest.data.detection.panoptic import PanopticDataset
from splitnest.errors import DataError
from splitnest.metrics.panoptic import PanopticEvaluator
from splitnest.recipe.data import CocoData


def opened(root: Path, **values: Any) -> PanopticDataset:
    paths = {"train_images": ["a", "b"], "train_annotations": ["a/train.json", "b/train.json"]}
    data = CocoData(root=str(root), classes=("cat", "dog"), stuff=("sky", "sea"), **paths, **values)
    dataset = open_dataset(data, "train", CLASSES)
    assert isinstance(dataset, PanopticDataset)
    return dataset


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two datasets with the same image ids and PNG names; the second has only a cat on its first image."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    write(tmp_path / "a")
    path = write(tmp_path / "b")
    content = json.loads(path.read_text())
    content["annotations"][1]["segments_info"] = [{"id": 7, "category_id": 1}]
    path.write_text(json.dumps(content))
    write_png(tmp_path / "b" / "train" / "4.png", np.where(PIXELS == 7, 7, 0))
    return tmp_path


def test_several_files_are_one_dataset(root: Path) -> None:
    dataset = opened(root)
    assert [dataset.name(index) for index in range(4)] == ["a/4.jpg", "a/2.jpg", "b/4.jpg", "b/2.jpg"]
    assert dataset.image_ids == [1, 2, 3, 4]
    assert dataset.labels(0).labels.tolist() == [1, 3, 0, 0]
    assert (dataset.labels(2).labels.tolist(), dataset.labels(2).ids.tolist()) == ([0], [7])
    assert len(dataset.labels(3)) == 0
    assert (dataset[2].labels.tolist(), dataset[2].boxes.tolist()) == ([0], [[2, 0, 5, 2]])
    things, stuff = dataset.class_counts()
    assert (dict(things.counts), dict(stuff.counts)) == ({"cat": 2, "dog": 1}, {"sky": 0, "sea": 1})
    assert dataset.check_files() == []
    assert str(root / "b" / "train.json") in dataset.inputs
    (root / "b" / "train" / "2.png").unlink()
    (root / "b" / "2.jpg").unlink()
    assert dataset.check_files() == [str(root / "b" / "2.jpg"), str(root / "b" / "train" / "2.png")]


def test_ground_truth_of_several_files_is_perfect(root: Path) -> None:
    dataset = opened(root)
    evaluator = PanopticEvaluator(dataset)
    for index in range(len(dataset)):
        result = dataset.labels(index).to_result(dataset.panoptic_categories)
        evaluator.update(dataset.image_id(index), replace(result, detections=dataset.ground_truth(index, masks=True)))
    assert evaluator.compute()["pq"] == 1


def test_instances_of_each_file(root: Path) -> None:
    for name in "ab":
        instances(root / name)
    dataset = opened(root, train_instances=["a/instances.json", "b/instances.json"])
    assert [len(dataset[index].labels) for index in range(4)] == [1, 0, 1, 0]
    assert dataset.cite(1) == f"annotation 1 of b/4.jpg in {root / 'b' / 'instances.json'}"


def test_faults_name_the_file(root: Path) -> None:
    path = root / "b" / "train.json"
    content = json.loads(path.read_text())
    content["categories"] = [{**row, "isthing": 1} for row in ROWS]
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"sky is a thing class in .*b/train\.json \('isthing'\), but a stuff class"):
        opened(root)
    content |= {"categories": ROWS, "annotations": []}
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"b/train\.json has no annotations, but .*a/train\.json has"):
        opened(root)


@pytest.mark.parametrize("instances", ["a/instances.json", ["a/instances.json"]])
def test_instances_need_a_file_for_each(root: Path, instances: Any) -> None:
    with pytest.raises(ValueError, match="train_images is a list: give as many train_instances"):
        opened(root, train_instances=instances)
