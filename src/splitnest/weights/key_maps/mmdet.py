"""Module names of mmdetection checkpoints, versions 2 and 3."""

from splitnest.weights.key_maps import openmmlab

_HEADS = {
    "neck.lateral_convs.{level}.conv": "neck.lateral.p{level+2}.conv",
    "neck.lateral_convs.{level}.bn": "neck.lateral.p{level+2}.norm",
    "neck.lateral_convs.{level}.gn": "neck.lateral.p{level+2}.norm",
    "neck.fpn_convs.{level}.conv": "neck.output.p{level+2}.conv",
    "neck.fpn_convs.{level}.bn": "neck.output.p{level+2}.norm",
    "neck.fpn_convs.{level}.gn": "neck.output.p{level+2}.norm",
    "neck.reduction_conv.conv": "neck.reduction.conv",
    "rpn_head.rpn_conv": "rpn.conv",
    "rpn_head.rpn_conv.{conv}.conv": "rpn.conv.{conv}.conv",
    "rpn_head.rpn_cls": "rpn.logits",
    "rpn_head.rpn_reg": "rpn.deltas",
    "roi_head.bbox_head.shared_convs.{conv}.conv": "roi_heads.box_heads.0.convs.{conv}.conv",
    "roi_head.bbox_head.shared_convs.{conv}.bn": "roi_heads.box_heads.0.convs.{conv}.norm",
    "roi_head.bbox_head.shared_convs.{conv}.gn": "roi_heads.box_heads.0.convs.{conv}.norm",
    "roi_head.bbox_head.shared_fcs.{fc}": "roi_heads.box_heads.0.fcs.{fc}",
    "roi_head.bbox_head.fc_cls": "roi_heads.box_heads.0.logits",
    "roi_head.bbox_head.fc_reg": "roi_heads.box_heads.0.deltas",
    "roi_head.bbox_head.{stage}.shared_convs.{conv}.conv": "roi_heads.box_heads.{stage}.convs.{conv}.conv",
    "roi_head.bbox_head.{stage}.shared_convs.{conv}.bn": "roi_heads.box_heads.{stage}.convs.{conv}.norm",
    "roi_head.bbox_head.{stage}.shared_convs.{conv}.gn": "roi_heads.box_heads.{stage}.convs.{conv}.norm",
    "roi_head.bbox_head.{stage}.shared_fcs.{fc}": "roi_heads.box_heads.{stage}.fcs.{fc}",
    "roi_head.bbox_head.{stage}.fc_cls": "roi_heads.box_heads.{stage}.logits",
    "roi_head.bbox_head.{stage}.fc_reg": "roi_heads.box_heads.{stage}.deltas",
    "roi_head.mask_head.convs.{conv}.conv": "roi_heads.mask_heads.0.convs.{conv}.conv",
    "roi_head.mask_head.convs.{conv}.bn": "roi_heads.mask_heads.0.convs.{conv}.norm",
    "roi_head.mask_head.convs.{conv}.gn": "roi_heads.mask_heads.0.convs.{conv}.norm",
    "roi_head.mask_head.upsample": "roi_heads.mask_heads.0.upsample",
    "roi_head.mask_head.conv_logits": "roi_heads.mask_heads.0.logits",
    "roi_head.mask_head.{stage}.convs.{conv}.conv": "roi_heads.mask_heads.{stage}.convs.{conv}.conv",
    "roi_head.mask_head.{stage}.convs.{conv}.bn": "roi_heads.mask_heads.{stage}.convs.{conv}.norm",
    "roi_head.mask_head.{stage}.convs.{conv}.gn": "roi_heads.mask_heads.{stage}.convs.{conv}.norm",
    "roi_head.mask_head.{stage}.upsample": "roi_heads.mask_heads.{stage}.upsample",
    "roi_head.mask_head.{stage}.conv_logits": "roi_heads.mask_heads.{stage}.logits",
}

_COMMON = openmmlab.BLOCKS | openmmlab.STEM | openmmlab.DEEP_STEM | _HEADS

POOLED = _COMMON | openmmlab.POOLED_SHORTCUTS
"""Modules of a network with pooling in its shortcuts."""

PLAIN = _COMMON | openmmlab.PLAIN_SHORTCUTS
"""Modules of any other network with a ResNet, ResNeXt or ResNeSt."""

HRNET = openmmlab.HRNET | _HEADS
"""Modules of a network with an HRNet."""

DROPPED = {
    "data_preprocessor.mean": "input statistics are in the recipe",
    "data_preprocessor.std": "input statistics are in the recipe",
}
