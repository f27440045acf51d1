"""Recipes: every fact that makes one model, validated. Never imports torch."""

from splitnest.recipe.backbone import DEPTHS, BackboneFacts, NormName
from splitnest.recipe.conventions import DETECTRON2, MMDET, Conventions
from splitnest.recipe.data import CLASS_TABLES, Data
from splitnest.recipe.inputs import ClassificationInput, DetectionInput, Input, PoseInput, SemanticInput
from splitnest.recipe.keypoints import Keypoints
from splitnest.recipe.schema import (
    RECIPE,
    TASKS,
    ClassificationRecipe,
    ClassifierFacts,
    DetectionRecipe,
    DetectorFacts,
    Layout,
    PoseFacts,
    PoseRecipe,
    Recipe,
    RecipeBase,
    SegmentorFacts,
    SemanticRecipe,
    Task,
    Weights,
)
from splitnest.recipe.training import (
    ClassificationTraining,
    DetectionTraining,
    HardPixels,
    PoseTraining,
    SemanticTraining,
    Training,
)

__all__ = [
    "CLASS_TABLES",
    "DEPTHS",
    "DETECTRON2",
    "MMDET",
    "RECIPE",
    "TASKS",
    "BackboneFacts",
    "ClassificationInput",
    "ClassificationRecipe",
    "ClassificationTraining",
    "ClassifierFacts",
    "Conventions",
    "Data",
    "DetectionInput",
    "DetectionRecipe",
    "DetectionTraining",
    "DetectorFacts",
    "HardPixels",
    "Input",
    "Keypoints",
    "Layout",
    "NormName",
    "PoseFacts",
    "PoseInput",
    "PoseRecipe",
    "PoseTraining",
    "Recipe",
    "RecipeBase",
    "SegmentorFacts",
    "SemanticInput",
    "SemanticRecipe",
    "SemanticTraining",
    "Task",
    "Training",
    "Weights",
]
