"""Module names of ResNet, ResNeXt, ResNeSt and HRNet backbones in checkpoints of OpenMMLab.

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

HRNET = {
    "backbone.conv1": "backbone.stem.0.conv",
    "backbone.bn1": "backbone.stem.0.norm",
    "backbone.conv2": "backbone.stem.1.conv",
    "backbone.bn2": "backbone.stem.1.norm",
    "backbone.layer1.{block}.conv1": "backbone.stage1.{block}.conv1.conv",
    "backbone.layer1.{block}.bn1": "backbone.stage1.{block}.conv1.norm",
    "backbone.layer1.{block}.conv2": "backbone.stage1.{block}.conv2.conv",
    "backbone.layer1.{block}.bn2": "backbone.stage1.{block}.conv2.norm",
    "backbone.layer1.{block}.conv3": "backbone.stage1.{block}.conv3.conv",
    "backbone.layer1.{block}.bn3": "backbone.stage1.{block}.conv3.norm",
    "backbone.layer1.{block}.downsample.0": "backbone.stage1.{block}.shortcut.conv",
    "backbone.layer1.{block}.downsample.1": "backbone.stage1.{block}.shortcut.norm",
    "backbone.transition{before}.{branch}.0": "backbone.stage{before+1}.transition.{branch}.0.conv",
    "backbone.transition{before}.{branch}.1": "backbone.stage{before+1}.transition.{branch}.0.norm",
    "backbone.transition{before}.{branch}.{conv}.0": "backbone.stage{before+1}.transition.{branch}.{conv}.conv",
    "backbone.transition{before}.{branch}.{conv}.1": "backbone.stage{before+1}.transition.{branch}.{conv}.norm",
    **{
        f"backbone.stage{{stage}}.{{module}}.branches.{{branch}}.{{block}}.{source}": (
            f"backbone.stage{{stage}}.blocks.{{module}}.branches.{{branch}}.{{block}}.{target}"
        )
        for source, target in (
            ("conv1", "conv1.conv"),
            ("bn1", "conv1.norm"),
            ("conv2", "conv2.conv"),
            ("bn2", "conv2.norm"),
        )
    },
    **{
        f"backbone.stage{{stage}}.{{module}}.fuse_layers.{{target}}.{{source}}.{conv}": (
            f"backbone.stage{{stage}}.blocks.{{module}}.fuse.{{target}}.paths.{{source}}.{ours}"
        )
        for conv, ours in (
            ("0", "0.conv"),
            ("1", "0.norm"),
            ("{conv}.0", "{conv}.conv"),
            ("{conv}.1", "{conv}.norm"),
        )
    },
}
"""HRNet. A path of one 1x1 convolution has it at index 0; a path of strided ones has a sequence for each."""
