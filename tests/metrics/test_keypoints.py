"""AP of keypoints: published numbers, pycocotools as the oracle, and OKS suppression."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import splitnest
from helpers import person_tree
from helpers.keypoint_reference import reference, val_dataset
from splitnest import zoo
from splitnest.data.pose.dataset import PoseDataset
from splitnest.errors import DataError, OutputError
from splitnest.evaluation.evaluate import run_evaluation
from splitnest.metrics.keypoints import METRICS, KeypointEvaluator, keypoint_metrics
from splitnest.metrics.oks import oks, oks_nms
from splitnest.recipe import PoseInput, PoseRecipe, overrides
from splitnest.structures import Poses
from splitnest.structures.skeleton import COCO

COCO_PERSON = {"keypoints": "coco", "classes": ["person"]}


def dataset_of(root: Path, file: str, images: str = ".") -> tuple[PoseDataset, PoseInput]:
    paths = {"root": str(root), "val_images": images, "val_annotations": file, "val_detections": None}
    recipe = overrides.apply(zoo.get("simplebaseline_resnest50_256x192_coco"), {"data": paths})
    assert isinstance(recipe, PoseRecipe)
    return val_dataset(recipe), recipe.input


def test_images_without_poses_have_metrics_of_zero(tmp_path: Path) -> None:
    recipe = person_tree.recipe_of(person_tree.write(tmp_path))
    dataset = val_dataset(recipe)
    evaluator = KeypointEvaluator(dataset, recipe.input)
    assert evaluator.compute()["ap"] == 0
    evaluator.update(3, Poses.empty((40, 60), dataset.categories))
    assert evaluator.results() == []
    assert evaluator.per_class() == {}
    assert list(evaluator.compute()) == list(METRICS)
    for image_id in (3, 99):
        with pytest.raises(ValueError, match=f"there is no image {image_id}"):
            evaluator.update(image_id, Poses.empty((40, 60), dataset.categories))


def test_file_without_persons_has_undefined_metrics(tmp_path: Path) -> None:
    content = {**person_tree.content(), "annotations": []}
    recipe = person_tree.recipe_of(person_tree.write(tmp_path, content))
    dataset = val_dataset(recipe)
    assert set(keypoint_metrics(dataset, []).values()) == {-1}
    del content["annotations"]
    recipe = person_tree.recipe_of(person_tree.write(tmp_path, content))
    with pytest.raises(DataError, match="has no annotations"):
        keypoint_metrics(val_dataset(recipe), [])


def test_published_metrics_are_reproduced(shared_data: Callable[[str], Path]) -> None:
    folder = shared_data("oracle_keypoints")
    expected = json.loads((folder / "expected.json").read_text())["coco17"]
    dataset, _ = dataset_of(folder, expected["gt"])
    metrics = keypoint_metrics(dataset, json.loads((folder / expected["dt"]).read_text()))
    assert list(metrics.values()) == pytest.approx(expected["stats"], abs=1e-9)


def test_real_predictions_equal_pycocotools(shared_data: Callable[[str], Path]) -> None:
    folder = shared_data("oracle_keypoints") / "xtcocoapi"
    rows = json.loads((folder / "example_coco_preds.json").read_text())
    kept = [{key: row[key] for key in ("image_id", "category_id", "keypoints", "score")} for row in rows]
    dataset, _ = dataset_of(folder, "example_coco_val.json")
    ours = list(keypoint_metrics(dataset, kept).values())
    assert ours == reference(folder / "example_coco_val.json", kept)
    assert 0.8 < ours[0] < 0.9


@pytest.mark.parametrize("seed", range(4))
def test_metrics_of_random_poses_equal_pycocotools(tmp_path: Path, seed: int) -> None:
    """With other keypoints and sigmas, crowds, persons without keypoints, and more than 20 persons in an image."""
    rng = np.random.default_rng(seed)
    content = person_tree.content()
    annotations, rows = [], []
    for number in range(40):
        x, y, side = rng.uniform(0, 30), rng.uniform(0, 20), rng.uniform(5, 120)
        visibility = rng.integers(0, 3, 3)
        points = np.column_stack([rng.uniform(x, x + side, 3), rng.uniform(y, y + side, 3)]).round(1)
        keypoints = np.column_stack([points * (visibility > 0)[:, None], visibility]).ravel().tolist()
        image_id, crowd = int(rng.choice([3, 8, 5])), int(rng.random() < 0.1)
        common = {"image_id": image_id, "category_id": 1}
        annotations.append({**common, "id": number + 1, "bbox": [x, y, side, side], "area": side**2 / 2,
                            "iscrowd": crowd, "keypoints": keypoints,
                            "num_keypoints": int((visibility > 0).sum())})  # fmt: skip
        for _ in range(rng.integers(0, 4)):
            moved = np.column_stack([points + rng.normal(0, side / 40, (3, 2)), np.ones(3)])
            rows.append({**common, "keypoints": moved.ravel().tolist(), "score": round(float(rng.uniform()), 2)})
    recipe = person_tree.recipe_of(person_tree.write(tmp_path, {**content, "annotations": annotations}))
    dataset = val_dataset(recipe)
    ours = list(keypoint_metrics(dataset, rows).values())
    assert ours == pytest.approx(reference(tmp_path / "people.json", rows, dataset.skeleton.sigmas), abs=1e-12)
    assert 0.1 < ours[0] < 1


@pytest.mark.parametrize("source", ["pose_coco", "coco_mini", "scenes"])
def test_ground_truth_as_prediction_is_perfect(shared_data: Callable[[str], Path], source: str) -> None:
    if source == "scenes":
        scenes = {"format": "scenes", "train_count": 1, "val_count": 6, "height": 240, "width": 320}
        recipe = person_tree.recipe_of({**COCO_PERSON, **scenes})
        dataset, input_cfg = val_dataset(recipe), recipe.input
    elif source == "coco_mini":
        dataset, input_cfg = dataset_of(shared_data(source), "annotations/person_keypoints_val2017.json", "val2017")
    else:
        dataset, input_cfg = dataset_of(shared_data(source), "test_coco.json")
    evaluator = KeypointEvaluator(dataset, input_cfg)
    for index in range(len(dataset)):
        evaluator.update(dataset.image_id(index), dataset.poses(index))
    metrics = evaluator.compute()
    assert metrics["ap"] == pytest.approx(1)
    assert metrics["ar"] == 1


@pytest.mark.parametrize("source", ["pose_coco", "coco_mini"])
def test_published_protocol_on_real_images(shared_data: Callable[[str], Path], source: str, tmp_path: Path) -> None:
    """From files to ten metrics: with the 118 person boxes of a detector, and with ground-truth boxes."""
    data: dict[str, Any] = {"data.root": str(shared_data(source))}
    if source == "pose_coco":
        data |= {"data.val_images": ".", "data.val_annotations": "test_coco.json"}
        data |= {"data.val_detections": "test_coco_det_AP_H_56.json"}
    small = {"model": person_tree.SMALL["model"], "input": person_tree.SMALL["input"]}
    predictor = splitnest.load("simplebaseline_resnest50_256x192_coco", weights=None, device="cpu", overrides=small)
    evaluation = run_evaluation(predictor, data, batch_size=16)
    assert list(evaluation.metrics) == list(METRICS)
    evaluation.evaluator.write(tmp_path / "results.json")
    rows = json.loads((tmp_path / "results.json").read_text())
    assert 40 < len(rows) <= {"pose_coco": 118, "coco_mini": 68}[source]
    file = shared_data(source) / (
        "test_coco.json" if source == "pose_coco" else "annotations/person_keypoints_val2017.json"
    )
    assert list(evaluation.metrics.values()) == reference(file, rows)


def test_oks_follows_its_definition() -> None:
    rng = np.random.default_rng(0)
    one, others = rng.uniform(0, 100, (17, 2)), rng.uniform(0, 100, (5, 17, 2))
    others[0] = one
    areas, sigmas = rng.uniform(500, 9000, 5), np.array(COCO.sigmas)
    values = oks(one, others, areas, sigmas)
    for other, area, value in zip(others, areas, values, strict=True):
        total = 0.0
        for (x1, y1), (x2, y2), sigma in zip(one, other, sigmas, strict=True):
            total += np.exp(-((x1 - x2) ** 2 + (y1 - y2) ** 2) / (2 * area * (2 * sigma) ** 2))
        assert value == pytest.approx(total / 17)
    assert values[0] == 1
    assert oks(one, others[:0], areas[:0], sigmas).shape == (0,)


def test_oks_nms_keeps_the_best_of_similar_poses() -> None:
    pose = np.arange(34.0).reshape(17, 2)
    people = np.stack([pose, pose + 0.5, pose + 200, pose])
    scores, areas = np.array([0.3, 0.9, 0.1, 0.5]), np.full(4, 5000.0)
    assert oks_nms(people, scores, areas, np.array(COCO.sigmas)).tolist() == [1, 2]
    assert oks_nms(people[:0], scores[:0], areas[:0], np.array(COCO.sigmas)).tolist() == []


def test_results_file_has_suppressed_poses_removed(tmp_path: Path) -> None:
    recipe = person_tree.recipe_of(person_tree.write(tmp_path))
    dataset = val_dataset(recipe)
    evaluator = KeypointEvaluator(dataset, recipe.input)
    poses = Poses(
        keypoints=np.array([[[1, 2], [3, 4], [5, 6]]] * 2, np.float32),
        scores=np.array([[0.5, 0.1, 0.3]] * 2, np.float32),
        boxes=np.array([[5, 5, 59, 35]] * 2, np.float32),
        box_scores=np.array([0.5, 1.0], np.float32),
        image_size=(40, 60),
        categories=dataset.categories,
    )
    evaluator.update(3, poses)
    evaluator.write(tmp_path / "out" / "results.json")
    (row,) = json.loads((tmp_path / "out" / "results.json").read_text())  # the other pose is a duplicate
    assert (row["image_id"], row["category_id"], row["score"]) == (3, 1, pytest.approx(0.4))
    assert row["keypoints"] == [1, 2, 1, 3, 4, 1, 5, 6, 1]
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        evaluator.write(tmp_path / "file" / "results.json")
