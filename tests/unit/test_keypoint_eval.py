"""AP of keypoints: published numbers, pycocotools as the oracle, and the similarity that suppresses."""

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import people_tree
import pytest
from pycocotools.coco import COCO as Reference
from pycocotools.cocoeval import COCOeval

import splitnest
from splitnest import recipes
from splitnest.build import build_categories
from splitnest.data.people import open_people
from splitnest.data.people_dataset import PeopleDataset
from splitnest.data.skeleton import COCO
from splitnest.errors import DataError
from splitnest.evaluation.keypoints import METRICS, KeypointEvaluator, keypoint_metrics
from splitnest.evaluation.oks import similarities, suppress
from splitnest.evaluator import run
from splitnest.recipe import PoseInput, PoseRecipe, overrides
from splitnest.results import Poses
from splitnest.training.page import true_poses

SHARED = {"keypoints": "coco", "classes": ["person"]}


def people_of(root: Path, file: str, images: str = ".") -> tuple[PeopleDataset, PoseInput]:
    paths = {"root": str(root), "val_images": images, "val_annotations": file, "val_detections": None}
    recipe = overrides.apply(recipes.get("simplebaseline_resnest50_256x192_coco"), {"data": paths})
    assert isinstance(recipe, PoseRecipe)
    return open_people(recipe, "val", build_categories(recipe)), recipe.input


def reference(file: Path, rows: list[dict[str, Any]], sigmas: Any = None) -> list[float]:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = Reference(str(file))
        evaluation = COCOeval(truth, truth.loadRes(rows), "keypoints")
        if sigmas is not None:
            evaluation.params.kpt_oks_sigmas = np.array(sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats.tolist()


def test_nobody_is_found(tmp_path: Path) -> None:
    recipe = people_tree.recipe_of(people_tree.write(tmp_path))
    dataset = open_people(recipe, "val", build_categories(recipe))
    evaluator = KeypointEvaluator(dataset, recipe.input)
    assert evaluator.compute()["ap"] == 0
    evaluator.update(3, Poses.empty((40, 60), dataset.categories))
    assert evaluator.results() == []
    assert evaluator.per_class() == {}
    assert list(evaluator.compute()) == list(METRICS)
    for image_id in (3, 99):
        with pytest.raises(ValueError, match=f"there is no image {image_id}"):
            evaluator.update(image_id, Poses.empty((40, 60), dataset.categories))


def test_nobody_is_there(tmp_path: Path) -> None:
    content = {**people_tree.content(), "annotations": []}
    recipe = people_tree.recipe_of(people_tree.write(tmp_path, content))
    dataset = open_people(recipe, "val", build_categories(recipe))
    assert set(keypoint_metrics(dataset, []).values()) == {-1}
    del content["annotations"]
    recipe = people_tree.recipe_of(people_tree.write(tmp_path, content))
    with pytest.raises(DataError, match="has no annotations"):
        keypoint_metrics(open_people(recipe, "val", build_categories(recipe)), [])


def test_published_numbers(shared_data: Callable[[str], Path]) -> None:
    folder = shared_data("oracle_keypoints")
    expected = json.loads((folder / "expected.json").read_text())["coco17"]
    dataset, _ = people_of(folder, expected["gt"])
    metrics = keypoint_metrics(dataset, json.loads((folder / expected["dt"]).read_text()))
    assert list(metrics.values()) == pytest.approx(expected["stats"], abs=1e-9)


def test_real_predictions_equal_pycocotools(shared_data: Callable[[str], Path]) -> None:
    folder = shared_data("oracle_keypoints") / "xtcocoapi"
    rows = json.loads((folder / "example_coco_preds.json").read_text())
    kept = [{key: row[key] for key in ("image_id", "category_id", "keypoints", "score")} for row in rows]
    dataset, _ = people_of(folder, "example_coco_val.json")
    ours = list(keypoint_metrics(dataset, kept).values())
    assert ours == reference(folder / "example_coco_val.json", kept)
    assert 0.8 < ours[0] < 0.9


@pytest.mark.parametrize("seed", range(4))
def test_drawn_predictions_equal_pycocotools(tmp_path: Path, seed: int) -> None:
    """With a skeleton and sigmas of one's own, crowds, people without keypoints, and more than 20 people an image."""
    rng = np.random.default_rng(seed)
    content = people_tree.content()
    truth, found = [], []
    for number in range(40):
        x, y, side = rng.uniform(0, 30), rng.uniform(0, 20), rng.uniform(5, 120)
        seen = rng.integers(0, 3, 3)
        points = np.column_stack([rng.uniform(x, x + side, 3), rng.uniform(y, y + side, 3)]).round(1)
        keypoints = np.column_stack([points * (seen > 0)[:, None], seen]).ravel().tolist()
        image_id, crowd = int(rng.choice([3, 8, 5])), int(rng.random() < 0.1)
        common = {"image_id": image_id, "category_id": 1}
        truth.append({**common, "id": number + 1, "bbox": [x, y, side, side], "area": side**2 / 2, "iscrowd": crowd,
                      "keypoints": keypoints, "num_keypoints": int((seen > 0).sum())})  # fmt: skip
        for _ in range(rng.integers(0, 4)):
            moved = np.column_stack([points + rng.normal(0, side / 40, (3, 2)), np.ones(3)])
            found.append({**common, "keypoints": moved.ravel().tolist(), "score": round(float(rng.uniform()), 2)})
    recipe = people_tree.recipe_of(people_tree.write(tmp_path, {**content, "annotations": truth}))
    dataset = open_people(recipe, "val", build_categories(recipe))
    ours = list(keypoint_metrics(dataset, found).values())
    assert ours == pytest.approx(reference(tmp_path / "people.json", found, dataset.skeleton.sigmas), abs=1e-12)
    assert 0.1 < ours[0] < 1


@pytest.mark.parametrize("source", ["pose_coco", "coco_mini", "scenes"])
def test_ground_truth_as_prediction_is_perfect(shared_data: Callable[[str], Path], source: str) -> None:
    if source == "scenes":
        scenes = {"train_count": 1, "val_count": 6, "height": 240, "width": 320}
        recipe = people_tree.recipe_of({**SHARED, "format": "scenes", "scenes": scenes})
        dataset, facts = open_people(recipe, "val", build_categories(recipe)), recipe.input
    elif source == "coco_mini":
        dataset, facts = people_of(shared_data(source), "annotations/person_keypoints_val2017.json", "val2017")
    else:
        dataset, facts = people_of(shared_data(source), "test_coco.json")
    evaluator = KeypointEvaluator(dataset, facts)
    for index in range(len(dataset)):
        evaluator.update(dataset.image_id(index), true_poses(dataset, index))
    metrics = evaluator.compute()
    assert metrics["ap"] == pytest.approx(1)
    assert metrics["ar"] == 1


@pytest.mark.parametrize("source", ["pose_coco", "coco_mini"])
def test_the_protocol_on_real_photographs(shared_data: Callable[[str], Path], source: str, tmp_path: Path) -> None:
    """From files to ten numbers: with the 118 boxes of a detector, and with the people of the ground truth."""
    data: dict[str, Any] = {"data.root": str(shared_data(source))}
    if source == "pose_coco":
        data |= {"data.val_images": ".", "data.val_annotations": "test_coco.json"}
        data |= {"data.val_detections": "test_coco_det_AP_H_56.json"}
    small = {"model": people_tree.SMALL["model"], "input": people_tree.SMALL["input"]}
    predictor = splitnest.load("simplebaseline_resnest50_256x192_coco", weights=None, device="cpu", overrides=small)
    found = run(predictor, data, batch_size=16)
    assert list(found.metrics) == list(METRICS)
    found.evaluator.write(tmp_path / "results.json")
    rows = json.loads((tmp_path / "results.json").read_text())
    assert 40 < len(rows) <= {"pose_coco": 118, "coco_mini": 68}[source]
    file = shared_data(source) / (
        "test_coco.json" if source == "pose_coco" else "annotations/person_keypoints_val2017.json"
    )
    assert list(found.metrics.values()) == reference(file, rows)


def test_similarity_by_its_definition() -> None:
    rng = np.random.default_rng(0)
    one, others = rng.uniform(0, 100, (17, 2)), rng.uniform(0, 100, (5, 17, 2))
    others[0] = one
    areas, sigmas = rng.uniform(500, 9000, 5), np.array(COCO.sigmas)
    found = similarities(one, others, areas, sigmas)
    for other, area, value in zip(others, areas, found, strict=True):
        total = 0.0
        for (x1, y1), (x2, y2), sigma in zip(one, other, sigmas, strict=True):
            total += np.exp(-((x1 - x2) ** 2 + (y1 - y2) ** 2) / (2 * area * (2 * sigma) ** 2))
        assert value == pytest.approx(total / 17)
    assert found[0] == 1
    assert similarities(one, others[:0], areas[:0], sigmas).shape == (0,)


def test_suppression_keeps_the_best_of_those_who_are_alike() -> None:
    pose = np.arange(34.0).reshape(17, 2)
    people = np.stack([pose, pose + 0.5, pose + 200, pose])
    scores, areas = np.array([0.3, 0.9, 0.1, 0.5]), np.full(4, 5000.0)
    assert suppress(people, scores, areas, np.array(COCO.sigmas)).tolist() == [1, 2]
    assert suppress(people[:0], scores[:0], areas[:0], np.array(COCO.sigmas)).tolist() == []


def test_results_file(tmp_path: Path) -> None:
    recipe = people_tree.recipe_of(people_tree.write(tmp_path))
    dataset = open_people(recipe, "val", build_categories(recipe))
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
    (row,) = json.loads((tmp_path / "out" / "results.json").read_text())  # the other one is the same person
    assert (row["image_id"], row["category_id"], row["score"]) == (3, 1, pytest.approx(0.4))
    assert row["keypoints"] == [1, 2, 1, 3, 4, 1, 5, 6, 1]
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        evaluator.write(tmp_path / "file" / "results.json")
