"""Recipes: the validated definition of a model, its data and its training. Never imports torch."""

from splitnest.recipe.backbone import AnyBackboneConfig, BackboneConfig, HRNetConfig, NormName, TimmBackboneConfig
from splitnest.recipe.class_tables import CLASS_TABLES
from splitnest.recipe.conventions import DETECTRON2, MMDET, Conventions
from splitnest.recipe.detection_training import DetectionTraining
from splitnest.recipe.detector import DetectorConfig
from splitnest.recipe.file_data import Data, Split
from splitnest.recipe.inputs import ClassificationInput, DetectionInput, Input, PoseInput, SemanticInput
from splitnest.recipe.keypoints import Keypoints
from splitnest.recipe.schema import (
    ClassificationRecipe,
    ClassifierConfig,
    DetectionRecipe,
    PoseModelConfig,
    PoseRecipe,
    Recipe,
    RecipeBase,
    SegmentorConfig,
    SemanticRecipe,
    Task,
    Weights,
)
from splitnest.recipe.training import (
    OHEM,
    ClassificationTraining,
    Logger,
    PoseTraining,
    SemanticTraining,
    Training,
    required_training,
)

__all__ = [
    "CLASS_TABLES",
    "DETECTRON2",
    "MMDET",
    "OHEM",
    "AnyBackboneConfig",
    "BackboneConfig",
    "ClassificationInput",
    "ClassificationRecipe",
    "ClassificationTraining",
    "ClassifierConfig",
    "Conventions",
    "Data",
    "DetectionInput",
    "DetectionRecipe",
    "DetectionTraining",
    "DetectorConfig",
    "HRNetConfig",
    "Input",
    "Keypoints",
    "Logger",
    "NormName",
    "PoseInput",
    "PoseModelConfig",
    "PoseRecipe",
    "PoseTraining",
    "Recipe",
    "RecipeBase",
    "SegmentorConfig",
    "SemanticInput",
    "SemanticRecipe",
    "SemanticTraining",
    "Split",
    "Task",
    "TimmBackboneConfig",
    "Training",
    "Weights",
    "required_training",
]
