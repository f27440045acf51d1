"""Score thresholds in checkpoints: chosen on the validation data, and used by ``predict``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

import splitnest
from helpers.random_detections import iou
from helpers.tiny_detector import CONTENT
from splitnest.errors import UsageError
from splitnest.structures import Detections
from splitnest.structures.batch import Batch
from splitnest.structures.categories import from_names
from splitnest.structures.instances import Instances
from splitnest.structures.score_thresholds import ScoreThresholds
from splitnest.weights.read import read_score_thresholds

SIZE = (48, 64)
INPUT = {"short_side": 48, "long_side": 64, "divisor": 16, "mean": [0, 0, 0], "std": [255, 255, 255]}
FASTER = "faster_rcnn_resnest50_fpn_1x_coco.mmdet"
TRAIN = {
    "epochs": None,
    "iterations": 2,
    "evaluate_every": 1,
    "schedule": "cosine",
    "batch_size": 2,
    "short_sides": [48],
}


class Squares:
    """Images with bright squares, which are cats, and dim ones, which are noise and not annotated."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed = count, seed

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[np.ndarray, Instances]:
        rng = np.random.default_rng([self.seed, index])
        image, boxes = np.zeros((*SIZE, 3), np.uint8), []
        for cell in rng.permutation(12)[:5].tolist():
            y, x = 16 * (cell // 4) + 3, 16 * (cell % 4) + 3
            is_object = rng.random() < 0.5
            brightness = rng.normal(190 if is_object else 140, 25)
            image[y : y + 10, x : x + 10] = int(np.clip(brightness, 60, 254))
            if is_object:
                boxes.append([x, y, x + 10, y + 10])
        labels = torch.zeros(len(boxes), dtype=torch.int64)
        return image, Instances(torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4), labels)


VAL = Squares(40, 1)


class BrightSquares(nn.Module):
    """Detector of squares, whose brightness is their score."""

    def __init__(self, categories: Any) -> None:
        super().__init__()
        self.categories = categories
        self.scale = nn.Parameter(torch.ones(1))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": (self.scale - 1).square().sum()}

    def predict(self, batch: Batch) -> list[Detections]:
        results = []
        for image in batch.images:
            pixels = image[0].cpu().numpy()  # from 0 to 1
            boxes, scores = [], []
            for y in range(3, SIZE[0], 16):
                for x in range(3, SIZE[1], 16):
                    if pixels[y + 5, x + 5] > 0.05:
                        boxes.append([x, y, x + 10, y + 10])
                        scores.append(pixels[y + 5, x + 5])
            results.append(
                Detections(
                    np.array(boxes, np.float32).reshape(-1, 4),
                    np.array(scores, np.float32),
                    np.zeros(len(boxes), np.int64),
                    image_size=SIZE,
                    categories=self.categories,
                )
            )
        return results


CATEGORIES = from_names(["cat"])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> splitnest.Run:
    """Training of two steps with evaluations after both."""
    folder = tmp_path_factory.mktemp("squares")
    changes = {"data": {"format": "coco", "classes": ["cat"]}, "input": INPUT}
    model = {key: value for key, value in CONTENT["model"].items() if not key.startswith("mask_")}
    content = {**CONTENT, **changes, "model": model, "train": {**CONTENT["train"], **TRAIN}, "base": FASTER}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(content))
    return splitnest.train(
        folder / "recipe.yaml",
        train_data=Squares(4, 0),
        val_data=VAL,
        out=folder / "run",
        device="cpu",
        model=BrightSquares(CATEGORIES),
    )


def load(path: Path) -> splitnest.Predictor:
    return splitnest.load(path, device="cpu", model=BrightSquares(CATEGORIES))


def f1_of(results: Sequence[Any], data: Squares) -> float:
    """Return the F1 score of all detections of results, which do not overlap."""
    correct = detected = instances = 0
    for index, result in enumerate(results):
        gt = data[index][1].boxes.numpy()
        detected, instances = detected + len(result), instances + len(gt)
        correct += sum(any(iou(box.astype(float), other, False) >= 0.5 for other in gt) for box in result.boxes)
    return 2 * correct / (detected + instances)


def test_auto_raises_f1_over_the_default(run: splitnest.Run) -> None:
    predictor = load(run.last)
    thresholds = predictor.score_thresholds
    assert thresholds is not None
    assert 0.5 < thresholds.overall < 0.8
    assert len(thresholds.by_class) == 1
    images = [VAL[index][0] for index in range(len(VAL))]
    f1 = {score: f1_of(predictor.predict(images, score_threshold=score), VAL) for score in ("auto", 0.5, None)}
    assert f1["auto"] > f1[0.5] + 0.05
    assert f1[0.5] >= f1[None]
    highest = max(f1_of(predictor.predict(images, score_threshold=s), VAL) for s in np.linspace(0, 1, 51).tolist())
    assert f1["auto"] >= highest


def test_checkpoints_of_a_run_have_thresholds(run: splitnest.Run, tmp_path: Path) -> None:
    assert run.best is not None
    found = read_score_thresholds(run.last)
    assert read_score_thresholds(run.best) == found
    assert found is not None
    content = torch.load(run.last, weights_only=True)
    assert ScoreThresholds.from_json(content["score_thresholds"]) == found
    folder = splitnest.load(run.folder, device="cpu", model=BrightSquares(CATEGORIES))
    assert folder.score_thresholds == found
    assert load(run.last).predict(VAL[0][0], score_threshold="auto", stream=False)


def test_models_without_thresholds_say_so(run: splitnest.Run, tmp_path: Path) -> None:
    image = VAL[0][0]
    predictor = splitnest.Predictor(BrightSquares(CATEGORIES), load(run.last).recipe)  # type: ignore[arg-type]
    assert predictor.score_thresholds is None
    with pytest.raises(UsageError, match=r"tiny stores no score thresholds; .* Give a score from 0 to 1"):
        predictor.predict(image, score_threshold="auto")
    with pytest.raises(UsageError, match=r"score_threshold is 'best'\. Give a probability, from 0 to 1, or 'auto'"):
        predictor.predict(image, score_threshold="best")  # type: ignore[call-overload]
    content = torch.load(run.last, weights_only=True)
    for text in ("", "[]", ScoreThresholds(0.5, (0.5, 0.5)).to_json(), 5):
        torch.save({**content, "score_thresholds": text}, tmp_path / "other.pt")
        assert load(tmp_path / "other.pt").score_thresholds is None
