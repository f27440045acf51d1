"""Drawing of results on images with Pillow and numpy. All functions draw on a copy of the same size."""

from splitnest.visualize.classification import draw_classification
from splitnest.visualize.instances import draw_detections
from splitnest.visualize.poses import draw_poses
from splitnest.visualize.segmentation import color_map, draw_panoptic, draw_semantic
from splitnest.visualize.sheet import contact_sheet

__all__ = [
    "color_map",
    "contact_sheet",
    "draw_classification",
    "draw_detections",
    "draw_panoptic",
    "draw_poses",
    "draw_semantic",
]
