"""Task objects: the parts of each task that the verbs need, in one literal dictionary."""

from typing import Any

from splitnest.recipe import Recipe
from splitnest.tasks.base import Task
from splitnest.tasks.classification import ClassificationTask
from splitnest.tasks.detection import DetectionTask
from splitnest.tasks.panoptic import PanopticTask
from splitnest.tasks.pose import PoseTask
from splitnest.tasks.semantic import SemanticTask

TASKS: dict[str, Task[Any, Any]] = {
    "classification": ClassificationTask(),
    "detection": DetectionTask(),
    "instance": DetectionTask(),
    "panoptic": PanopticTask(),
    "semantic": SemanticTask(),
    "pose": PoseTask(),
}
"""Task object of each task name of a recipe."""


def task_of(recipe: Recipe) -> Task[Any, Any]:
    """Return the task object of a recipe."""
    return TASKS[recipe.task]


__all__ = ["TASKS", "Task", "task_of"]
