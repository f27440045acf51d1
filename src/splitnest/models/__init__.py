"""Networks: backbones, detectors, segmentors, classifiers and pose estimators, and their construction."""

from splitnest.models.backbones.resnet import resnet
from splitnest.models.backbones.timm_backbone import timm_backbone

__all__ = ["resnet", "timm_backbone"]
