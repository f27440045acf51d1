"""Module names in torchvision's classifiers, and in the backbones that OpenMMLab publishes alone."""

from splitnest.weights.key_maps import openmmlab

_BACKBONE = openmmlab.BLOCKS | openmmlab.STEM | openmmlab.DEEP_STEM | openmmlab.PLAIN_SHORTCUTS

MODULES = {source.removeprefix("backbone."): target for source, target in _BACKBONE.items()} | {"fc": "fc"}

DROPPED: dict[str, str] = {}
