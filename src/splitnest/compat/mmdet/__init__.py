"""Entry points of mmdetection 3: detection and instance segmentation."""
