"""Pose estimation result: keypoints of the persons in one image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from splitnest.structures.categories import Categories
from splitnest.structures.picture import Pictured
from splitnest.structures.supervision import import_supervision
from splitnest.structures.validation import checked_array, checked_boxes, checked_image, checked_sizes, selected_rows
from splitnest.visualize import draw_poses
from splitnest.visualize.colors import side_color


@dataclass(frozen=True, eq=False, repr=False)
class Poses(Pictured):
    """N persons in one image with K keypoints. The arrays are read-only; ``poses[rows]`` selects persons.

    Attributes:
        keypoints: float32 ``[N, K, 2]``, x and y in pixels of the original image; they may lie outside it.
        scores: float32 ``[N, K]``, maxima of the heatmaps.
        boxes: float32 ``[N, 4]``, person boxes, xyxy in pixels of the original image.
        box_scores: float32 ``[N]``, detection scores of the boxes; 1 for given boxes.
        image_size: Height and width of the original image in pixels.
        labels: int64 ``[N]``, class index of each person; by default the first class.
        categories: Classes of the persons, with ``keypoint_names`` and ``skeleton``.

    Raises:
        ValueError: A field has another dtype or shape, or K is not the number of ``keypoint_names``.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    box_scores: np.ndarray
    image_size: tuple[int, int] = field(kw_only=True)
    labels: np.ndarray = field(default=None, kw_only=True)  # type: ignore[arg-type]  # zeros, one for each box
    categories: Categories = field(kw_only=True)

    def __post_init__(self) -> None:
        sizes = checked_sizes("Poses", self.image_size, self.categories)
        sizes["K"] = len(self.categories.keypoint_names)
        boxes = checked_boxes("Poses.boxes", self.boxes, sizes)
        labels = np.zeros(sizes["N"], np.int64) if self.labels is None else self.labels
        fields = {
            "boxes": boxes,
            "box_scores": checked_array("Poses.box_scores", self.box_scores, np.float32, ("N",), sizes),
            "keypoints": checked_array("Poses.keypoints", self.keypoints, np.float32, ("N", "K", 2), sizes),
            "scores": checked_array("Poses.scores", self.scores, np.float32, ("N", "K"), sizes),
            "labels": checked_array("Poses.labels", labels, np.int64, ("N",), sizes),
        }
        for name, array in fields.items():
            object.__setattr__(self, name, array)

    @classmethod
    def empty(cls, image_size: tuple[int, int], categories: Categories) -> Self:
        """Return a result without persons."""
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
    def concatenate(cls, poses: Sequence[Self], image_size: tuple[int, int], categories: Categories) -> Self:
        """Concatenate poses in the same image; an empty sequence gives a result without persons."""
        parts = [cls.empty(image_size, categories), *poses]
        fields = ("keypoints", "scores", "boxes", "box_scores", "labels")
        arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in fields}
        return cls(**arrays, image_size=image_size, categories=categories)

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: int | slice | list[int] | np.ndarray) -> Self:
        """Select persons by an index, a slice, an array of indices, or a bool array ``[N]``."""
        rows = selected_rows(rows, len(self))
        return type(self)(
            keypoints=self.keypoints[rows],
            scores=self.scores[rows],
            boxes=self.boxes[rows],
            box_scores=self.box_scores[rows],
            labels=self.labels[rows],
            image_size=self.image_size,
            categories=self.categories,
        ).on_image(self._read_image)

    def __iter__(self) -> Iterator[Self]:
        return (self[row] for row in range(len(self)))

    def __repr__(self) -> str:
        height, width = self.image_size
        return f"Poses({len(self)} x {len(self.categories.keypoint_names)} keypoints in {height} x {width})"

    def above(self, score: float) -> Self:
        """Return the persons with a box score of at least ``score``."""
        return self[self.box_scores >= score]

    def person_scores(self, keypoint_threshold: float = 0.2) -> np.ndarray:
        """Return the score of each person, float32 ``[N]``: box score times mean score of the confident keypoints.

        The score is 0 for a person without confident keypoints. Rule and default threshold are those of mmpose's
        top-down COCO evaluation.

        Args:
            keypoint_threshold: Score that confident keypoints exceed.
        """
        is_confident = self.scores > keypoint_threshold
        totals = np.where(is_confident, self.scores, 0).sum(axis=1, dtype=np.float64)
        return (self.box_scores * totals / np.maximum(is_confident.sum(axis=1), 1)).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict; keypoints are ``[x, y]`` and boxes xyxy in pixels."""
        rows = [
            {
                "name": self.categories[label].name,
                "score": score,
                "box": box,
                "box_score": box_score,
                "keypoints": keypoints,
                "keypoint_scores": scores,
            }
            for label, score, box, box_score, keypoints, scores in zip(
                self.labels.tolist(),
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
        """Return the rows of a COCO keypoint results file, with scores of ``person_scores``.

        All visibilities are 1, as the format requires. Rows have no ``bbox``, since pycocotools would compute the area
        from it.

        Args:
            image_id: Id of the image in the annotation file.
        """
        triples, ids = np.ones((*self.scores.shape, 3)), self.categories.ids
        triples[..., :2] = self.keypoints
        return [
            {"image_id": image_id, "category_id": ids[label], "keypoints": keypoints, "score": score}
            for label, keypoints, score in zip(
                self.labels.tolist(),
                triples.reshape(len(self), 3 * self.scores.shape[1]).tolist(),
                self.person_scores().tolist(),
                strict=True,
            )
        ]

    def to_supervision(self) -> Any:
        """Convert to ``supervision.KeyPoints``.

        Raises:
            UsageError: supervision is not installed.
        """
        return import_supervision().KeyPoints(
            xy=self.keypoints.copy(),
            class_id=self.labels.copy(),
            keypoint_confidence=self.scores.copy(),
            detection_confidence=self.box_scores.copy(),
        )

    def draw(self, image: np.ndarray, score_threshold: float = 0.5, keypoint_threshold: float = 0.2) -> np.ndarray:
        """Draw keypoints and skeletons on a copy of the image.

        Keypoints without ``keypoint_colors`` are blue on the left side of the body and orange on the right.

        Args:
            image: uint8 RGB ``[H, W, 3]`` of size ``image_size``.
            score_threshold: Minimum box score of the persons to draw.
            keypoint_threshold: Minimum score of the keypoints to draw.

        Returns:
            uint8 RGB ``[H, W, 3]``.
        """
        shown, categories = self.above(score_threshold), self.categories
        return draw_poses(
            checked_image(image, self.image_size),
            shown.keypoints,
            shown.scores >= keypoint_threshold,
            shown.boxes[:, 3] - shown.boxes[:, 1],
            categories.skeleton,
            categories.keypoint_colors or [side_color(name) for name in categories.keypoint_names],
        )
