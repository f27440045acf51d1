"""Average precision of COCO-WholeBody (Jin et al. 2020): of all keypoints, and of body, feet, face and hands."""

from itertools import accumulate
from pathlib import Path
from typing import Any

from splitnest.data.formats.coco_keypoints import WHOLE_BODY_PARTS
from splitnest.data.pose.dataset import PoseDataset
from splitnest.files import write_json
from splitnest.metrics.coco_evaluation import mean_defined
from splitnest.metrics.keypoint_evaluation import Selection, curves
from splitnest.metrics.keypoints import KeypointEvaluator

_ENDS = tuple(accumulate(WHOLE_BODY_PARTS.values()))
_RANGES = {key: (end - count, end) for (key, count), end in zip(WHOLE_BODY_PARTS.items(), _ENDS, strict=True)}

_PARTS: dict[str, tuple[int, int | None]] = {
    "whole": (0, None),
    "body": _RANGES["keypoints"],
    "foot": _RANGES["foot_kpts"],
    "face": _RANGES["face_kpts"],
    "left_hand": _RANGES["lefthand_kpts"],
    "right_hand": _RANGES["righthand_kpts"],
}


class WholeBodyEvaluator(KeypointEvaluator):
    """Metrics of COCO-WholeBody.

    Args:
        dataset: Images with persons of 133 keypoints.
        input_cfg: Section ``input`` of the recipe.
    """

    def compute(self) -> dict[str, float]:
        """Return AP and AR of each part, from 0 to 1; those of the hands are also given as their mean.

        Raises:
            DataError: The file has no annotations.
        """
        return wholebody_metrics(self._dataset, self.results())

    def write(self, path: str | Path) -> None:
        """Write the poses as a results file of COCO-WholeBody, which has a key for each part."""
        write_json(path, [_split(row) for row in self.results()])


def _split(row: dict[str, Any]) -> dict[str, Any]:
    parts = {key: row["keypoints"][3 * start : 3 * stop] for key, (start, stop) in _RANGES.items()}
    return {**row, **parts}


def wholebody_metrics(dataset: PoseDataset, rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the metrics of COCO-WholeBody of rows with all keypoints under ``keypoints``.

    Raises:
        DataError: The dataset has no annotations.
    """
    metrics: dict[str, float] = {}
    for name, part in _PARTS.items():
        precision, recall = curves(dataset, rows, Selection(part, counted=True))
        metrics |= {f"{name}_ap": mean_defined(precision[..., 0]), f"{name}_ar": mean_defined(recall[..., 0])}
    for kind in ("ap", "ar"):
        hands = [metrics[f"{side}_hand_{kind}"] for side in ("left", "right")]
        metrics[f"hand_{kind}"] = sum(hands) / 2 if min(hands) >= 0 else max(hands)
    return metrics
