"""Evaluation of panoptic models: metrics of segments and instances, results for the server, the way through a run."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from splitnest import recipes
from splitnest.build import build_model
from splitnest.data.coco_panoptic import CocoPanoptic
from splitnest.data.scenes import Scenes
from splitnest.data.scenes.classes import CATEGORIES, STUFF_NAMES, THING_NAMES
from splitnest.data.scenes.panoptic import ScenePanoptic
from splitnest.errors import DataError
from splitnest.evaluation.panoptic_model import PanopticModelEvaluator
from splitnest.evaluator import evaluate, run
from splitnest.pictures import summary
from splitnest.predictor import Predictor
from splitnest.recipe import overrides
from splitnest.results import PanopticSegmentation
from splitnest.training.page import predictions_page

SIZE = (64, 80)
SCENES = Scenes(3, SIZE)


def perfect(index: int) -> PanopticSegmentation:
    return replace(SCENES[index].panoptic_segmentation(), detections=SCENES[index].detections())


def evaluated(dataset: Any, count: int = len(SCENES)) -> PanopticModelEvaluator:
    evaluator = PanopticModelEvaluator(dataset)
    for index in range(count):
        evaluator.update(index + 1, perfect(index))
    return evaluator


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the scenes as files."""
    path = tmp_path_factory.mktemp("scenes")
    SCENES.write_coco(path, "val")
    return path


def test_no_photographs(tmp_path: Path) -> None:
    evaluator = PanopticModelEvaluator(ScenePanoptic(Scenes(0, SIZE)))
    assert set(evaluator.compute().values()) == {-1.0}
    evaluator.write(tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_text()) == {"annotations": []}
    assert not list((tmp_path / "results").iterdir())


def test_perfect_segments_and_instances() -> None:
    evaluator = evaluated(ScenePanoptic(SCENES))
    metrics = evaluator.compute()
    assert next(iter(metrics)) == "pq"  # by which the best checkpoint is chosen
    assert [metrics[name] for name in ("pq", "pq_things", "pq_stuff", "box_ap", "mask_ap")] == pytest.approx([1] * 5)
    per_class = evaluator.per_class()
    assert tuple(per_class) == CATEGORIES.names
    assert all(list(per_class[name]) == ["pq", "sq", "rq", "box_ap", "mask_ap"] for name in THING_NAMES)
    assert all(list(per_class[name]) == ["pq", "sq", "rq"] for name in STUFF_NAMES)


def test_instances_are_those_before_the_merge() -> None:
    evaluator = PanopticModelEvaluator(ScenePanoptic(SCENES))
    for index in range(len(SCENES)):
        stuff_alone = PanopticSegmentation.empty(SIZE, CATEGORIES)
        evaluator.update(index + 1, replace(stuff_alone, detections=SCENES[index].detections()))
    metrics = evaluator.compute()
    assert (metrics["pq"], metrics["box_ap"]) == pytest.approx((0, 1))
    with pytest.raises(ValueError, match="without the instances"):
        evaluator.update(1, stuff_alone)


def test_written_results_are_read_by_others(folder: Path, tmp_path: Path) -> None:
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
    """Open the scenes with another annotation file; the PNGs are found one folder up."""
    content = json.loads((folder / "annotations" / "panoptic_val.json").read_text())
    change(content)
    path = folder / "changed" / "panoptic_val.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
    return CocoPanoptic(folder / "val", path, CATEGORIES)


def test_classes_have_the_ids_of_the_file(folder: Path, tmp_path: Path) -> None:
    def renumber(content: dict[str, Any]) -> None:
        segments = [segment for row in content["annotations"] for segment in row["segments_info"]]
        for row, key in [*((c, "id") for c in content["categories"]), *((s, "category_id") for s in segments)]:
            row[key] += 100

    evaluator = evaluated(changed(folder, renumber))
    assert evaluator.compute()["pq"] == 1
    evaluator.write(tmp_path / "results.json")
    rows = json.loads((tmp_path / "results.json").read_text())["annotations"]
    assert all(segment["category_id"] > 100 for row in rows for segment in row["segments_info"])


def test_a_test_set_gives_results_alone(folder: Path, tmp_path: Path) -> None:
    evaluator = evaluated(changed(folder, lambda content: content.pop("annotations")))
    with pytest.raises(DataError, match="no metric can be had"):
        evaluator.compute()
    evaluator.write(tmp_path / "results.json")
    assert len(json.loads((tmp_path / "results.json").read_text())["annotations"]) == len(SCENES)


def test_what_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    dataset = ScenePanoptic(SCENES)
    evaluated(dataset).write(path)
    (tmp_path / "results" / "mine.txt").touch()
    evaluated(dataset, count=1).write(path)
    assert len(json.loads(path.read_text())["annotations"]) == 1
    assert (tmp_path / "results" / "mine.txt").exists()
    (tmp_path / "results" / "000000000002.png").unlink()
    (tmp_path / "results" / "000000000002.png").mkdir()
    with pytest.raises(DataError, match=r"results\.json cannot be written"):
        evaluated(dataset).write(path)
    assert not path.exists()  # it would go with PNGs of two evaluations
    assert not list(tmp_path.rglob("*.part"))


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """Return an untrained panoptic model of the scenes' classes."""
    recipe = overrides.apply(
        recipes.get("panoptic_fpn_resnest200_3x_coco.detectron2"),
        {
            "model.backbone.depth": 14,
            "model.backbone.planes": 8,
            "model.backbone.stem_width": 8,
            "model.fpn_channels": 16,
            "model.box_channels": 16,
            "model.box_features": 16,
            "model.mask_channels": 16,
            "model.panoptic.channels": 16,
            "model.panoptic.min_score": 0,
            "model.panoptic.min_stuff_area": 1,
            "input.short_side": 64,
            "data.format": "scenes",
            "data.scenes": {"train_count": 1, "val_count": 2, "height": 64, "width": 80},
            "data.classes": list(THING_NAMES),
            "data.stuff": list(STUFF_NAMES),
        },
    )
    return Predictor(build_model(recipe), recipe)


def test_a_run(predictor: Predictor, tmp_path: Path) -> None:
    found = run(predictor, batch_size=2)
    assert found.metrics == evaluate(predictor)
    assert {"pq", "sq", "rq", "pq_things", "pq_stuff", "box_ap", "mask_ap"} <= set(found.metrics)
    assert tuple(found.per_class) == CATEGORIES.names
    found.evaluator.write(tmp_path / "results.json")
    assert len(list((tmp_path / "results").iterdir())) == 2


def test_page_of_a_training(predictor: Predictor) -> None:
    scenes = Scenes(2, SIZE)
    dataset = ScenePanoptic(scenes, predictor.module.panoptic_categories)
    page = predictions_page(predictor.module, predictor.recipe, dataset)
    assert page is not None
    assert page.shape[2] == 3
    assert predictions_page(predictor.module, predictor.recipe, ScenePanoptic(Scenes(0, SIZE))) is None


def test_summary_counts_things_and_names_stuff() -> None:
    assert summary(PanopticSegmentation.empty(SIZE, CATEGORIES), 0.5) == "nothing"
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
    found = PanopticSegmentation(np.array([[1, 2, 3, 4]], np.int32), rows, image_size=(1, 4), categories=CATEGORIES)
    assert summary(found, 0.5) == "2 tree, 1 car, sky"
