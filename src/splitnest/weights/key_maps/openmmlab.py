"""Module names of ResNet, ResNeXt and ResNeSt backbones in checkpoints of OpenMMLab.

A pooling layer in a projection shortcut has index 0 there, so the convolution after it has index 1.
"""

BLOCKS = {
    "backbone.layer{stage}.{block}.conv1": "backbone.c{stage+1}.{block}.conv1.conv",
    "backbone.layer{stage}.{block}.bn1": "backbone.c{stage+1}.{block}.conv1.norm",
    "backbone.layer{stage}.{block}.gn1": "backbone.c{stage+1}.{block}.conv1.norm",
    "backbone.layer{stage}.{block}.conv2": "backbone.c{stage+1}.{block}.conv2.conv",
    "backbone.layer{stage}.{block}.conv2.conv_offset": "backbone.c{stage+1}.{block}.conv2.conv.offset",
    "backbone.layer{stage}.{block}.conv2_offset": "backbone.c{stage+1}.{block}.conv2.conv.offset",
    "backbone.layer{stage}.{block}.bn2": "backbone.c{stage+1}.{block}.conv2.norm",
    "backbone.layer{stage}.{block}.gn2": "backbone.c{stage+1}.{block}.conv2.norm",
    "backbone.layer{stage}.{block}.conv2.conv": "backbone.c{stage+1}.{block}.conv2.conv",
    "backbone.layer{stage}.{block}.conv2.bn0": "backbone.c{stage+1}.{block}.conv2.norm",
    "backbone.layer{stage}.{block}.conv2.fc1": "backbone.c{stage+1}.{block}.conv2.fc1",
    "backbone.layer{stage}.{block}.conv2.bn1": "backbone.c{stage+1}.{block}.conv2.fc1_norm",
    "backbone.layer{stage}.{block}.conv2.fc2": "backbone.c{stage+1}.{block}.conv2.fc2",
    "backbone.layer{stage}.{block}.conv3": "backbone.c{stage+1}.{block}.conv3.conv",
    "backbone.layer{stage}.{block}.bn3": "backbone.c{stage+1}.{block}.conv3.norm",
    "backbone.layer{stage}.{block}.gn3": "backbone.c{stage+1}.{block}.conv3.norm",
    "backbone.layer{stage}.{block}.context_block.conv_mask": "backbone.c{stage+1}.{block}.context.mask",
    "backbone.layer{stage}.{block}.context_block.channel_add_conv.0": "backbone.c{stage+1}.{block}.context.reduce",
    "backbone.layer{stage}.{block}.context_block.channel_add_conv.1": "backbone.c{stage+1}.{block}.context.norm",
    "backbone.layer{stage}.{block}.context_block.channel_add_conv.3": "backbone.c{stage+1}.{block}.context.expand",
}
"""Residual blocks, but for their shortcuts."""

STEM = {
    "backbone.conv1": "backbone.stem.0.conv",
    "backbone.bn1": "backbone.stem.0.norm",
    "backbone.gn1": "backbone.stem.0.norm",
}
"""Stem of one 7x7 convolution."""

DEEP_STEM = {
    "backbone.stem.0": "backbone.stem.0.conv",
    "backbone.stem.1": "backbone.stem.0.norm",
    "backbone.stem.3": "backbone.stem.1.conv",
    "backbone.stem.4": "backbone.stem.1.norm",
    "backbone.stem.6": "backbone.stem.2.conv",
    "backbone.stem.7": "backbone.stem.2.norm",
}
"""Stem of three 3x3 convolutions, in mmdetection and mmsegmentation."""

PLAIN_SHORTCUTS = {
    "backbone.layer{stage}.{block}.downsample.0": "backbone.c{stage+1}.{block}.shortcut.conv",
    "backbone.layer{stage}.{block}.downsample.1": "backbone.c{stage+1}.{block}.shortcut.norm",
}
"""Projection shortcuts without pooling: ResNet, ResNeXt."""

POOLED_SHORTCUTS = {
    "backbone.layer{stage}.{block}.downsample.1": "backbone.c{stage+1}.{block}.shortcut.conv",
    "backbone.layer{stage}.{block}.downsample.2": "backbone.c{stage+1}.{block}.shortcut.norm",
}
"""Projection shortcuts with pooling: ResNet-D, ResNeSt."""
