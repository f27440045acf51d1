"""``init_detector``, ``inference_detector`` and ``DetInferencer`` of mmdetection 3."""

from splitnest.compat.mmdet.det_inferencer import DetInferencer
from splitnest.compat.mmdet.inference import inference_detector, init_detector

__all__ = ["DetInferencer", "inference_detector", "init_detector"]
