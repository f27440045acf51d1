"""Networks: backbones, detectors, segmentors, classifiers and pose estimators, and their construction."""

from splitnest.models.backbones.resnet import resnet

__all__ = ["resnet"]
