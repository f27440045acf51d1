"""Average precision of CrowdPose (Li et al. 2019), also of easy, medium and hard images."""

from typing import Any

import numpy as np

from splitnest.data.pose.dataset import PoseDataset
from splitnest.metrics.coco_evaluation import mean_defined
from splitnest.metrics.keypoint_evaluation import Selection, curves
from splitnest.metrics.keypoints import KeypointEvaluator
from splitnest.recipe import PoseInput

CROWD_INDICES = {"easy": (-np.inf, 0.2), "medium": (0.2, 0.8), "hard": (0.8, np.inf)}
"""Name of a part -> crowd indices of its images, from and below (the evaluation code of CrowdPose)."""


class CrowdPoseEvaluator(KeypointEvaluator):
    """Metrics of CrowdPose. The area of a person is that of its box times 0.53.

    Args:
        dataset: Images with persons, and ``crowdIndex`` of each; without it the metrics of the parts are undefined.
        input_cfg: Section ``input`` of the recipe.
    """

    def __init__(self, dataset: PoseDataset, input_cfg: PoseInput) -> None:
        super().__init__(dataset, input_cfg, area_of_box=True)

    def compute(self) -> dict[str, float]:
        """Return AP and AR, and ``ap_easy``, ``ap_medium`` and ``ap_hard``, from 0 to 1; -1 without persons.

        Raises:
            DataError: The file has no annotations.
        """
        return crowdpose_metrics(self._dataset, self.results())


def crowdpose_metrics(dataset: PoseDataset, rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the metrics of CrowdPose of the rows of a results file.

    Raises:
        DataError: The dataset has no annotations.
    """
    metrics: dict[str, float] = {}
    for kind, values in zip(("ap", "ar"), curves(dataset, rows, Selection(area_of_box=True)), strict=True):
        for suffix, thresholds in {"": slice(None), "50": slice(0, 1), "75": slice(5, 6)}.items():
            metrics[kind + suffix] = mean_defined(values[thresholds, ..., 0])
    for part, (low, high) in CROWD_INDICES.items():
        chosen = (dataset.crowd_indices >= low) & (dataset.crowd_indices < high)
        selection = Selection(images=set(dataset.file.image_ids[chosen].tolist()), area_of_box=True)
        metrics[f"ap_{part}"] = mean_defined(curves(dataset, rows, selection)[0][..., 0]) if chosen.any() else -1.0
    return metrics
