"""AP of CrowdPose and COCO-WholeBody: published numbers, and pycocotools of each part."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.keypoint_reference import reference, val_dataset
from splitnest import zoo
from splitnest.data.pose.dataset import PoseDataset
from splitnest.metrics.crowdpose import crowdpose_metrics
from splitnest.metrics.wholebody import WholeBodyEvaluator, wholebody_metrics
from splitnest.recipe import PoseRecipe, overrides
from splitnest.structures.skeleton import skeleton_of_table

PARTS = {"keypoints": "body", "foot_kpts": "foot", "face_kpts": "face"}
PARTS |= {"lefthand_kpts": "left_hand", "righthand_kpts": "right_hand"}
CROWDPOSE = "td-hm_res50_8xb64-210e_crowdpose-256x192"
WHOLE_BODY = "td-hm_res50_8xb64-210e_coco-wholebody-256x192"


def dataset_of(name: str, root: Path, file: str) -> PoseDataset:
    paths = {"root": str(root), "val_images": ".", "val_annotations": file, "val_detections": None}
    recipe = overrides.apply(zoo.get(name), {"data": paths})
    assert isinstance(recipe, PoseRecipe)
    return val_dataset(recipe)


def joined(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of a results file with all keypoints under one key."""
    keys = ("image_id", "category_id", "score")
    return {key: row[key] for key in keys} | {"keypoints": [value for key in PARTS for value in row[key]]}


def test_without_poses_and_crowd_index(tmp_path: Path) -> None:
    names = skeleton_of_table("crowdpose").names
    content: dict[str, Any] = {
        "images": [{"id": 1, "file_name": "1.png", "height": 40, "width": 60}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "keypoints": [1, 2, 2] * len(names)}
        ],
        "categories": [{"id": 1, "name": "person"}],
    }
    (tmp_path / "one.json").write_text(json.dumps(content))
    metrics = crowdpose_metrics(dataset_of(CROWDPOSE, tmp_path, "one.json"), [])
    assert metrics["ap"] == 0
    assert {metrics[f"ap_{part}"] for part in ("easy", "medium", "hard")} == {-1}
    content["images"][0]["crowdIndex"] = 0.9
    (tmp_path / "one.json").write_text(json.dumps(content))
    metrics = crowdpose_metrics(dataset_of(CROWDPOSE, tmp_path, "one.json"), [])
    assert (metrics["ap_medium"], metrics["ap_hard"]) == (-1, 0)


def test_published_metrics_of_crowdpose_are_reproduced(shared_data: Callable[[str], Path]) -> None:
    folder = shared_data("oracle_keypoints")
    expected = json.loads((folder / "expected.json").read_text())["crowdpose"]
    metrics = crowdpose_metrics(
        dataset_of(CROWDPOSE, folder, expected["gt"]), json.loads((folder / expected["dt"]).read_text())
    )
    for name, value in expected["stats"].items():
        is_rounded = name.startswith("AP_")
        assert metrics[name.lower()] == pytest.approx(value, abs=5e-5 if is_rounded else 1e-9), name


def test_parts_of_wholebody_equal_pycocotools(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    folder = shared_data("oracle_keypoints") / "xtcocoapi"
    content = json.loads((folder / "example_wholebody_val.json").read_text())
    predictions = json.loads((folder / "example_wholebody_preds.json").read_text())
    dataset = dataset_of(WHOLE_BODY, folder, "example_wholebody_val.json")
    metrics = wholebody_metrics(dataset, [joined(row) for row in predictions])
    start, sigmas = 0, dataset.skeleton.sigmas
    for keys, name in [*(((key,), name) for key, name in PARTS.items()), (tuple(PARTS), "whole")]:
        annotations = []
        for row in content["annotations"]:
            points = [value for key in keys for value in row[key]]
            counted = sum(value > 0 for value in points[2::3])
            annotations.append({**row, "keypoints": points, "num_keypoints": counted})
        count = len(annotations[0]["keypoints"]) // 3
        start = 0 if name == "whole" else start
        (tmp_path / "part.json").write_text(json.dumps({**content, "annotations": annotations}))
        rows = [{**joined(row), "keypoints": [value for key in keys for value in row[key]]} for row in predictions]
        stats = reference(tmp_path / "part.json", rows, sigmas[start : start + count])
        assert metrics[f"{name}_ap"] == pytest.approx(stats[0], abs=1e-12), name
        assert metrics[f"{name}_ar"] == pytest.approx(stats[5], abs=1e-12), name
        start += count
    assert metrics["hand_ap"] == pytest.approx((metrics["left_hand_ap"] + metrics["right_hand_ap"]) / 2)


def test_results_of_wholebody_have_a_key_for_each_part(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    folder = shared_data("oracle_keypoints") / "xtcocoapi"
    dataset = dataset_of(WHOLE_BODY, folder, "example_wholebody_val.json")
    recipe = zoo.get(WHOLE_BODY)
    assert isinstance(recipe, PoseRecipe)
    evaluator = WholeBodyEvaluator(dataset, recipe.input)
    for index in range(len(dataset)):
        evaluator.update(dataset.image_id(index), dataset.poses(index))
    assert evaluator.compute()["body_ap"] > 0.9  # of two similar persons, the better one is kept
    evaluator.write(tmp_path / "results.json")
    rows = json.loads((tmp_path / "results.json").read_text())
    assert {key: len(rows[0][key]) // 3 for key in PARTS} == dict(zip(PARTS, (17, 6, 68, 21, 21), strict=True))
