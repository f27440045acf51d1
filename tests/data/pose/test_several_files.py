"""Several COCO keypoint files as one dataset."""

import json
from pathlib import Path
from typing import Any

import pytest

from helpers import person_tree
from splitnest.data.pose.dataset import PoseDataset
from splitnest.errors import DataError
from splitnest.tasks import task_of


def write(root: Path) -> dict[str, Any]:
    """Write two files with the same ids, and return a data section that takes keypoints and classes from them."""
    for name in ("a", "b"):
        person_tree.write(root / name)
    paths = {
        f"{split}_{key}": [f"{part}/{value}" for part in "ab"]
        for split in ("train", "val")
        for key, value in (("images", "images"), ("annotations", "people.json"))
    }
    return {"root": str(root), "classes": "file", "keypoints": None, "val_detections": None, **paths}


def change(path: Path, **category: Any) -> None:
    content = json.loads(path.read_text())
    content["categories"][0] |= category
    path.write_text(json.dumps(content))


def opened(data: dict[str, Any]) -> PoseDataset:
    recipe, _ = task_of(given := person_tree.recipe_of(data)).complete(given)
    dataset = task_of(recipe).open_dataset(recipe, "val")
    assert isinstance(dataset, PoseDataset)
    return dataset


def test_several_files_are_one_dataset(tmp_path: Path) -> None:
    dataset = opened(write(tmp_path))
    assert [dataset.name(index) for index in (0, 3)] == ["a/images/3.png", "b/images/3.png"]
    assert dataset.image_ids == [1, 2, 3, 4, 5, 6]
    assert dataset.skeleton.names == person_tree.NAMES
    assert dataset.has_pose.tolist() == [True, False, False, True] * 2
    assert dataset.keypoints[7].tolist() == [[10, 12, 2], [30, 14, 1], [0, 0, 0]]
    assert [len(dataset.people(index)) for index in range(6)] == [1, 1, 0, 1, 1, 0]
    assert dataset.cite(4) == f"annotation 1 of b/images/3.png in {tmp_path / 'b/people.json'}"


def test_other_keypoints_and_classes_are_an_error_with_both_files(tmp_path: Path) -> None:
    data, path = write(tmp_path), tmp_path / "b" / "people.json"
    change(path, keypoints=["nose", "right_hand", "left_hand"])
    both = r"a/people\.json and .*b/people\.json do not have the same"
    with pytest.raises(DataError, match=f"{both} keypoints: their order differs"):
        opened(data)
    change(path, name="cat")
    with pytest.raises(
        DataError, match=f"{both} classes with keypoints: only .*a/people.json has dog; only .* has cat"
    ):
        opened(data)


def test_person_boxes_by_an_ambiguous_image_id(tmp_path: Path) -> None:
    data = write(tmp_path)
    (tmp_path / "boxes.json").write_text(
        json.dumps([{"image_id": 3, "category_id": 1, "bbox": [1, 1, 9, 9], "score": 1}])
    )
    with pytest.raises(DataError, match=r"boxes by image id, but ids occur in more than one of .*a/people\.json"):
        opened({**data, "val_detections": "boxes.json"})
    content = json.loads((tmp_path / "b" / "people.json").read_text())
    for row in content["images"]:
        row["id"] += 100
    for row in content["annotations"]:
        row["image_id"] += 100
    (tmp_path / "b" / "people.json").write_text(json.dumps(content))
    dataset = opened({**data, "val_detections": "boxes.json"})
    assert [len(dataset.people(index)) for index in range(6)] == [1, 0, 0, 0, 0, 0]
