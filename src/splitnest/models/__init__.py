"""Networks: backbones, detectors, segmentors, classifiers and pose estimators, and their construction."""

from splitnest.models.backbones.hrnet import hrnet
from splitnest.models.backbones.resnet import resnet
from splitnest.models.backbones.timm_backbone import timm_backbone

__all__ = ["hrnet", "resnet", "timm_backbone"]
