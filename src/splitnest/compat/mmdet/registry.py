"""``VISUALIZERS`` of mmdetection."""

from splitnest.compat.mmengine.visualization import VISUALIZERS

__all__ = ["VISUALIZERS"]
