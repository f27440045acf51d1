"""Key names of OpenMMLab checkpoints: mmdetection 2 and 3, mmsegmentation 0 and 1, mmpose 0 and 1."""

from splitnest.weights.classification import BLOCK, STAGES

STAGES_OF_RESNET = {
    f"backbone.{layer}.{{block}}.{source}": f"backbone.{stage}.{{block}}.{target}"
    for layer, stage in STAGES.items()
    for source, target in BLOCK.items()
}

BACKBONE = {
    "backbone.stem.0": "backbone.stem.0.conv",
    "backbone.stem.1": "backbone.stem.0.norm",
    "backbone.stem.3": "backbone.stem.1.conv",
    "backbone.stem.4": "backbone.stem.1.norm",
    "backbone.stem.6": "backbone.stem.2.conv",
    "backbone.stem.7": "backbone.stem.2.norm",
} | STAGES_OF_RESNET

NECK = {
    f"neck.{source}.{index}.conv": f"neck.{target}.{level}.conv"
    for source, target in {"lateral_convs": "lateral", "fpn_convs": "output"}.items()
    for index, level in enumerate(("p2", "p3", "p4", "p5"))
}

RPN = {
    "rpn_head.rpn_conv": "rpn.conv",
    "rpn_head.rpn_cls": "rpn.logits",
    "rpn_head.rpn_reg": "rpn.deltas",
}

BOX_HEAD = {
    "shared_convs.{conv}.conv": "convs.{conv}.conv",
    "shared_convs.{conv}.bn": "convs.{conv}.norm",
    "shared_fcs.{fc}": "fcs.{fc}",
    "fc_cls": "logits",
    "fc_reg": "deltas",
}

MASK_HEAD = {
    "convs.{conv}.conv": "convs.{conv}.conv",
    "convs.{conv}.bn": "convs.{conv}.norm",
    "upsample": "upsample",
    "conv_logits": "logits",
}

HEADS = {
    f"roi_head.{source_head}{source_stage}.{source}": f"{target_head}.{target_stage}.{target}"
    for source_head, target_head, table in (
        ("bbox_head", "roi_heads.box_heads", BOX_HEAD),
        ("mask_head", "roi_heads.mask_heads", MASK_HEAD),
    )
    for source_stage, target_stage in {"": "0", ".{stage}": "{stage}"}.items()  # alone, or a stage of a cascade
    for source, target in table.items()
}

CONV = {"conv": "conv", "bn": "norm"}

DECODE_HEAD = {
    f"{source}.{leaf}": f"{target}.{ours}"
    for source, target in {
        "convs.{conv}": "convs.{conv}",
        "conv_cat": "fuse",
        "bottleneck": "fuse",
        "psp_modules.{pool}.1": "pools.{pool}",
        "image_pool.1": "image_pool",
        "aspp_modules.{branch}": "branches.{branch}",
        "c1_bottleneck": "c2",
    }.items()
    for leaf, ours in CONV.items()
} | {
    f"{source}.{half}_conv.{leaf}": f"{target}.{half}.{ours}"
    for source, target in {
        "aspp_modules.{branch}": "branches.{branch}",
        "sep_bottleneck.{conv}": "refine.{conv}",
    }.items()
    for half in ("depthwise", "pointwise")
    for leaf, ours in CONV.items()
}

SEGMENTOR = {
    f"{head}.{source}": f"{head}.{target}"
    for head in ("decode_head", "auxiliary_head")
    for source, target in (DECODE_HEAD | {"conv_seg": "logits"}).items()
}

NUM_DECONVS = 5
"""Transposed convolutions of a pose estimator at most; each is followed by a norm and a ReLU in one sequence."""

POSE_BACKBONE = {
    **{f"backbone.stem.{{conv}}.{leaf}": f"backbone.stem.{{conv}}.{ours}" for leaf, ours in CONV.items()},
    **{key: ours for key, ours in STAGES_OF_RESNET.items() if ".layer1.{block}.downsample." not in key},
    "backbone.layer1.0.downsample.0": "backbone.c2.0.shortcut.conv",  # of stride 1, it has no pooling before it
    "backbone.layer1.0.downsample.1": "backbone.c2.0.shortcut.norm",
}

POSE_HEAD = {
    f"{head}.{source}": f"head.{target}"
    for head in ("keypoint_head", "head")  # mmpose 0 and 1
    for source, target in (
        {
            f"deconv_layers.{3 * deconv + place}": f"deconvs.{deconv}.{leaf}"
            for deconv in range(NUM_DECONVS)
            for place, leaf in enumerate(("conv", "norm"))
        }
        | {"final_layer": "output"}
    ).items()
}

MODULES = BACKBONE | NECK | RPN | HEADS | SEGMENTOR

POSE_MODULES = POSE_BACKBONE | POSE_HEAD

DROPPED = {
    "data_preprocessor.mean": "input statistics are part of the recipe",
    "data_preprocessor.std": "input statistics are part of the recipe",
}
