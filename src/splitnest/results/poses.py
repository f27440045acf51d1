"""Keypoints of the people in one image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from splitnest.data.categories import Categories
from splitnest.results.fields import checked_array, checked_boxes, checked_sizes, selected_rows
from splitnest.results.interop import import_supervision


@dataclass(frozen=True, eq=False, repr=False)
class Poses:
    """K keypoints of each of N people of one image. The arrays are read-only; ``poses[rows]`` gives some people.

    Attributes:
        keypoints: float32 [N, K, 2], (x, y) in pixels of the input image; may lie outside it.
        scores: float32 [N, K], peaks of the heatmaps.
        boxes: float32 [N, 4], xyxy in pixels: the boxes the people were looked for in.
        box_scores: float32 [N], scores of those boxes; 1 for boxes that were given.
        image_size: (H, W) of the input image.
        categories: Index 0 is the category; has ``keypoint_names`` (K) and ``skeleton``.

    Raises:
        ValueError: If a field has another dtype or shape, or K is not the number of ``keypoint_names``.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    box_scores: np.ndarray
    image_size: tuple[int, int] = field(kw_only=True)
    categories: Categories = field(kw_only=True)

    def __post_init__(self) -> None:
        sizes = checked_sizes("Poses", self.image_size, self.categories)
        sizes["K"] = len(self.categories.keypoint_names)
        fields = {
            "boxes": checked_boxes("Poses.boxes", self.boxes, sizes),
            "box_scores": checked_array("Poses.box_scores", self.box_scores, np.float32, ("N",), sizes),
            "keypoints": checked_array("Poses.keypoints", self.keypoints, np.float32, ("N", "K", 2), sizes),
            "scores": checked_array("Poses.scores", self.scores, np.float32, ("N", "K"), sizes),
        }
        for name, array in fields.items():
            object.__setattr__(self, name, array)

    @classmethod
    def empty(cls, image_size: tuple[int, int], categories: Categories) -> Self:
        """Nobody."""
        num_keypoints = len(categories.keypoint_names)
        return cls(
            keypoints=np.zeros((0, num_keypoints, 2), np.float32),
            scores=np.zeros((0, num_keypoints), np.float32),
            boxes=np.zeros((0, 4), np.float32),
            box_scores=np.zeros(0, np.float32),
            image_size=image_size,
            categories=categories,
        )

    @classmethod
    def of_people(cls, people: Sequence[Self], image_size: tuple[int, int], categories: Categories) -> Self:
        """Put poses of one image together, in their order; of nobody they are empty."""
        parts = [cls.empty(image_size, categories), *people]
        fields = ("keypoints", "scores", "boxes", "box_scores")
        arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in fields}
        return cls(**arrays, image_size=image_size, categories=categories)

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: int | slice | list[int] | np.ndarray) -> Self:
        """Some of the people: by a number, a slice, an array of numbers, or a bool [N] array."""
        rows = selected_rows(rows, len(self))
        return type(self)(
            keypoints=self.keypoints[rows],
            scores=self.scores[rows],
            boxes=self.boxes[rows],
            box_scores=self.box_scores[rows],
            image_size=self.image_size,
            categories=self.categories,
        )

    def __iter__(self) -> Iterator[Self]:
        return (self[row] for row in range(len(self)))

    def __repr__(self) -> str:
        height, width = self.image_size
        return f"Poses({len(self)} x {len(self.categories.keypoint_names)} keypoints in {height} x {width})"

    def above(self, score: float) -> Self:
        """The people whose box has a score of ``score`` or more."""
        return self[self.box_scores >= score]

    def person_scores(self, keypoint_threshold: float = 0.2) -> np.ndarray:
        """Score of each person, float32 [N]: box score times the mean of the keypoint scores over the threshold.

        0 for a person without such a keypoint. The rule and the 0.2 are those of mmpose's top-down COCO evaluation.
        """
        counted = self.scores > keypoint_threshold
        totals = np.where(counted, self.scores, 0).sum(axis=1, dtype=np.float64)
        return (self.box_scores * totals / np.maximum(counted.sum(axis=1), 1)).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Plain Python, ready for JSON: keypoints are [x, y] and boxes xyxy."""
        rows = [
            {"score": score, "box": box, "box_score": box_score, "keypoints": keypoints, "keypoint_scores": scores}
            for score, box, box_score, keypoints, scores in zip(
                self.person_scores().tolist(),
                self.boxes.tolist(),
                self.box_scores.tolist(),
                self.keypoints.tolist(),
                self.scores.tolist(),
                strict=True,
            )
        ]
        names = list(self.categories.keypoint_names)
        return {"image_size": list(self.image_size), "keypoint_names": names, "people": rows}

    def to_coco(self, image_id: int) -> list[dict[str, Any]]:
        """Rows of a COCO keypoint results file, scored by ``person_scores``.

        Every visibility is 1, as the format asks of results. There is no ``bbox``: with one, pycocotools would take
        the area from it.
        """
        triples = np.ones((*self.scores.shape, 3))
        triples[..., :2] = self.keypoints
        category_id = self.categories[0].id
        return [
            {"image_id": image_id, "category_id": category_id, "keypoints": keypoints, "score": score}
            for keypoints, score in zip(
                triples.reshape(len(self), 3 * self.scores.shape[1]).tolist(),
                self.person_scores().tolist(),
                strict=True,
            )
        ]

    def to_supervision(self) -> Any:
        """The same as ``supervision.KeyPoints``.

        Raises:
            UsageError: If supervision is not installed.
        """
        return import_supervision().KeyPoints(
            xy=self.keypoints.copy(),
            class_id=np.zeros(len(self), np.int64),
            keypoint_confidence=self.scores.copy(),
            detection_confidence=self.box_scores.copy(),
        )

    def draw(self, image: np.ndarray, score_threshold: float = 0.5, keypoint_threshold: float = 0.2) -> np.ndarray:
        """Draw on a copy of the image: see ``splitnest.visualize.draw_poses``."""
        from splitnest.visualize import draw_poses

        return draw_poses(image, self, score_threshold=score_threshold, keypoint_threshold=keypoint_threshold)
