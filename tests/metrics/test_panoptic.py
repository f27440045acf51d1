"""Evaluation of panoptic models: metrics of segments and instances, results files, a whole evaluation."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from splitnest import zoo
from splitnest.cli.predictions import summary
from splitnest.data.detection.panoptic import CocoPanoptic
from splitnest.data.scenes import Scenes
from splitnest.data.scenes.classes import CATEGORIES, STUFF_NAMES, THING_NAMES
from splitnest.data.scenes.panoptic import ScenePanoptic
from splitnest.errors import DataError, OutputError
from splitnest.evaluation.evaluate import evaluate, run_evaluation
from splitnest.inference.predictor import Predictor
from splitnest.metrics.panoptic import PanopticEvaluator
from splitnest.models.build import build_model
from splitnest.recipe import overrides
from splitnest.structures import PanopticSegmentation
from splitnest.training.prediction_sheet import prediction_sheet

SIZE = (64, 80)
SCENES = Scenes(3, SIZE)


def perfect(index: int) -> PanopticSegmentation:
    return replace(SCENES[index].panoptic_segmentation(), detections=SCENES[index].detections())


def evaluated(dataset: Any, count: int = len(SCENES)) -> PanopticEvaluator:
    evaluator = PanopticEvaluator(dataset)
    for index in range(count):
        evaluator.update(index + 1, perfect(index))
    return evaluator


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the scenes as files."""
    path = tmp_path_factory.mktemp("scenes")
    SCENES.write_coco(path, "val")
    return path


def test_no_images(tmp_path: Path) -> None:
    evaluator = PanopticEvaluator(ScenePanoptic(Scenes(0, SIZE)))
    assert set(evaluator.compute().values()) == {-1.0}
    evaluator.write(tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_text()) == {"annotations": []}
    assert not list((tmp_path / "results").iterdir())


def test_perfect_segments_and_instances() -> None:
    evaluator = evaluated(ScenePanoptic(SCENES))
    metrics = evaluator.compute()
    assert next(iter(metrics)) == "pq"  # the first metric chooses the best checkpoint
    assert [metrics[name] for name in ("pq", "pq_things", "pq_stuff", "box_ap", "mask_ap")] == pytest.approx([1] * 5)
    per_class = evaluator.per_class()
    assert tuple(per_class) == CATEGORIES.names
    assert all(list(per_class[name]) == ["pq", "sq", "rq", "box_ap", "mask_ap"] for name in THING_NAMES)
    assert all(list(per_class[name]) == ["pq", "sq", "rq"] for name in STUFF_NAMES)


def test_average_precision_is_that_of_instances_before_merging() -> None:
    evaluator = PanopticEvaluator(ScenePanoptic(SCENES))
    for index in range(len(SCENES)):
        nothing = PanopticSegmentation.empty(SIZE, CATEGORIES)
        evaluator.update(index + 1, replace(nothing, detections=SCENES[index].detections()))
    metrics = evaluator.compute()
    assert (metrics["pq"], metrics["box_ap"]) == pytest.approx((0, 1))
    with pytest.raises(ValueError, match="has no detections"):
        evaluator.update(1, nothing)


def test_hotcoco_reads_written_results(folder: Path, tmp_path: Path) -> None:
    from hotcoco.panoptic import PanopticEval

    path = tmp_path / "new" / "results.json"
    evaluated(CocoPanoptic(folder / "val", folder / "annotations" / "panoptic_val.json")).write(path)
    other = PanopticEval(
        folder / "annotations" / "panoptic_val.json", path, gt_folder=folder / "panoptic_val", pred_folder=None
    )
    other.evaluate()
    assert other.results()["All"]["pq"] == 1
    rows = json.loads(path.read_text())["annotations"]
    assert [row["file_name"] for row in rows] == [f"{n:012d}.png" for n in (1, 2, 3)]
    for row in rows:
        pixels = np.array(Image.open(path.with_suffix("") / row["file_name"]), np.int64) @ [1, 256, 65536]
        counts = np.unique(pixels[pixels > 0], return_counts=True)
        areas = {info["id"]: info["area"] for info in row["segments_info"]}
        assert dict(zip(*(values.tolist() for values in counts), strict=True)) == areas


def changed(folder: Path, change: Callable[[dict[str, Any]], None]) -> CocoPanoptic:
    """Open the scenes with a changed annotation file."""
    content = json.loads((folder / "annotations" / "panoptic_val.json").read_text())
    change(content)
    path = folder / "changed" / "panoptic_val.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
    return CocoPanoptic(folder / "val", path, CATEGORIES)


def test_results_have_the_class_ids_of_the_annotation_file(folder: Path, tmp_path: Path) -> None:
    def renumber(content: dict[str, Any]) -> None:
        segments = [segment for row in content["annotations"] for segment in row["segments_info"]]
        for row, key in [*((c, "id") for c in content["categories"]), *((s, "category_id") for s in segments)]:
            row[key] += 100

    evaluator = evaluated(changed(folder, renumber))
    assert evaluator.compute()["pq"] == 1
    evaluator.write(tmp_path / "results.json")
    rows = json.loads((tmp_path / "results.json").read_text())["annotations"]
    assert all(segment["category_id"] > 100 for row in rows for segment in row["segments_info"])


def test_test_set_gives_results_without_metrics(folder: Path, tmp_path: Path) -> None:
    evaluator = evaluated(changed(folder, lambda content: content.pop("annotations")))
    with pytest.raises(DataError, match="no annotations"):
        evaluator.compute()
    evaluator.write(tmp_path / "results.json")
    assert len(json.loads((tmp_path / "results.json").read_text())["annotations"]) == len(SCENES)


def test_writing_again_replaces_results_and_keeps_other_files(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    dataset = ScenePanoptic(SCENES)
    evaluated(dataset).write(path)
    (tmp_path / "results" / "mine.txt").touch()
    evaluated(dataset, count=1).write(path)
    assert len(json.loads(path.read_text())["annotations"]) == 1
    assert (tmp_path / "results" / "mine.txt").exists()
    (tmp_path / "results" / "000000000002.png").unlink()
    (tmp_path / "results" / "000000000002.png").mkdir()
    with pytest.raises(OutputError, match=r"000000000002\.png cannot be written"):
        evaluated(dataset).write(path)
    assert not path.exists()  # its PNG files would be those of two evaluations
    assert not list(tmp_path.rglob("*.part"))


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """Return an untrained panoptic model with the classes of the scenes."""
    recipe = overrides.apply(
        zoo.get("panoptic_fpn_resnest200_3x_coco.detectron2"),
        {
            "model.backbone.depth": 14,
            "model.backbone.planes": 8,
            "model.backbone.stem_width": 8,
            "model.fpn_channels": 16,
            "model.box_conv_channels": 16,
            "model.box_fc_channels": 16,
            "model.mask_channels": 16,
            "model.panoptic.channels": 16,
            "model.panoptic.min_score": 0,
            "model.panoptic.min_stuff_area": 1,
            "input.short_side": 64,
            "data.format": "scenes",
            "data.train_count": 1,
            "data.val_count": 2,
            "data.height": 64,
            "data.width": 80,
            "data.classes": list(THING_NAMES),
            "data.stuff": list(STUFF_NAMES),
        },
    )
    return Predictor(build_model(recipe), recipe)


def test_evaluation_of_a_model(predictor: Predictor, tmp_path: Path) -> None:
    evaluation = run_evaluation(predictor, batch_size=2)
    assert evaluation.metrics == evaluate(predictor)
    assert {"pq", "sq", "rq", "pq_things", "pq_stuff", "box_ap", "mask_ap"} <= set(evaluation.metrics)
    assert tuple(evaluation.per_class) == CATEGORIES.names
    evaluation.evaluator.write(tmp_path / "results.json")
    assert len(list((tmp_path / "results").iterdir())) == 2


def test_prediction_sheet(predictor: Predictor) -> None:
    dataset = ScenePanoptic(Scenes(2, SIZE), predictor.module.categories)
    sheet = prediction_sheet(predictor.module, predictor.recipe, dataset)
    assert sheet is not None
    assert sheet.shape[2] == 3
    assert prediction_sheet(predictor.module, predictor.recipe, ScenePanoptic(Scenes(0, SIZE))) is None


def test_summary_counts_things_and_names_stuff() -> None:
    assert summary(PanopticSegmentation.empty(SIZE, CATEGORIES)) == "nothing"
    infos = [(1, "car"), (2, "tree"), (3, "tree"), (4, "sky")]
    rows = [
        {
            "id": id_,
            "category": CATEGORIES.names.index(name),
            "isthing": name in THING_NAMES,
            "score": None,
            "area": 1,
        }
        for id_, name in infos
    ]
    result = PanopticSegmentation(np.array([[1, 2, 3, 4]], np.int32), rows, image_size=(1, 4), categories=CATEGORIES)
    assert summary(result) == "2 tree, 1 car, sky"
