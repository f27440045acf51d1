"""``DefaultPredictor`` of detectron2."""

from splitnest.compat.detectron2.engine.defaults import DefaultPredictor

__all__ = ["DefaultPredictor"]
