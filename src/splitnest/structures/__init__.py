"""Results for one image: one frozen dataclass per task, whose numpy arrays are validated on construction."""

from splitnest.structures.classification import Classification, ClassProbability
from splitnest.structures.detections import Detections
from splitnest.structures.panoptic import PanopticSegmentation, SegmentInfo
from splitnest.structures.poses import Poses
from splitnest.structures.semantic import SemanticSegmentation

Result = Classification | Detections | PanopticSegmentation | Poses | SemanticSegmentation

__all__ = [
    "ClassProbability",
    "Classification",
    "Detections",
    "PanopticSegmentation",
    "Poses",
    "Result",
    "SegmentInfo",
    "SemanticSegmentation",
]
