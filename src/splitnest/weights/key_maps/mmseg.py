"""Module names of mmsegmentation checkpoints, versions 0 and 1. Decode heads of all kinds share the table.

OCRNet has its heads in a cascade: the first one predicts the object regions.
"""

from splitnest.weights.key_maps import openmmlab

_HEADS = {
    "decode_head.convs.{conv}.conv": "decode_head.convs.{conv}.conv",
    "decode_head.convs.{conv}.bn": "decode_head.convs.{conv}.norm",
    "decode_head.conv_cat.conv": "decode_head.fuse.conv",
    "decode_head.conv_cat.bn": "decode_head.fuse.norm",
    "decode_head.bottleneck.conv": "decode_head.fuse.conv",
    "decode_head.bottleneck.bn": "decode_head.fuse.norm",
    "decode_head.psp_modules.{pool}.1.conv": "decode_head.pools.{pool}.conv",
    "decode_head.psp_modules.{pool}.1.bn": "decode_head.pools.{pool}.norm",
    "decode_head.image_pool.1.conv": "decode_head.image_pool.conv",
    "decode_head.image_pool.1.bn": "decode_head.image_pool.norm",
    "decode_head.aspp_modules.{branch}.conv": "decode_head.branches.{branch}.conv",
    "decode_head.aspp_modules.{branch}.bn": "decode_head.branches.{branch}.norm",
    "decode_head.aspp_modules.{branch}.depthwise_conv.conv": "decode_head.branches.{branch}.depthwise.conv",
    "decode_head.aspp_modules.{branch}.depthwise_conv.bn": "decode_head.branches.{branch}.depthwise.norm",
    "decode_head.aspp_modules.{branch}.pointwise_conv.conv": "decode_head.branches.{branch}.pointwise.conv",
    "decode_head.aspp_modules.{branch}.pointwise_conv.bn": "decode_head.branches.{branch}.pointwise.norm",
    "decode_head.c1_bottleneck.conv": "decode_head.c2.conv",
    "decode_head.c1_bottleneck.bn": "decode_head.c2.norm",
    "decode_head.sep_bottleneck.{conv}.depthwise_conv.conv": "decode_head.refine.{conv}.depthwise.conv",
    "decode_head.sep_bottleneck.{conv}.depthwise_conv.bn": "decode_head.refine.{conv}.depthwise.norm",
    "decode_head.sep_bottleneck.{conv}.pointwise_conv.conv": "decode_head.refine.{conv}.pointwise.conv",
    "decode_head.sep_bottleneck.{conv}.pointwise_conv.bn": "decode_head.refine.{conv}.pointwise.norm",
    "decode_head.conv_seg": "decode_head.logits",
    "auxiliary_head.convs.{conv}.conv": "auxiliary_head.convs.{conv}.conv",
    "auxiliary_head.convs.{conv}.bn": "auxiliary_head.convs.{conv}.norm",
    "auxiliary_head.conv_seg": "auxiliary_head.logits",
    "decode_head.0.convs.{conv}.conv": "auxiliary_head.convs.{conv}.conv",
    "decode_head.0.convs.{conv}.bn": "auxiliary_head.convs.{conv}.norm",
    "decode_head.0.conv_seg": "auxiliary_head.logits",
    "decode_head.1.bottleneck.conv": "decode_head.pixels.conv",
    "decode_head.1.bottleneck.bn": "decode_head.pixels.norm",
    "decode_head.1.object_context_block.query_project.{conv}.conv": "decode_head.query.{conv}.conv",
    "decode_head.1.object_context_block.query_project.{conv}.bn": "decode_head.query.{conv}.norm",
    "decode_head.1.object_context_block.key_project.{conv}.conv": "decode_head.key.{conv}.conv",
    "decode_head.1.object_context_block.key_project.{conv}.bn": "decode_head.key.{conv}.norm",
    "decode_head.1.object_context_block.value_project.conv": "decode_head.value.conv",
    "decode_head.1.object_context_block.value_project.bn": "decode_head.value.norm",
    "decode_head.1.object_context_block.out_project.conv": "decode_head.project.conv",
    "decode_head.1.object_context_block.out_project.bn": "decode_head.project.norm",
    "decode_head.1.object_context_block.bottleneck.conv": "decode_head.fuse.conv",
    "decode_head.1.object_context_block.bottleneck.bn": "decode_head.fuse.norm",
    "decode_head.1.conv_seg": "decode_head.logits",
}

_COMMON = openmmlab.BLOCKS | openmmlab.STEM | openmmlab.DEEP_STEM | _HEADS

POOLED = _COMMON | openmmlab.POOLED_SHORTCUTS
"""Modules of a network with pooling in its shortcuts."""

PLAIN = _COMMON | openmmlab.PLAIN_SHORTCUTS
"""Modules of any other network with a ResNet, ResNeXt or ResNeSt."""

HRNET = openmmlab.HRNET | _HEADS
"""Modules of a network with an HRNet."""

DROPPED: dict[str, str] = {}
