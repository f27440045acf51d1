"""Module names of detectron2 checkpoints, those of the official ResNeSt wrapper included.

detectron2 numbers the convolutions of its heads from 1. In a bottleneck ``conv2`` is the 3x3 convolution of a ResNet,
and ``conv2.conv`` that of split attention.
"""

MODULES = {
    "backbone.bottom_up.stem.conv1": "backbone.stem.0.conv",
    "backbone.bottom_up.stem.conv1.norm": "backbone.stem.0.norm",
    "backbone.bottom_up.stem.conv1_{conv}": "backbone.stem.{conv-1}.conv",
    "backbone.bottom_up.stem.conv1_{conv}.norm": "backbone.stem.{conv-1}.norm",
    "backbone.bottom_up.res{stage}.{block}.conv1": "backbone.c{stage}.{block}.conv1.conv",
    "backbone.bottom_up.res{stage}.{block}.conv1.norm": "backbone.c{stage}.{block}.conv1.norm",
    "backbone.bottom_up.res{stage}.{block}.conv2": "backbone.c{stage}.{block}.conv2.conv",
    "backbone.bottom_up.res{stage}.{block}.conv2.norm": "backbone.c{stage}.{block}.conv2.norm",
    "backbone.bottom_up.res{stage}.{block}.conv2.conv": "backbone.c{stage}.{block}.conv2.conv",
    "backbone.bottom_up.res{stage}.{block}.conv2.bn0": "backbone.c{stage}.{block}.conv2.norm",
    "backbone.bottom_up.res{stage}.{block}.conv2.fc1": "backbone.c{stage}.{block}.conv2.fc1",
    "backbone.bottom_up.res{stage}.{block}.conv2.bn1": "backbone.c{stage}.{block}.conv2.fc1_norm",
    "backbone.bottom_up.res{stage}.{block}.conv2.fc2": "backbone.c{stage}.{block}.conv2.fc2",
    "backbone.bottom_up.res{stage}.{block}.conv2_offset": "backbone.c{stage}.{block}.conv2.conv.offset",
    "backbone.bottom_up.res{stage}.{block}.conv3": "backbone.c{stage}.{block}.conv3.conv",
    "backbone.bottom_up.res{stage}.{block}.conv3.norm": "backbone.c{stage}.{block}.conv3.norm",
    "backbone.bottom_up.res{stage}.{block}.shortcut": "backbone.c{stage}.{block}.shortcut.conv",
    "backbone.bottom_up.res{stage}.{block}.shortcut.norm": "backbone.c{stage}.{block}.shortcut.norm",
    "backbone.fpn_lateral{level}": "neck.lateral.p{level}.conv",
    "backbone.fpn_lateral{level}.norm": "neck.lateral.p{level}.norm",
    "backbone.fpn_output{level}": "neck.output.p{level}.conv",
    "backbone.fpn_output{level}.norm": "neck.output.p{level}.norm",
    "proposal_generator.rpn_head.conv": "rpn.conv",
    "proposal_generator.rpn_head.conv.conv{conv}": "rpn.conv.{conv}.conv",
    "proposal_generator.rpn_head.objectness_logits": "rpn.logits",
    "proposal_generator.rpn_head.anchor_deltas": "rpn.deltas",
    "roi_heads.box_head.conv{conv}": "roi_heads.box_heads.0.convs.{conv-1}.conv",
    "roi_heads.box_head.conv{conv}.norm": "roi_heads.box_heads.0.convs.{conv-1}.norm",
    "roi_heads.box_head.fc{fc}": "roi_heads.box_heads.0.fcs.{fc-1}",
    "roi_heads.box_predictor.cls_score": "roi_heads.box_heads.0.logits",
    "roi_heads.box_predictor.bbox_pred": "roi_heads.box_heads.0.deltas",
    "roi_heads.box_head.{stage}.conv{conv}": "roi_heads.box_heads.{stage}.convs.{conv-1}.conv",
    "roi_heads.box_head.{stage}.conv{conv}.norm": "roi_heads.box_heads.{stage}.convs.{conv-1}.norm",
    "roi_heads.box_head.{stage}.fc{fc}": "roi_heads.box_heads.{stage}.fcs.{fc-1}",
    "roi_heads.box_predictor.{stage}.cls_score": "roi_heads.box_heads.{stage}.logits",
    "roi_heads.box_predictor.{stage}.bbox_pred": "roi_heads.box_heads.{stage}.deltas",
    "roi_heads.mask_head.mask_fcn{conv}": "roi_heads.mask_heads.0.convs.{conv-1}.conv",
    "roi_heads.mask_head.mask_fcn{conv}.norm": "roi_heads.mask_heads.0.convs.{conv-1}.norm",
    "roi_heads.mask_head.deconv": "roi_heads.mask_heads.0.upsample",
    "roi_heads.mask_head.predictor": "roi_heads.mask_heads.0.logits",
}

SEMANTIC_HEAD = {
    "sem_seg_head.p{level}.{conv}": "semantic_head.levels.p{level}.{conv}.conv",
    "sem_seg_head.p{level}.{conv}.norm": "semantic_head.levels.p{level}.{conv}.norm",
    "sem_seg_head.predictor": "semantic_head.logits",
}
"""Modules of a panoptic model besides those of its detector."""

DROPPED = {
    "pixel_mean": "input statistics are in the recipe",
    "pixel_std": "input statistics are in the recipe",
    "proposal_generator.anchor_generator.cell_anchors.{level}": "anchors are computed",
}
