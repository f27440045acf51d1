"""Pose dataset of COCO files and of scenes: persons, person boxes, keypoint definitions, check, and errors."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import person_tree
from splitnest.data.pose.check import check_dataset, print_report
from splitnest.data.pose.dataset import PoseDataset
from splitnest.data.pose.open import PUBLISHED_DETECTIONS, with_complete_keypoints
from splitnest.data.pose.training_set import PoseTrainingSet
from splitnest.data.scenes import Scenes
from splitnest.errors import DataError, UsageError
from splitnest.models.build import build_categories
from splitnest.recipe import Keypoints, PoseRecipe
from splitnest.structures.skeleton import ASSUMED_SIGMA, COCO
from splitnest.tasks import task_of


def opened(recipe: PoseRecipe, split: Any = "val") -> PoseDataset:
    dataset: PoseDataset = task_of(recipe).open_dataset(recipe, split)
    return dataset


def with_fourth_annotation(**changes: Any) -> dict[str, Any]:
    content = person_tree.content()
    content["annotations"][3].update(changes)
    return content


def test_dataset_without_persons(tmp_path: Path) -> None:
    content = {**person_tree.content(), "annotations": []}
    recipe = person_tree.recipe_of(person_tree.write(tmp_path, content))
    dataset = opened(recipe)
    assert [len(dataset.people(index)) for index in range(3)] == [0, 0, 0]
    with pytest.raises(DataError, match="has no person with keypoints among 0 annotations"):
        PoseTrainingSet(dataset, recipe)
    report = check_dataset(dataset)
    with pytest.raises(DataError, match="has no person with keypoints"):
        report.raise_faults()
    del content["annotations"]
    dataset = opened(person_tree.recipe_of(person_tree.write(tmp_path, content)))
    assert not dataset.has_annotations
    assert not check_dataset(dataset).faults


def test_persons_with_keypoints_take_part(tmp_path: Path) -> None:
    dataset = opened(person_tree.recipe_of(person_tree.write(tmp_path)))
    assert dataset.has_pose.tolist() == [True, False, False, True]
    assert dataset.num_keypoints.tolist() == [2, 0, 2, 2]
    assert dataset.boxes[0].tolist() == [5, 5, 59, 35]  # clipped to the last column
    assert [dataset.people(index).boxes.tolist() for index in range(3)] == [[[5, 5, 59, 35]], [[10, 8, 34, 28]], []]
    assert dataset.keypoints[3].tolist() == [[10, 12, 2], [30, 14, 1], [0, 0, 0]]
    assert dataset.categories.keypoint_names == person_tree.NAMES
    assert dataset.categories.ids == (1,)


def test_person_boxes_of_a_detector(tmp_path: Path) -> None:
    data = person_tree.write(tmp_path)
    rows = [
        {"image_id": image, "category_id": 1, "bbox": [-5, 3, 70, width], "score": 0.4}
        for image, width in ((3, 9), (3, 8), (99, 7), (5, 0))
    ]
    (tmp_path / "detections.json").write_text(json.dumps(rows))
    dataset = opened(person_tree.recipe_of({**data, "val_detections": "detections.json"}))
    assert [len(dataset.people(index)) for index in range(3)] == [2, 0, 0]
    assert dataset.people(0).boxes[0].tolist() == [-5, 3, 65, 12]  # not clipped
    assert any("persons in 1 images" in line for line in dataset.problems)
    assert any("1 boxes without area" in line for line in dataset.problems)
    assert opened(person_tree.recipe_of({**data, "val_detections": "detections.json"}), "train").detections is None
    result = {"detections": [{"name": "dog", "score": 0.7, "box": [1, 2, 30, 40]}]}
    own_results = {"model": "detector", "images": [{"file": str(tmp_path / "images" / "3.png"), "result": result}]}
    (tmp_path / "own_results.json").write_text(json.dumps(own_results))
    dataset = opened(person_tree.recipe_of({**data, "val_detections": "own_results.json"}))
    assert [len(dataset.people(index)) for index in range(3)] == [1, 0, 0]
    with pytest.raises(DataError, match=r"absent\.json cannot be read"):
        opened(person_tree.recipe_of({**data, "val_detections": "absent.json"}))


def test_class_id_is_that_of_the_file(tmp_path: Path) -> None:
    """The annotation file may have other classes too."""
    content = person_tree.content()
    content["categories"] = [{"id": 19, "name": "dog"}, {"id": 2, "name": "cat"}]
    for number, annotation in enumerate(content["annotations"]):
        annotation["category_id"] = 19 if number else 2
        annotation["segmentation"] = [[1, 2, 3, 4, 5, 6]]
    data = person_tree.write(tmp_path, content)
    rows = [{"image_id": 8, "category_id": id_, "bbox": [5, 3, 9, 9], "score": 0.4} for id_ in (19, 1)]
    (tmp_path / "detections.json").write_text(json.dumps(rows))
    dataset = opened(person_tree.recipe_of({**data, "val_detections": "detections.json"}))
    assert dataset.file.ids.tolist() == [2, 3, 4]
    assert dataset.has_pose.tolist() == [False, False, True]
    assert dataset.keypoints[2].tolist() == [[10, 12, 2], [30, 14, 1], [0, 0, 0]]
    assert dataset.categories.ids == (19,)
    assert [len(dataset.people(index)) for index in range(3)] == [0, 1, 0]
    assert dataset.problems == []


def test_published_person_boxes_are_used_if_they_exist(tmp_path: Path) -> None:
    recipe = person_tree.recipe_of({**person_tree.write(tmp_path), "val_detections": "auto"})
    dataset = opened(recipe)
    assert len(dataset.people(0)) == 1
    assert any(PUBLISHED_DETECTIONS in line and "ground-truth" in line for line in dataset.problems)
    path = tmp_path / PUBLISHED_DETECTIONS
    path.parent.mkdir()
    path.write_text("[]")
    assert len(opened(recipe).people(0)) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (with_fourth_annotation(keypoints=[1, 2, 3]), "annotation 4 of 8.png has 3 numbers under 'keypoints', not 9"),
        (with_fourth_annotation(keypoints="abc"), r"annotations\[3\] .*'keypoints' is not a list of numbers"),
        (with_fourth_annotation(keypoints=[1, 2, float("inf")]), "not finite"),
        (with_fourth_annotation(num_keypoints=-1), "'num_keypoints' is -1"),
        (
            {**person_tree.content(), "categories": [{"id": 1, "name": "cat"}]},
            "does not have the class 'dog'; it has cat",
        ),
        (
            {**person_tree.content(), "categories": [{"id": 1, "name": "dog", "keypoints": ["x", "y", "z"]}]},
            "the keypoints of 'dog' are x, y, z, but those of the model are nose, left_hand, right_hand",
        ),
    ],
)
def test_wrong_files_are_rejected(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        opened(person_tree.recipe_of(person_tree.write(tmp_path, content)))


def test_recipe_without_paths_is_rejected(tmp_path: Path) -> None:
    data = person_tree.write(tmp_path)
    with pytest.raises(UsageError, match=r"data\.root is not set"):
        opened(person_tree.recipe_of({**data, "root": None}))
    with pytest.raises(UsageError, match=r"data\.val_annotations is not set"):
        opened(person_tree.recipe_of({**data, "val_annotations": None}))


def test_keypoints_are_read_from_the_file(tmp_path: Path) -> None:
    data = person_tree.write(tmp_path)
    recipe, notes = with_complete_keypoints(person_tree.recipe_of({**data, "keypoints": None}))
    keypoints = recipe.data.keypoints
    assert isinstance(keypoints, Keypoints)
    assert keypoints.names == person_tree.NAMES
    assert keypoints.skeleton == (("nose", "left_hand"), ("nose", "right_hand"))
    assert keypoints.flip_pairs == (("left_hand", "right_hand"),)
    assert keypoints.sigmas == (ASSUMED_SIGMA,) * 3
    assert len(notes) == 4  # flip pairs, sigmas, colors, lower body
    assert with_complete_keypoints(recipe) == (recipe, [])
    partial, notes = with_complete_keypoints(person_tree.recipe_of(data))
    assert isinstance(partial.data.keypoints, Keypoints)
    assert partial.data.keypoints.sigmas == (0.1, 0.05, 0.05)
    assert partial.data.keypoints.skeleton == keypoints.skeleton
    elsewhere, _ = with_complete_keypoints(
        person_tree.recipe_of({**data, "keypoints": None, "train_annotations": "absent"})
    )
    assert elsewhere.data.keypoints == keypoints
    with_complete_keypoints(person_tree.recipe_of({**data, "root": "/nowhere"}))  # has names, so needs no file
    unknown = person_tree.recipe_of({"keypoints": None})
    assert with_complete_keypoints(unknown) == (unknown, [])
    with pytest.raises(UsageError, match="does not name its keypoints"):
        build_categories(unknown)
    (tmp_path / "people.json").write_text(
        json.dumps({**person_tree.content(), "categories": [{"id": 1, "name": "dog"}]})
    )
    with_complete_keypoints(person_tree.recipe_of(data))
    with pytest.raises(DataError, match="category 'dog': it has no keypoint names"):
        with_complete_keypoints(person_tree.recipe_of({**data, "keypoints": None}))


def test_check_counts_and_lists_anomalies_and_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = with_fourth_annotation(keypoints=[70, 5, 2, 30, 14, 1, 0, 0, 0], num_keypoints=3)
    dataset = opened(person_tree.recipe_of(person_tree.write(tmp_path, content)))
    (tmp_path / "images" / "5.png").write_bytes(b"no image")
    report = check_dataset(dataset)
    assert (report.num_images, report.num_people, report.num_with_keypoints, report.num_crowd_regions) == (3, 3, 2, 1)
    assert (report.num_empty_images, report.num_boxes) == (1, 2)
    assert [(row.name, row.visible, row.hidden) for row in report.keypoints] == [
        ("nose", 2, 0),
        ("left_hand", 0, 2),
        ("right_hand", 0, 0),
    ]
    assert report.anomalies["a labeled keypoint is outside the image"] == ("annotation 4 of 8.png",)
    assert report.anomalies["num_keypoints is not the number of labeled keypoints"] == ("annotation 4 of 8.png",)
    assert report.anomalies["keypoint that no person has"] == ("right_hand",)
    assert len(report.faults) == 1
    print_report(report, "val")
    printed = capsys.readouterr().out
    assert "left_hand" in printed
    assert "5.png" in printed


def test_scenes_are_opened_by_a_recipe() -> None:
    data = {"format": "scenes", "train_count": 4, "val_count": 3, "height": 120, "width": 160}
    recipe = person_tree.recipe_of({**data, "keypoints": "coco", "classes": ["person"]})
    dataset = opened(recipe)
    scenes = list(Scenes(3, (120, 160), seed=1))
    assert (dataset.read(2) == scenes[2].image).all()
    instances = [instance for scene in scenes for instance in scene.objects]
    keypoints = [instance.keypoints for instance in instances if instance.keypoints is not None]
    assert np.allclose(dataset.keypoints, np.array(keypoints))
    assert dataset.check_files() == []
    assert dataset.skeleton is COCO
    with pytest.raises(DataError, match=r"Set data\.keypoints=coco"):
        opened(person_tree.recipe_of(data))
