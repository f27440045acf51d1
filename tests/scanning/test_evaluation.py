"""Metrics of a scan equal those of the model to the last digit, for every task."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import splitnest
from helpers import image_tree, person_tree
from helpers.families import FAMILIES, PANOPTIC
from helpers.scan_data import BROKEN, write_files, write_parquet
from splitnest.data.scenes.classes import STUFF_NAMES, THING_NAMES
from splitnest.errors import DataError, UsageError
from splitnest.evaluation.evaluate import run_evaluation
from splitnest.tasks import task_of
from splitnest.weights import save

SCENES: Mapping[str, Any] = {
    "data.format": "scenes",
    "data.train_count": 1,
    "data.val_count": 4,
    "data.height": 64,
    "data.width": 80,
    "data.classes": list(THING_NAMES),
    "input.short_side": 64,
}
MODELS: dict[str, dict[str, Any]] = {
    "faster_rcnn_resnest50_fpn_1x_coco.mmdet": {},
    "mask_rcnn_resnest50_fpn_1x_coco.detectron2": {},
    PANOPTIC: {"data.stuff": list(STUFF_NAMES), "model.panoptic.min_score": 0},
    "fcn_resnest101_d8_ade20k.mmseg": {"data.classes": [*THING_NAMES, *STUFF_NAMES]},
}


def saved(folder: Path, name: str | splitnest.Recipe, values: Mapping[str, Any]) -> Path:
    """Write the checkpoint of a small model, and return its path."""
    predictor = splitnest.load(name, weights=None, device="cpu", overrides=values)  # type: ignore[arg-type]
    save.save(predictor.module, predictor.recipe, folder / "model.safetensors")
    return folder / "model.safetensors"


def check_equal(model: Path, out: Path, folder: Path) -> dict[str, float]:
    """Check that metrics and written results are equal, and return the metrics."""
    predictor = splitnest.load(model, device="cpu")
    of_model = run_evaluation(predictor)
    of_scan = run_evaluation(predictor.recipe, predictions=out)
    assert of_scan.metrics == of_model.metrics
    assert of_scan.per_class == of_model.per_class
    suffix = task_of(predictor.recipe).results_suffix
    for name, evaluation in (("model", of_model), ("scan", of_scan)):
        (folder / name).mkdir()
        evaluation.evaluator.write(folder / name / f"results{suffix}")
    files = {path.relative_to(folder / "model"): path.read_bytes() for path in (folder / "model").rglob("*.*")}
    assert files
    for path, content in files.items():
        assert (folder / "scan" / path).read_bytes() == content, path
    return of_scan.metrics


@pytest.mark.parametrize("name", MODELS)
def test_scenes(tmp_path: Path, name: str) -> None:
    values = {**FAMILIES[name], **SCENES, **MODELS[name]}
    model = saved(tmp_path, name, values)
    recipe = splitnest.load(model, device="cpu").recipe
    dataset = task_of(recipe).open_dataset(recipe, "val")
    columns: dict[str, list[Any]] = {"key": [], "image": []}
    for index in reversed(range(len(dataset))):  # the order of the scan is not that of the dataset
        file = io.BytesIO()
        Image.fromarray(dataset.read(index)).save(file, "PNG")
        columns["key"].append(dataset.name(index))
        columns["image"].append(file.getvalue())
    source = write_parquet(tmp_path / "a.parquet", columns, rows_in_group=2)
    splitnest.scan(model, source, tmp_path / "out", shard_size=2, device="cpu")
    check_equal(model, tmp_path / "out", tmp_path)


def test_classification(tmp_path: Path) -> None:
    image_tree.write_classes(tmp_path / "data", {"train": 1, "val": 3})
    recipe = image_tree.recipe_of(tmp_path / "data", **{"data.classes": list(image_tree.COLORS)})
    (tmp_path / "small.yaml").write_text(recipe_yaml(recipe))
    model = saved(tmp_path, str(tmp_path / "small.yaml"), {})
    splitnest.scan(model, tmp_path / "data" / "val", tmp_path / "out", device="cpu")
    assert 0 < check_equal(model, tmp_path / "out", tmp_path)["top1"] < 1


def test_pose_with_boxes_of_a_file(tmp_path: Path) -> None:
    data = person_tree.write(tmp_path)
    rows = [
        {"image_id": id_, "category_id": 1, "bbox": [x, 5, 25.5, 30.25], "score": 0.9 - x / 100}
        for id_ in (3, 8)
        for x in (1, 20)
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(rows))
    recipe = person_tree.recipe_of({**data, "val_detections": "boxes.json"})
    (tmp_path / "small.yaml").write_text(recipe_yaml(recipe))
    model = saved(tmp_path, str(tmp_path / "small.yaml"), {})
    boxes = tmp_path / "boxes.json"
    splitnest.scan(model, tmp_path / "images", tmp_path / "out", boxes=boxes, device="cpu")
    check_equal(model, tmp_path / "out", tmp_path)
    boxes.write_text(json.dumps(rows[:2]))
    with pytest.raises(UsageError, match="differ in boxes"):
        splitnest.scan(model, tmp_path / "images", tmp_path / "out", boxes=boxes, device="cpu")


def test_pose_with_a_detector(tmp_path: Path) -> None:
    person_tree.write(tmp_path)
    recipe = person_tree.recipe_of({**person_tree.write(tmp_path), "root": None})
    (tmp_path / "small.yaml").write_text(recipe_yaml(recipe))
    model = saved(tmp_path, str(tmp_path / "small.yaml"), {})
    name = "faster_rcnn_resnest50_fpn_1x_coco.mmdet"
    (tmp_path / "detector").mkdir()
    detector = saved(tmp_path / "detector", name, {**FAMILIES[name], "data.classes": ["dog"]})
    splitnest.scan(model, tmp_path / "images", tmp_path / "out", detector=detector, device="cpu")
    predictor, finder = splitnest.load(model, device="cpu"), splitnest.load(detector, device="cpu")
    for image in splitnest.read_scan(tmp_path / "out"):
        (expected,) = predictor.predict(tmp_path / "images" / image.key, detector=finder)
        assert isinstance(expected, splitnest.Poses)
        assert isinstance(image.result, splitnest.Poses)
        assert np.array_equal(image.result.keypoints, expected.keypoints)
        assert np.array_equal(image.result.boxes, expected.boxes)


def test_what_cannot_be_evaluated(tmp_path: Path) -> None:
    root = tmp_path / "data"
    image_tree.write_classes(root, {"train": 1, "val": 2})
    recipe = image_tree.recipe_of(root, **{"data.classes": list(image_tree.COLORS)})
    (tmp_path / "small.yaml").write_text(recipe_yaml(recipe))
    model = saved(tmp_path, str(tmp_path / "small.yaml"), {})
    splitnest.scan(model, root / "val" / "red", tmp_path / "part", device="cpu")
    with pytest.raises(DataError, match=r"lacks 6 of the 6 images of the dataset: blue/val0\.png"):
        splitnest.evaluate(model, predictions=tmp_path / "part")
    splitnest.scan(model, root / "val", tmp_path / "features", what="features", device="cpu")
    with pytest.raises(UsageError, match="features, which have no metrics"):
        splitnest.evaluate(model, predictions=tmp_path / "features")
    splitnest.scan(model, [root / "val", root / "val"], tmp_path / "twice", device="cpu")
    with pytest.raises(DataError, match=r"two images called blue/val0\.png"):
        splitnest.evaluate(model, predictions=tmp_path / "twice")
    write_files(root, {"val/red/val1.png": BROKEN})
    splitnest.scan(model, root / "val", tmp_path / "broken", device="cpu")
    with pytest.raises(DataError, match=r"no result of red/val1\.png: .*splitnest scan retry"):
        splitnest.evaluate(model, predictions=tmp_path / "broken")
    with pytest.raises(UsageError, match=r"another model, which differs in input\.size"):
        splitnest.evaluate(model, {"input.size": 64}, predictions=tmp_path / "broken")
    with pytest.raises(UsageError, match="evaluated as they are"):
        splitnest.evaluate(model, predictions=tmp_path / "broken", tta=True)


def recipe_yaml(recipe: splitnest.Recipe) -> str:
    from splitnest.recipe.serialization import dump_yaml

    return dump_yaml(recipe)
