"""People of COCO files and of scenes: what takes part, what is looked at, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import people_tree
import pytest

from splitnest.build import build_categories
from splitnest.data.people import PUBLISHED_DETECTIONS, complete_keypoints, open_people
from splitnest.data.people_check import check_people, print_people_report
from splitnest.data.people_dataset import PeopleDataset
from splitnest.data.pose_training import PoseTrainingSet
from splitnest.data.scenes import Scenes
from splitnest.data.skeleton import ASSUMED_SIGMA, COCO
from splitnest.errors import DataError, UsageError
from splitnest.recipe import Keypoints, PoseRecipe


def opened(recipe: PoseRecipe, split: Any = "val") -> PeopleDataset:
    return open_people(recipe, split, build_categories(recipe))


def spoilt(**changes: Any) -> dict[str, Any]:
    content = people_tree.content()
    content["annotations"][3].update(changes)
    return content


def test_nobody(tmp_path: Path) -> None:
    content = {**people_tree.content(), "annotations": []}
    recipe = people_tree.recipe_of(people_tree.write(tmp_path, content))
    dataset = opened(recipe)
    assert [len(dataset.people(index)) for index in range(3)] == [0, 0, 0]
    with pytest.raises(DataError, match="has nobody with keypoints among 0 annotations"):
        PoseTrainingSet(dataset, recipe)
    report = check_people(dataset)
    with pytest.raises(DataError, match="has nobody with keypoints"):
        report.raise_faults()
    del content["annotations"]
    dataset = opened(people_tree.recipe_of(people_tree.write(tmp_path, content)))
    assert not dataset.has_annotations
    assert not check_people(dataset).faults


def test_who_takes_part(tmp_path: Path) -> None:
    dataset = opened(people_tree.recipe_of(people_tree.write(tmp_path)))
    assert dataset.has_pose.tolist() == [True, False, False, True]
    assert dataset.num_keypoints.tolist() == [2, 0, 2, 2]
    assert dataset.boxes[0].tolist() == [5, 5, 59, 35]  # clipped to the last column
    assert [dataset.people(index).boxes.tolist() for index in range(3)] == [[[5, 5, 59, 35]], [[10, 8, 34, 28]], []]
    assert dataset.keypoints[3].tolist() == [[10, 12, 2], [30, 14, 1], [0, 0, 0]]
    assert dataset.categories.keypoint_names == people_tree.NAMES
    assert dataset.categories.ids == (1,)


def test_detections(tmp_path: Path) -> None:
    data = people_tree.write(tmp_path)
    rows = [
        {"image_id": image, "category_id": 1, "bbox": [-5, 3, 70, width], "score": 0.4}
        for image, width in ((3, 9), (3, 8), (99, 7), (5, 0))
    ]
    (tmp_path / "found.json").write_text(json.dumps(rows))
    dataset = opened(people_tree.recipe_of({**data, "val_detections": "found.json"}))
    assert [len(dataset.people(index)) for index in range(3)] == [2, 0, 0]
    assert dataset.people(0).boxes[0].tolist() == [-5, 3, 65, 12]  # not clipped
    assert any("people in 1 photographs" in line for line in dataset.problems)
    assert any("1 boxes without an area" in line for line in dataset.problems)
    assert opened(people_tree.recipe_of({**data, "val_detections": "found.json"}), "train").detections is None
    ours = {"model": "detector", "images": [{"file": str(tmp_path / "images" / "3.png"), "result": {"detections": [
        {"name": "dog", "score": 0.7, "box": [1, 2, 30, 40]}]}}]}  # fmt: skip
    (tmp_path / "ours.json").write_text(json.dumps(ours))
    dataset = opened(people_tree.recipe_of({**data, "val_detections": "ours.json"}))
    assert [len(dataset.people(index)) for index in range(3)] == [1, 0, 0]
    with pytest.raises(DataError, match=r"absent\.json cannot be read"):
        opened(people_tree.recipe_of({**data, "val_detections": "absent.json"}))


def test_the_class_of_the_file(tmp_path: Path) -> None:
    """Its number is that of the annotation file, which may have other classes beside it."""
    content = people_tree.content()
    content["categories"] = [{"id": 19, "name": "dog"}, {"id": 2, "name": "cat"}]
    for number, annotation in enumerate(content["annotations"]):
        annotation["category_id"] = 19 if number else 2
        annotation["segmentation"] = [[1, 2, 3, 4, 5, 6]]
    data = people_tree.write(tmp_path, content)
    rows = [{"image_id": 8, "category_id": id_, "bbox": [5, 3, 9, 9], "score": 0.4} for id_ in (19, 1)]
    (tmp_path / "found.json").write_text(json.dumps(rows))
    dataset = opened(people_tree.recipe_of({**data, "val_detections": "found.json"}))
    assert dataset.file.ids.tolist() == [2, 3, 4]
    assert dataset.has_pose.tolist() == [False, False, True]
    assert dataset.keypoints[2].tolist() == [[10, 12, 2], [30, 14, 1], [0, 0, 0]]
    assert dataset.categories.ids == (19,)
    assert [len(dataset.people(index)) for index in range(3)] == [0, 1, 0]
    assert dataset.problems == []


def test_published_detections_where_they_are_there(tmp_path: Path) -> None:
    recipe = people_tree.recipe_of({**people_tree.write(tmp_path), "val_detections": "auto"})
    dataset = opened(recipe)
    assert len(dataset.people(0)) == 1
    assert any(PUBLISHED_DETECTIONS in line and "ground truth" in line for line in dataset.problems)
    path = tmp_path / PUBLISHED_DETECTIONS
    path.parent.mkdir()
    path.write_text("[]")
    assert len(opened(recipe).people(0)) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (spoilt(keypoints=[1, 2, 3]), "annotation 4 of 8.png has 3 numbers for its keypoints, not 9"),
        (spoilt(keypoints="abc"), r"annotations\[3\] .*'keypoints' is no list of numbers"),
        (spoilt(keypoints=[1, 2, float("inf")]), "not finite"),
        (spoilt(num_keypoints=-1), "'num_keypoints' is -1"),
        ({**people_tree.content(), "categories": [{"id": 1, "name": "cat"}]}, "has no class 'dog', but cat"),
        (
            {**people_tree.content(), "categories": [{"id": 1, "name": "dog", "keypoints": ["x", "y", "z"]}]},
            "the keypoints of 'dog' are x, y, z, those of the model are nose, left_hand, right_hand",
        ),
    ],
)
def test_wrong_files(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        opened(people_tree.recipe_of(people_tree.write(tmp_path, content)))


def test_missing_paths(tmp_path: Path) -> None:
    data = people_tree.write(tmp_path)
    with pytest.raises(UsageError, match=r"data\.root is not set"):
        opened(people_tree.recipe_of({**data, "root": None}))
    with pytest.raises(UsageError, match=r"data\.val_annotations is not set"):
        opened(people_tree.recipe_of({**data, "val_annotations": None}))


def test_keypoints_come_from_the_file(tmp_path: Path) -> None:
    data = people_tree.write(tmp_path)
    recipe, notes = complete_keypoints(people_tree.recipe_of({**data, "keypoints": None}))
    keypoints = recipe.data.keypoints
    assert isinstance(keypoints, Keypoints)
    assert keypoints.names == people_tree.NAMES
    assert keypoints.limbs == (("nose", "left_hand"), ("nose", "right_hand"))
    assert keypoints.flip_pairs == (("left_hand", "right_hand"),)
    assert keypoints.sigmas == (ASSUMED_SIGMA,) * 3
    assert len(notes) == 4  # flip pairs, sigmas, colors, lower body
    assert complete_keypoints(recipe) == (recipe, [])
    given, notes = complete_keypoints(people_tree.recipe_of(data))
    assert isinstance(given.data.keypoints, Keypoints)
    assert given.data.keypoints.sigmas == (0.1, 0.05, 0.05)
    assert given.data.keypoints.limbs == keypoints.limbs
    elsewhere, _ = complete_keypoints(people_tree.recipe_of({**data, "keypoints": None, "train_annotations": "absent"}))
    assert elsewhere.data.keypoints == keypoints
    complete_keypoints(people_tree.recipe_of({**data, "root": "/nowhere"}))  # names are given: no file is needed
    unknown = people_tree.recipe_of({"keypoints": None})
    assert complete_keypoints(unknown) == (unknown, [])
    with pytest.raises(UsageError, match="does not say what its keypoints are"):
        build_categories(unknown)
    (tmp_path / "people.json").write_text(
        json.dumps({**people_tree.content(), "categories": [{"id": 1, "name": "dog"}]})
    )
    complete_keypoints(people_tree.recipe_of(data))
    with pytest.raises(DataError, match="of the class 'dog', it names no keypoints"):
        complete_keypoints(people_tree.recipe_of({**data, "keypoints": None}))


def test_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = spoilt(keypoints=[70, 5, 2, 30, 14, 1, 0, 0, 0], num_keypoints=3)
    dataset = opened(people_tree.recipe_of(people_tree.write(tmp_path, content)))
    (tmp_path / "images" / "5.png").write_bytes(b"no picture")
    report = check_people(dataset)
    assert (report.photographs, report.people, report.with_keypoints, report.crowd_regions) == (3, 3, 2, 1)
    assert (report.empty_photographs, report.looked_at) == (1, 2)
    assert [(row.name, row.visible, row.hidden) for row in report.keypoints] == [
        ("nose", 2, 0),
        ("left_hand", 0, 2),
        ("right_hand", 0, 0),
    ]
    assert report.oddities["a labelled keypoint is outside of its photograph"] == ("annotation 4 of 8.png",)
    assert report.oddities["num_keypoints is not the number of labelled keypoints"] == ("annotation 4 of 8.png",)
    assert report.oddities["a keypoint that nobody has"] == ("right_hand",)
    assert len(report.faults) == 1
    print_people_report(report, "val")
    printed = capsys.readouterr().out
    assert "left_hand" in printed
    assert "5.png" in printed


def test_scenes() -> None:
    scenes = {"train_count": 4, "val_count": 3, "height": 120, "width": 160}
    recipe = people_tree.recipe_of({"format": "scenes", "scenes": scenes, "keypoints": "coco", "classes": ["person"]})
    dataset = opened(recipe)
    drawn = list(Scenes(3, (120, 160), seed=1))
    assert (dataset.read(2) == drawn[2].image).all()
    people = [one.keypoints for scene in drawn for one in scene.objects if one.keypoints is not None]
    assert np.allclose(dataset.keypoints, np.array(people))
    assert dataset.check_files() == []
    assert dataset.skeleton is COCO
    with pytest.raises(DataError, match=r"set data\.keypoints=coco"):
        opened(people_tree.recipe_of({"format": "scenes", "scenes": scenes}))
