"""``VISUALIZERS`` of mmsegmentation."""

from splitnest.compat.mmengine.visualization import VISUALIZERS

__all__ = ["VISUALIZERS"]
