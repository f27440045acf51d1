"""PCK, PCKh, AUC, EPE and NME against computations keypoint by keypoint."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import person_tree
from splitnest.data.pose.dataset import PoseDataset
from splitnest.errors import DataError, UsageError
from splitnest.evaluation.compare.bootstrap import differences
from splitnest.metrics.distance_evaluator import DistanceEvaluator
from splitnest.metrics.statistics.ratios import RatioStatistics
from splitnest.recipe import PoseRecipe
from splitnest.structures import Poses
from splitnest.tasks import task_of

SETTINGS: dict[str, dict[str, Any]] = {
    "pck": {"type": "pck", "threshold": 0.1, "torso": ["left_hand", "right_hand"]},
    "pckh": {"type": "pckh"},
    "nme": {"type": "nme"},
    "interocular": {"type": "nme", "normalize": ["left_hand", "right_hand"]},
}


def write_people(root: Path, rng: np.random.Generator, num_images: int = 3) -> dict[str, Any]:
    """Write a dataset of 12 dogs with head boxes; some keypoints are not labeled, and one dog has no keypoints."""
    content = person_tree.content()
    content["annotations"] = []
    for number in range(12):
        x, y, width, height = rng.uniform(0, 20), rng.uniform(0, 10), rng.uniform(10, 35), rng.uniform(10, 25)
        labels = rng.integers(0, 3, 3) if number else np.zeros(3, int)
        points = np.column_stack([rng.uniform(x, x + width, 3), rng.uniform(y, y + height, 3)])
        keypoints = np.column_stack([points * (labels > 0)[:, None], labels]).ravel().tolist()
        content["annotations"].append(
            {"id": number + 1, "image_id": [3, 8, 5][number % num_images], "category_id": 1, "iscrowd": 0,
             "bbox": [x, y, width, height], "area": width * height, "keypoints": keypoints,
             "num_keypoints": int((labels > 0).sum()), "head_box": [x, y, width / 3, height / 4]}
        )  # fmt: skip
    return person_tree.write(root, content)


def opened(data: dict[str, Any], **settings: Any) -> tuple[PoseDataset, DistanceEvaluator]:
    recipe = person_tree.recipe_of(data, evaluation=settings)
    dataset = task_of(recipe).open_dataset(recipe, "val")
    evaluator = task_of(recipe).evaluator(dataset, recipe)
    assert isinstance(dataset, PoseDataset)
    assert isinstance(evaluator, DistanceEvaluator)
    return dataset, evaluator


def predict(dataset: PoseDataset, evaluator: DistanceEvaluator, rng: np.random.Generator, noise: float) -> None:
    """Add the annotations with noise as poses."""
    for index in range(len(dataset)):
        poses = dataset.poses(index)
        keypoints = poses.keypoints + rng.normal(0, noise, poses.keypoints.shape).astype(np.float32)
        boxes, scores = poses.boxes, poses.scores
        evaluator.update(
            dataset.image_id(index),
            Poses(keypoints, scores, boxes, poses.box_scores, image_size=(40, 60), categories=dataset.categories),
        )


def person_by_person(dataset: PoseDataset, evaluator: DistanceEvaluator, name: str) -> dict[str, float]:
    """Return the metrics by loops over persons and keypoints."""
    correct: dict[str, list[list[bool]]] = {}
    errors: list[float] = []
    pixels: list[float] = []
    for index in range(len(dataset)):
        result = evaluator.result(dataset.image_id(index))
        assert result is not None
        for row, predicted in zip(dataset.rows_with_pose(index), result.keypoints.astype(float), strict=True):
            points, visible = dataset.keypoints[row, :, :2], dataset.keypoints[row, :, 2] > 0
            x1, y1, x2, y2 = dataset.boxes[row]
            side = max(x2 - x1, y2 - y1)
            _, _, width, height = dataset.file.boxes_xywh[row]
            head = 0.6 * np.sqrt((width / 3) ** 2 + (height / 4) ** 2)
            between = np.sqrt(((points[1] - points[2]) ** 2).sum())
            torso = between if between >= 1 else np.sqrt(((predicted[1] - predicted[2]) ** 2).sum())
            for k in range(3):
                if not visible[k]:
                    continue
                distance = np.sqrt(((predicted[k] - points[k]) ** 2).sum())
                pixels.append(distance)
                size = between if name == "interocular" else side
                if size > 0:
                    errors.append(distance / size)
                tests = {"pck": distance / side < 0.1, "tpck": distance / torso < 0.1}
                tests |= {"pckh": distance / head < 0.5, "pckh_0_1": distance / head < 0.1}
                tests |= {f"auc{step}": distance < 1.5 * step for step in range(20)}
                for key, value in tests.items():
                    correct.setdefault(key, [[], [], []])[k].append(bool(value))
    means = {key: float(np.mean([np.mean(each) for each in columns])) for key, columns in correct.items()}
    pooled = {
        key: float(np.mean([value for column in columns for value in column])) for key, columns in correct.items()
    }
    if name == "pck":
        auc = float(np.mean([means[f"auc{step}"] for step in range(20)]))
        return {"pck": means["pck"], "tpck": means["tpck"], "auc": auc, "epe": float(np.mean(pixels))}
    if name == "pckh":
        return {key: pooled[key] for key in ("pckh", "pckh_0_1")}
    return {"nme": float(np.mean(errors))}


@pytest.mark.parametrize("name", SETTINGS)
def test_without_poses_metrics_are_undefined(tmp_path: Path, name: str) -> None:
    content = {**person_tree.content(), "annotations": []}
    dataset, evaluator = opened(person_tree.write(tmp_path, content), **SETTINGS[name])
    assert set(evaluator.compute().values()) == {-1}
    evaluator.update(3, Poses.empty((40, 60), dataset.categories))
    assert set(evaluator.compute().values()) == {-1}
    assert np.isnan(evaluator.statistics().image_scores()).all()
    assert evaluator.analyze({"some": [3]}).worst == []
    for image_id in (3, 99):
        with pytest.raises(ValueError, match=f"there is no image {image_id}"):
            evaluator.update(image_id, Poses.empty((40, 60), dataset.categories))


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("noise", [0.0, 1.0, 6.0])
def test_metrics_equal_loops_over_persons(tmp_path: Path, name: str, noise: float) -> None:
    rng = np.random.default_rng(1)
    dataset, evaluator = opened(write_people(tmp_path, rng), **SETTINGS[name])
    predict(dataset, evaluator, rng, noise)
    expected = person_by_person(dataset, evaluator, name)
    assert evaluator.compute() == pytest.approx(expected, abs=1e-9)
    if noise == 0:
        errors = {"nme", "epe", "auc"}  # no distance is under the first threshold of AUC, which is 0
        assert all(value == pytest.approx(1) for key, value in expected.items() if key not in errors)
        assert all(value < 1e-5 for key, value in expected.items() if key in ("nme", "epe"))


def test_processes_are_merged_and_files_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    data = write_people(tmp_path, rng)
    dataset, whole = opened(data, **SETTINGS["pck"])
    predict(dataset, whole, rng, 3)
    parts = [opened(data, **SETTINGS["pck"])[1] for _ in range(2)]
    for index in range(len(dataset)):
        image_id = dataset.image_id(index)
        result = whole.result(image_id)
        assert result is not None
        parts[index % 2].update(image_id, result)
    parts[0].merge(parts[1].state())
    assert parts[0].compute() == whole.compute()
    whole.write(tmp_path / "results.json")
    parts[0].write(tmp_path / "merged.json")
    assert (tmp_path / "results.json").read_bytes() == (tmp_path / "merged.json").read_bytes()


def test_statistics_survive_a_file_and_are_compared(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    data = write_people(tmp_path, rng)
    sides = []
    for noise in (1.0, 4.0):
        dataset, evaluator = opened(data, **SETTINGS["interocular"])
        predict(dataset, evaluator, rng, noise)
        sides.append(RatioStatistics.from_arrays(evaluator.statistics().arrays()))
    (difference,) = differences(*sides)
    assert difference.metric == "nme"
    assert difference.delta is not None
    assert difference.delta > 0
    assert (sides[0].image_scores() >= sides[1].image_scores()).any()
    arrays = sides[0].arrays()
    with pytest.raises(ValueError, match="other shapes"):
        RatioStatistics.from_arrays({**arrays, "nme/0": np.zeros((2, 2))})


def test_report_has_keypoints_slices_and_worst_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    dataset, evaluator = opened(write_people(tmp_path, rng), **SETTINGS["pck"])
    predict(dataset, evaluator, rng, 4)
    analysis = evaluator.analyze({"first": [3]})
    assert list(analysis.numbers["distance_by_keypoint"]) == list(person_tree.NAMES)
    assert analysis.numbers["slices"]["all images"]["epe"] == pytest.approx(evaluator.compute()["epe"])
    scores = [image.score for image in analysis.worst]
    assert scores == sorted(scores)


def test_poses_in_other_boxes_are_refused(tmp_path: Path) -> None:
    dataset, evaluator = opened(write_people(tmp_path, np.random.default_rng(5)), **SETTINGS["nme"])
    with pytest.raises(DataError, match=r"0 poses are not in the boxes of its . persons"):
        evaluator.update(3, Poses.empty((40, 60), dataset.categories))


def test_what_a_metric_needs_is_checked_first(tmp_path: Path) -> None:
    data = person_tree.write(tmp_path)
    with pytest.raises(DataError, match=r"annotation 1 of 3\.png has no 'head_box'"):
        opened(data, type="pckh")
    with pytest.raises(UsageError, match=r"evaluation\.normalize names the keypoint 'tail'"):
        opened(data, type="nme", normalize=["nose", "tail"])
    (tmp_path / "boxes.json").write_text("[]")
    with pytest.raises(UsageError, match=r"Set data\.val_detections=null"):
        opened({**data, "val_detections": "boxes.json"}, type="pck")


def test_head_box_that_is_no_box_is_an_error(tmp_path: Path) -> None:
    content = person_tree.content()
    for wrong in ([1, 2, 3], [1, 2, 3, "x"], 4):
        content["annotations"][0]["head_box"] = wrong
        with pytest.raises(DataError, match="head_box"):
            opened(person_tree.write(tmp_path, content), type="pckh")


def test_published_metrics_follow_the_keypoint_table() -> None:
    from splitnest import zoo

    def metrics(name: str) -> Any:
        recipe = zoo.get(name)
        assert isinstance(recipe, PoseRecipe)
        return recipe.metrics

    assert metrics("simplebaseline_resnest50_256x192_coco").type == "oks"
    assert metrics("td-hm_res50_8xb64-210e_mpii-256x256").type == "pckh"
    assert metrics("td-hm_res101_8xb64-210e_aic-256x192").area == "box"
    assert metrics("td-hm_res50_8xb64-210e_crowdpose-256x192").type == "crowdpose"
    assert metrics("td-hm_res50_8xb64-210e_coco-wholebody-256x192").type == "wholebody"
    assert metrics("td-hm_hrnetv2-w18_8xb64-60e_wflw-256x256").normalize == ("kpt-60", "kpt-72")
    assert metrics("td-hm_hrnetv2-w18_8xb64-60e_aflw-256x256").normalize == "box"
    assert metrics("td-hm_res50_8xb32-210e_onehand10k-256x256").threshold == 0.2
