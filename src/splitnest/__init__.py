"""ResNeSt models for classification, detection, instance, panoptic and semantic segmentation, and pose.

    model = splitnest.load("mask_rcnn_resnest50_fpn_1x_coco.mmdet")
    results = model.predict("images/")

The names below are the public interface. They are imported on first use, so ``import splitnest`` is fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from splitnest._version import __version__

if TYPE_CHECKING:
    from splitnest import models
    from splitnest.errors import DataError, Interrupted, OutputError, SplitnestError, UsageError, WeightsError
    from splitnest.evaluation.evaluate import evaluate
    from splitnest.exporting.convert import convert
    from splitnest.exporting.export import export
    from splitnest.inference.build import build
    from splitnest.inference.predictor import Predictor, load
    from splitnest.models.pretrained import backbone
    from splitnest.recipe import Recipe
    from splitnest.structures import Classification, Detections, PanopticSegmentation, Poses, SemanticSegmentation
    from splitnest.structures.batch import Batch
    from splitnest.structures.instances import Instances
    from splitnest.training.run_folder import Run
    from splitnest.training.train import train
    from splitnest.zoo import list_models

_HOMES = {
    "Batch": "splitnest.structures.batch",
    "Classification": "splitnest.structures",
    "DataError": "splitnest.errors",
    "Detections": "splitnest.structures",
    "Instances": "splitnest.structures.instances",
    "Interrupted": "splitnest.errors",
    "OutputError": "splitnest.errors",
    "PanopticSegmentation": "splitnest.structures",
    "Poses": "splitnest.structures",
    "Predictor": "splitnest.inference.predictor",
    "Recipe": "splitnest.recipe",
    "Run": "splitnest.training.run_folder",
    "SemanticSegmentation": "splitnest.structures",
    "SplitnestError": "splitnest.errors",
    "UsageError": "splitnest.errors",
    "WeightsError": "splitnest.errors",
    "backbone": "splitnest.models.pretrained",
    "build": "splitnest.inference.build",
    "convert": "splitnest.exporting.convert",
    "evaluate": "splitnest.evaluation.evaluate",
    "export": "splitnest.exporting.export",
    "list_models": "splitnest.zoo",
    "load": "splitnest.inference.predictor",
    "train": "splitnest.training.train",
}
"""Module of each public name."""

__all__ = [
    "Batch",
    "Classification",
    "DataError",
    "Detections",
    "Instances",
    "Interrupted",
    "OutputError",
    "PanopticSegmentation",
    "Poses",
    "Predictor",
    "Recipe",
    "Run",
    "SemanticSegmentation",
    "SplitnestError",
    "UsageError",
    "WeightsError",
    "__version__",
    "backbone",
    "build",
    "convert",
    "evaluate",
    "export",
    "list_models",
    "load",
    "models",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "models":
        return import_module("splitnest.models")
    if name not in _HOMES:
        raise AttributeError(f"module 'splitnest' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
