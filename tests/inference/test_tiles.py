"""Tiled prediction: objects of drawn scenes are found across tiles, batches and single tiles change nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import splitnest
from helpers.command_line import RECIPE
from helpers.families import FAMILIES, load_small
from splitnest.data.images.normalize import denormalize
from splitnest.errors import UsageError
from splitnest.evaluation.evaluate import run_evaluation
from splitnest.inference.exported_model import ExportedModel
from splitnest.structures import Detections, SemanticSegmentation
from splitnest.structures.batch import Batch
from splitnest.structures.categories import from_names
from splitnest.structures.instances import Instances

COLORS = ((250, 30, 30), (30, 30, 250))
SEGMENTOR = "deeplabv3_resnest101_d8_ade20k.mmseg"


class ColorDetector(nn.Module):
    """Detector of rectangles in the colors of two classes, by connected pixels: no part of an image that it sees is
    missed, and nothing else is found."""  # fmt: skip

    def __init__(self, input_cfg: Any) -> None:
        super().__init__()
        self.input_cfg, self.largest_batch = input_cfg, 0
        self.like = nn.Parameter(torch.zeros(1))

    def predict(self, batch: Batch) -> list[Detections]:
        self.largest_batch = max(self.largest_batch, len(batch))
        return [
            self._detect(denormalize(image[:, :height, :width], self.input_cfg))
            for image, (height, width) in zip(batch.images, batch.sizes, strict=True)
        ]

    def _detect(self, pixels: np.ndarray) -> Detections:
        boxes, labels = [], []
        for label, color in enumerate(COLORS):
            left = (pixels == np.array(color, np.uint8)).all(-1)
            while left.any():
                y, x = np.argwhere(left)[0].tolist()
                x2 = x + int(np.argmin([*left[y, x:], False]))
                y2 = y + int(np.argmin([*left[y:, x], False]))
                left[y:y2, x:x2] = False
                boxes.append([x, y, x2, y2])
                labels.append(label)
        masks = np.zeros((len(boxes), *pixels.shape[:2]), bool)
        for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
            mask[y1:y2, x1:x2] = True
        return Detections(
            np.array(boxes, np.float32).reshape(-1, 4),
            np.full(len(boxes), 0.9, np.float32),
            np.array(labels, np.int64),
            masks,
            image_size=(pixels.shape[0], pixels.shape[1]),
            categories=from_names(("circle", "square")),
        )


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "small.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def oracle(recipe_file: Path) -> splitnest.Predictor:
    recipe = splitnest.load(recipe_file, weights=None, device="cpu").recipe
    return splitnest.load(recipe_file, weights=None, device="cpu", model=ColorDetector(recipe.input))


@pytest.fixture(scope="module")
def small(recipe_file: Path) -> splitnest.Predictor:
    torch.manual_seed(0)
    return splitnest.load(recipe_file, weights=None, device="cpu")


def drawn(size_hw: tuple[int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return an image of rectangles that do not touch, with their boxes and classes."""
    rng, image = np.random.default_rng(seed), np.zeros((*size_hw, 3), np.uint8)
    boxes, labels = [], []
    for _ in range(200):
        (y1, x1), (height, width) = rng.integers(0, size_hw), rng.integers(4, 90, 2)
        y2, x2 = min(y1 + height, size_hw[0]), min(x1 + width, size_hw[1])
        around = image[max(y1 - 1, 0) : y2 + 1, max(x1 - 1, 0) : x2 + 1]
        if around.any() or min(y2 - y1, x2 - x1) < 4:
            continue
        labels.append(int(rng.integers(2)))
        image[y1:y2, x1:x2] = COLORS[labels[-1]]
        boxes.append([x1, y1, x2, y2])
    return image, np.array(boxes, np.float32), np.array(labels)


def check_same(a: Detections, b: Detections) -> None:
    for name in ("boxes", "scores", "labels", "masks"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


@pytest.mark.parametrize("tile", [64, (80, 120), 150])
@pytest.mark.parametrize("overlap", [0.2, 0.5])
def test_rectangles_are_found_across_tiles(oracle: splitnest.Predictor, tile: Any, overlap: float) -> None:
    image, boxes, labels = drawn((307, 411))
    (result,) = oracle.predict(image, resize=False, tile=tile, overlap=overlap, batch_size=4)
    assert isinstance(result, Detections)
    found, expected = np.lexsort(result.boxes.T), np.lexsort(boxes.T)
    np.testing.assert_array_equal(result.boxes[found], boxes[expected])
    np.testing.assert_array_equal(result.labels[found], labels[expected])
    assert result.masks is not None
    for mask, (x1, y1, x2, y2) in zip(result.masks, result.boxes.astype(int), strict=True):
        assert mask[y1:y2, x1:x2].all()
        assert mask.sum() == (y2 - y1) * (x2 - x1)


def test_average_precision_over_tiles_is_1(oracle: splitnest.Predictor) -> None:
    image, boxes, labels = drawn((205, 311), seed=1)
    masks = np.zeros((len(boxes), 205, 311), bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.astype(int), strict=True):
        mask[y1:y2, x1:x2] = True
    instances = Instances(torch.from_numpy(boxes), torch.from_numpy(labels), torch.from_numpy(masks))
    oracle.recipe.input.__dict__.update(short_side=64, long_side=64)  # tiles are not resized
    metrics = run_evaluation(oracle, data=[(image, instances)], tile=64, overlap=0.25, batch_size=3).metrics
    assert metrics["box_ap"] == metrics["mask_ap"] == 1
    assert splitnest.evaluate(oracle, data=[(image, instances)], tile=64)["box_ap"] == 1


def test_an_image_no_larger_than_a_tile_is_predicted_as_a_whole(small: splitnest.Predictor) -> None:
    image = np.random.default_rng(0).integers(0, 256, (61, 97, 3), dtype=np.uint8)
    (expected,) = small.predict(image)
    (result,) = small.predict(image, tile=(61, 97), overlap=0.5)
    check_same(result, expected)  # type: ignore[arg-type]
    assert len(expected) > 0  # type: ignore[arg-type]


def test_tiles_of_one_batch_do_not_change_each_other(small: splitnest.Predictor) -> None:
    image = np.random.default_rng(0).integers(0, 256, (100, 150, 3), dtype=np.uint8)
    one, other = (small.predict(image, tile=64, batch_size=size)[0] for size in (1, 4))
    assert isinstance(one, Detections)
    assert isinstance(other, Detections)
    np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-2)
    assert one.image_size == (100, 150)
    assert len(one) > 0


def test_tiles_are_processed_in_batches(oracle: splitnest.Predictor) -> None:
    oracle.module.largest_batch = 0  # type: ignore[assignment]
    oracle.predict(np.zeros((200, 200, 3), np.uint8), tile=64, batch_size=5, resize=False)
    assert oracle.module.largest_batch == 5


def test_the_score_threshold_is_applied(small: splitnest.Predictor) -> None:
    image = np.random.default_rng(0).integers(0, 256, (100, 150, 3), dtype=np.uint8)
    (every,) = small.predict(image, tile=64)
    assert isinstance(every, Detections)
    middle = float(np.median(every.scores))
    (best,) = small.predict(image, tile=64, score_threshold=middle)
    check_same(best, every.above(middle))  # type: ignore[arg-type]


def test_segments_of_tiles_equal_those_of_a_sliding_window() -> None:
    image = np.random.default_rng(0).integers(0, 256, (70, 130, 3), dtype=np.uint8)
    plain = load_small(SEGMENTOR)
    sliding = splitnest.load(
        SEGMENTOR,
        weights=None,
        overrides={**FAMILIES[SEGMENTOR], "input.window": [48, 64], "input.stride": [36, 48]},
        device="cpu",
    )
    sliding.module.load_state_dict(plain.module.state_dict())
    sliding.module.to(plain.dtype)
    (expected,) = sliding.predict(image, resize=False)
    (result,) = plain.predict(image, resize=False, tile=(48, 64), overlap=0.25, batch_size=2)
    assert isinstance(result, SemanticSegmentation)
    assert isinstance(expected, SemanticSegmentation)
    np.testing.assert_array_equal(result.labels, expected.labels)
    (whole,) = plain.predict(image)
    (only,) = plain.predict(image, tile=130)
    np.testing.assert_array_equal(only.labels, whole.labels)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("resnest50_imagenet.official", "classification"),
        ("panoptic_fpn_resnest200_3x_coco.detectron2", "panoptic"),
        ("simplebaseline_resnest50_256x192_coco.mmpose", "pose"),
    ],
)
def test_other_tasks_refuse_tiles(name: str, task: str) -> None:
    predictor = load_small(name)
    with pytest.raises(UsageError, match=f"no tiled prediction: its task is {task}"):
        predictor.predict(np.zeros((8, 8, 3), np.uint8), tile=64)


def test_logits_of_an_exported_segmentor_are_not_joined() -> None:
    recipe = load_small(SEGMENTOR).recipe
    exported = splitnest.Predictor(ExportedModel(recipe, lambda *inputs: []), recipe)
    with pytest.raises(UsageError, match="is an exported model, whose logits cannot be joined over tiles"):
        exported.predict(np.zeros((8, 8, 3), np.uint8), tile=64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tile": 31}, "smaller than 32 pixels"),
        ({"tile": (64, 8)}, "smaller than 32 pixels"),
        ({"tile": -5}, "smaller than 32 pixels"),
        ({"tile": 64.5}, "tile is 64.5"),
        ({"tile": (64, 64, 64)}, "height and width"),
        ({"tile": True}, "tile is True"),
        ({"tile": 64, "overlap": 1}, "overlap is 1. Give the fraction"),
        ({"tile": 64, "overlap": -0.1}, "from 0 to 0.9"),
        ({"tile": 64, "overlap": float("nan")}, "overlap is nan"),
        ({"tile": 64, "overlap": "half"}, "overlap is 'half'"),
        ({"overlap": 0.2}, "no effect without tile"),
        ({"tile": 64, "tta": True}, "Omit tile or tta"),
    ],
)
def test_bad_arguments(small: splitnest.Predictor, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        small.predict(np.zeros((100, 100, 3), np.uint8), stream=True, **options)
