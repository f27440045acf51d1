"""Module names of mmsegmentation checkpoints, versions 0 and 1. Decode heads of all kinds share the table."""

from splitnest.weights.key_maps.openmmlab import BACKBONE

MODULES = BACKBONE | {
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
}

DROPPED: dict[str, str] = {}
