"""Random boxes and detections, and a plain matching of them, by the definition of COCO and without hotcoco."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from splitnest.metrics.coco import CocoEvaluator
from splitnest.structures import Detections
from splitnest.structures.categories import from_names

SIZE = (120, 160)
CLASSES = from_names(["cat", "dog", "owl"])


@dataclass(frozen=True)
class Sample:
    """Ground truth and detections of one image: boxes xyxy, class indices, crowds, scores."""

    gt_boxes: NDArray[np.float64]
    gt_labels: NDArray[np.int64]
    is_crowd: NDArray[np.bool_]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    scores: NDArray[np.float32]

    def detections(self) -> Detections:
        return Detections(self.boxes, self.scores, self.labels, image_size=SIZE, categories=CLASSES)


def samples(count: int, seed: int = 0, noise: float = 4.0) -> list[Sample]:
    """Return random images: most instances are detected, some with a wrong class, and there are wrong detections."""
    rng = np.random.default_rng(seed)
    return [_sample(rng, noise) for _ in range(count)]


def _sample(rng: np.random.Generator, noise: float) -> Sample:
    num = int(rng.integers(0, 6))
    corners = rng.uniform((0, 0), (110, 80), (num, 2))
    gt_boxes = np.concatenate([corners, corners + rng.uniform(8, 40, (num, 2))], axis=1)
    gt_labels = rng.integers(0, 3, num)
    kept = np.flatnonzero(rng.random(num) < 0.8)
    found = gt_boxes[kept] + rng.normal(0, noise, (len(kept), 4))
    labels = np.where(rng.random(len(kept)) < 0.15, rng.integers(0, 3, len(kept)), gt_labels[kept])
    num_wrong = int(rng.integers(0, 4))
    wrong = rng.uniform((0, 0), (100, 70), (num_wrong, 2))
    boxes = np.concatenate([found, np.concatenate([wrong, wrong + 20], axis=1)])
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    scores = np.concatenate([rng.beta(4, 2, len(kept)), rng.beta(2, 4, num_wrong)]).round(2)
    all_labels = np.concatenate([labels, rng.integers(0, 3, num_wrong)])
    return Sample(
        gt_boxes,
        gt_labels.astype(np.int64),
        rng.random(num) < 0.1,
        boxes.astype(np.float32),
        all_labels.astype(np.int64),
        scores.astype(np.float32),
    )


def write(path: Path, images: list[Sample]) -> Path:
    """Write the ground truth as a COCO file; image ids are 10, 20, ..."""
    annotations = []
    for number, image in enumerate(images, 1):
        for box, label, crowd in zip(image.gt_boxes, image.gt_labels, image.is_crowd, strict=True):
            width, height = (box[2:] - box[:2]).tolist()
            x, y = box[:2].tolist()
            row = {"id": len(annotations) + 1, "image_id": 10 * number, "category_id": int(label) + 1}
            annotations.append({**row, "bbox": [x, y, width, height], "area": width * height, "iscrowd": int(crowd)})
    rows = [
        {"id": 10 * number, "file_name": f"{number}.png", "height": SIZE[0], "width": SIZE[1]}
        for number in range(1, len(images) + 1)
    ]
    categories = [{"id": label + 1, "name": name} for label, name in enumerate(CLASSES.names)]
    path.write_text(json.dumps({"images": rows, "annotations": annotations, "categories": categories}))
    return path


def evaluator(path: Path, images: list[Sample]) -> CocoEvaluator:
    """Return an evaluator with the detections of images."""
    found = CocoEvaluator(write(path, images), ["bbox"])
    for number, image in enumerate(images, 1):
        found.update(10 * number, image.detections())
    return found


def iou(one: NDArray[np.floating], other: NDArray[np.floating], is_crowd: bool) -> float:
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    common = float(np.prod(np.maximum(high - low, 0)))
    areas = [float(np.prod(box[2:] - box[:2])) for box in (one, other)]
    return common / (areas[0] if is_crowd else sum(areas) - common)


@dataclass(frozen=True)
class Match:
    """Detection and whether it is correct (1), wrong (0) or ignored (-1)."""

    image: int
    label: int
    score: float
    correct: int


def matches(images: list[Sample], threshold: float = 0.5) -> list[Match]:
    """Match detections greedily by score: to the best free instance of the class, or else to a crowd region."""
    found = []
    for index, image in enumerate(images):
        for label in range(len(CLASSES)):
            rows = np.flatnonzero(image.gt_labels == label)
            taken: set[int] = set()
            candidates = np.flatnonzero(image.labels == label)
            for row in candidates[np.argsort(-image.scores[candidates], kind="stable")].tolist():
                overlaps = {g: iou(image.boxes[row].astype(float), image.gt_boxes[g], image.is_crowd[g]) for g in rows}
                free = [g for g in rows if not image.is_crowd[g] and g not in taken and overlaps[g] >= threshold]
                crowds = [g for g in rows if image.is_crowd[g] and overlaps[g] >= threshold]
                if free:
                    taken.add(max(free, key=lambda g: overlaps[g]))
                correct = 1 if free else -1 if crowds else 0
                found.append(Match(index, label, float(image.scores[row]), correct))
    return found


def num_instances(images: list[Sample], label: int | None = None) -> int:
    """Return the number of instances without crowds."""
    return sum(int((~s.is_crowd & ((label is None) | (s.gt_labels == label))).sum()) for s in images)


def f1_at(images: list[Sample], found: list[Match], score: float, label: int | None = None) -> float:
    """Return the F1 score of detections with at least a score."""
    kept = [m for m in found if m.score >= score and m.correct >= 0 and label in (None, m.label)]
    correct = sum(m.correct for m in kept)
    total = len(kept) + num_instances(images, label)
    return 2 * correct / total if total else 0.0
