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
    from splitnest.data.items import ImageSequence
    from splitnest.errors import (
        DataError,
        Interrupted,
        OutputError,
        SplitnestError,
        UsageError,
        UserCodeError,
        WeightsError,
    )
    from splitnest.evaluation.evaluate import evaluate
    from splitnest.exporting.convert import convert
    from splitnest.exporting.export import export
    from splitnest.inference.build import build
    from splitnest.inference.explain import explain
    from splitnest.inference.load import load
    from splitnest.inference.predictor import Prediction, Predictor
    from splitnest.metrics.own import Metric
    from splitnest.models.backbones.resnet import ResNet
    from splitnest.models.base import Model
    from splitnest.models.pretrained import backbone
    from splitnest.recipe import Recipe
    from splitnest.scanning.batch_predictor import BatchPredictor
    from splitnest.scanning.results import ScannedImage, ScanResults, read_scan
    from splitnest.scanning.scan import scan
    from splitnest.scanning.status import ScanStatus, scan_status
    from splitnest.structures import (
        Classification,
        ClassProbability,
        Detections,
        PanopticSegmentation,
        Poses,
        Result,
        SegmentInfo,
        SemanticSegmentation,
    )
    from splitnest.structures.batch import Batch
    from splitnest.structures.box_masks import BoxMasks
    from splitnest.structures.categories import Categories, Category
    from splitnest.structures.heat_map import HeatMap
    from splitnest.structures.instances import Instances
    from splitnest.structures.panoptic_labels import PanopticLabels
    from splitnest.structures.person import CropRegion, Person
    from splitnest.structures.score_thresholds import ScoreThresholds
    from splitnest.training.callbacks import Callback
    from splitnest.training.run_folder import Run
    from splitnest.training.sample_page import data_show
    from splitnest.training.train import train
    from splitnest.weights.report import Report
    from splitnest.zoo import list_models

_HOMES = {
    "Batch": "splitnest.structures.batch",
    "BatchPredictor": "splitnest.scanning.batch_predictor",
    "BoxMasks": "splitnest.structures.box_masks",
    "Callback": "splitnest.training.callbacks",
    "Categories": "splitnest.structures.categories",
    "Category": "splitnest.structures.categories",
    "ClassProbability": "splitnest.structures",
    "Classification": "splitnest.structures",
    "CropRegion": "splitnest.structures.person",
    "DataError": "splitnest.errors",
    "Detections": "splitnest.structures",
    "HeatMap": "splitnest.structures.heat_map",
    "ImageSequence": "splitnest.data.items",
    "Instances": "splitnest.structures.instances",
    "Interrupted": "splitnest.errors",
    "Metric": "splitnest.metrics.own",
    "Model": "splitnest.models.base",
    "OutputError": "splitnest.errors",
    "PanopticLabels": "splitnest.structures.panoptic_labels",
    "PanopticSegmentation": "splitnest.structures",
    "Person": "splitnest.structures.person",
    "Poses": "splitnest.structures",
    "Prediction": "splitnest.inference.predictor",
    "Predictor": "splitnest.inference.predictor",
    "Recipe": "splitnest.recipe",
    "Report": "splitnest.weights.report",
    "ResNet": "splitnest.models.backbones.resnet",
    "Result": "splitnest.structures",
    "Run": "splitnest.training.run_folder",
    "ScanResults": "splitnest.scanning.results",
    "ScanStatus": "splitnest.scanning.status",
    "ScannedImage": "splitnest.scanning.results",
    "ScoreThresholds": "splitnest.structures.score_thresholds",
    "SegmentInfo": "splitnest.structures",
    "SemanticSegmentation": "splitnest.structures",
    "SplitnestError": "splitnest.errors",
    "UsageError": "splitnest.errors",
    "UserCodeError": "splitnest.errors",
    "WeightsError": "splitnest.errors",
    "backbone": "splitnest.models.pretrained",
    "build": "splitnest.inference.build",
    "convert": "splitnest.exporting.convert",
    "data_show": "splitnest.training.sample_page",
    "evaluate": "splitnest.evaluation.evaluate",
    "explain": "splitnest.inference.explain",
    "export": "splitnest.exporting.export",
    "list_models": "splitnest.zoo",
    "load": "splitnest.inference.load",
    "read_scan": "splitnest.scanning.results",
    "scan": "splitnest.scanning.scan",
    "scan_status": "splitnest.scanning.status",
    "train": "splitnest.training.train",
}
"""Module of each public name."""

__all__ = [
    "Batch",
    "BatchPredictor",
    "BoxMasks",
    "Callback",
    "Categories",
    "Category",
    "ClassProbability",
    "Classification",
    "CropRegion",
    "DataError",
    "Detections",
    "HeatMap",
    "ImageSequence",
    "Instances",
    "Interrupted",
    "Metric",
    "Model",
    "OutputError",
    "PanopticLabels",
    "PanopticSegmentation",
    "Person",
    "Poses",
    "Prediction",
    "Predictor",
    "Recipe",
    "Report",
    "ResNet",
    "Result",
    "Run",
    "ScanResults",
    "ScanStatus",
    "ScannedImage",
    "ScoreThresholds",
    "SegmentInfo",
    "SemanticSegmentation",
    "SplitnestError",
    "UsageError",
    "UserCodeError",
    "WeightsError",
    "__version__",
    "backbone",
    "build",
    "convert",
    "data_show",
    "evaluate",
    "explain",
    "export",
    "list_models",
    "load",
    "models",
    "read_scan",
    "scan",
    "scan_status",
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
