"""Model of a service: its predictor, and what clients are told about it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitnest.inference.person_boxes import check_detector
from splitnest.inference.predictor import Predictor
from splitnest.models.build import build_categories
from splitnest.structures.categories import Categories
from splitnest.visualize.colors import side_color


@dataclass(frozen=True)
class ServedModel:
    """Model of a service.

    Attributes:
        name: Name in requests.
        predictor: Model.
        detector: Detector of the persons for a pose estimator; None takes each image as the box of one person.

    Raises:
        UsageError: The detector does not detect the persons of the model.
    """

    name: str
    predictor: Predictor
    detector: Predictor | None = None

    def __post_init__(self) -> None:
        if self.detector is not None:
            check_detector(self.detector.recipe, self.categories.names)

    @cached_property
    def categories(self) -> Categories:
        """Classes of the model."""
        return build_categories(self.predictor.recipe)

    @property
    def task(self) -> str:
        """Task of the model."""
        return self.predictor.recipe.task

    @cached_property
    def description(self) -> dict[str, Any]:
        """Description for clients: task, classes with their colors, keypoints, input, and score thresholds."""
        recipe, categories = self.predictor.recipe, self.categories
        thresholds = self.predictor.score_thresholds
        names = categories.keypoint_names
        return {
            "name": self.name,
            "task": recipe.task,
            "recipe": recipe.name,
            "device": str(self.predictor.device),
            "precision": str(self.predictor.dtype).removeprefix("torch."),
            "input": recipe.input.model_dump(mode="json"),
            "detector": None if self.detector is None else self.detector.recipe.name,
            "score_thresholds": None if thresholds is None else list(thresholds.by_class),
            "classes": [
                {"name": each.name, "id": each.id, "color": list(each.color), "is_thing": each.is_thing}
                for each in categories
            ],
            "keypoints": {
                "names": list(names),
                "skeleton": [list(pair) for pair in categories.skeleton],
                "colors": [list(color) for color in categories.keypoint_colors or map(side_color, names)],
            },
        }


Image = bytes | NDArray[np.uint8]
"""Encoded image of a request, or its pixels, uint8 RGB ``[H, W, 3]``."""
