"""Module names of mmpose checkpoints, versions 0 (``keypoint_head``) and 1 (``head``).

Each transposed convolution is followed by a norm and a ReLU in one sequence, so its index there is a multiple of 3. The
projection of c2 has stride 1 and no pooling before it, so its convolution has index 0 instead of 1.
"""

from splitnest.weights.key_maps import openmmlab

_HEADS = {
    "backbone.stem.{conv}.conv": "backbone.stem.{conv}.conv",
    "backbone.stem.{conv}.bn": "backbone.stem.{conv}.norm",
    "keypoint_head.deconv_layers.0": "head.deconvs.0.conv",
    "keypoint_head.deconv_layers.1": "head.deconvs.0.norm",
    "keypoint_head.deconv_layers.3": "head.deconvs.1.conv",
    "keypoint_head.deconv_layers.4": "head.deconvs.1.norm",
    "keypoint_head.deconv_layers.6": "head.deconvs.2.conv",
    "keypoint_head.deconv_layers.7": "head.deconvs.2.norm",
    "keypoint_head.deconv_layers.9": "head.deconvs.3.conv",
    "keypoint_head.deconv_layers.10": "head.deconvs.3.norm",
    "keypoint_head.deconv_layers.12": "head.deconvs.4.conv",
    "keypoint_head.deconv_layers.13": "head.deconvs.4.norm",
    "keypoint_head.final_layer": "head.output",
    "keypoint_head.final_layer.0": "head.conv.conv",
    "keypoint_head.final_layer.1": "head.conv.norm",
    "keypoint_head.final_layer.3": "head.output",  # of the versions in which it may follow other layers
    "head.deconv_layers.0": "head.deconvs.0.conv",
    "head.deconv_layers.1": "head.deconvs.0.norm",
    "head.deconv_layers.3": "head.deconvs.1.conv",
    "head.deconv_layers.4": "head.deconvs.1.norm",
    "head.deconv_layers.6": "head.deconvs.2.conv",
    "head.deconv_layers.7": "head.deconvs.2.norm",
    "head.deconv_layers.9": "head.deconvs.3.conv",
    "head.deconv_layers.10": "head.deconvs.3.norm",
    "head.deconv_layers.12": "head.deconvs.4.conv",
    "head.deconv_layers.13": "head.deconvs.4.norm",
    "head.conv_layers.0": "head.conv.conv",
    "head.conv_layers.1": "head.conv.norm",
    "head.final_layer": "head.output",
}

_COMMON = openmmlab.BLOCKS | openmmlab.STEM | _HEADS

POOLED = _COMMON | {
    "backbone.layer1.0.downsample.0": "backbone.c2.0.shortcut.conv",
    "backbone.layer1.0.downsample.1": "backbone.c2.0.shortcut.norm",
    "backbone.layer2.0.downsample.1": "backbone.c3.0.shortcut.conv",
    "backbone.layer2.0.downsample.2": "backbone.c3.0.shortcut.norm",
    "backbone.layer3.0.downsample.1": "backbone.c4.0.shortcut.conv",
    "backbone.layer3.0.downsample.2": "backbone.c4.0.shortcut.norm",
    "backbone.layer4.0.downsample.1": "backbone.c5.0.shortcut.conv",
    "backbone.layer4.0.downsample.2": "backbone.c5.0.shortcut.norm",
}
"""Modules of a network with pooling in its shortcuts, but not in that of c2."""

PLAIN = _COMMON | openmmlab.PLAIN_SHORTCUTS
"""Modules of any other network with a ResNet, ResNeXt or ResNeSt."""

HRNET = openmmlab.HRNET | _HEADS
"""Modules of a network with an HRNet."""

DROPPED = {
    "data_preprocessor.mean": "input statistics are in the recipe",
    "data_preprocessor.std": "input statistics are in the recipe",
}
