"""What a model says about one image: one frozen type a task, with numpy arrays that are checked when made."""

from splitnest.results.classification import Classification, Guess
from splitnest.results.detections import Detections
from splitnest.results.panoptic import PanopticSegmentation, SegmentInfo
from splitnest.results.poses import Poses
from splitnest.results.semantic import SemanticSegmentation

Result = Classification | Detections | PanopticSegmentation | Poses | SemanticSegmentation

__all__ = [
    "Classification",
    "Detections",
    "Guess",
    "PanopticSegmentation",
    "Poses",
    "Result",
    "SegmentInfo",
    "SemanticSegmentation",
]
