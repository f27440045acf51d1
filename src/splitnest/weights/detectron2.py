"""Key names of detectron2 checkpoints, those of the official ResNeSt wrapper included."""

STEM = {
    "conv1": "0.conv",  # the 7x7 stem
    "conv1.norm": "0.norm",
    "conv1_1": "0.conv",
    "conv1_1.norm": "0.norm",
    "conv1_2": "1.conv",
    "conv1_2.norm": "1.norm",
    "conv1_3": "2.conv",
    "conv1_3.norm": "2.norm",
}

BLOCK = {
    "conv1": "conv1.conv",
    "conv1.norm": "conv1.norm",
    "conv2": "conv2.conv",
    "conv2.norm": "conv2.norm",
    "conv2.conv": "conv2.conv",  # split attention from here
    "conv2.bn0": "conv2.norm",
    "conv2.fc1": "conv2.fc1",
    "conv2.bn1": "conv2.fc1_norm",
    "conv2.fc2": "conv2.fc2",
    "conv2_offset": "conv2.conv.offset",
    "conv3": "conv3.conv",
    "conv3.norm": "conv3.norm",
    "shortcut": "shortcut.conv",
    "shortcut.norm": "shortcut.norm",
}

BACKBONE = {f"backbone.bottom_up.stem.{source}": f"backbone.stem.{target}" for source, target in STEM.items()} | {
    f"backbone.bottom_up.{source_stage}.{{block}}.{source}": f"backbone.{target_stage}.{{block}}.{target}"
    for source_stage, target_stage in {"res2": "c2", "res3": "c3", "res4": "c4", "res5": "c5"}.items()
    for source, target in BLOCK.items()
}

NECK = {
    f"backbone.fpn_{kind}{{level}}{source}": f"neck.{kind}.p{{level}}.{target}"
    for kind in ("lateral", "output")
    for source, target in {"": "conv", ".norm": "norm"}.items()
}

RPN = {
    "proposal_generator.rpn_head.conv": "rpn.conv",
    "proposal_generator.rpn_head.objectness_logits": "rpn.logits",
    "proposal_generator.rpn_head.anchor_deltas": "rpn.deltas",
}

NUM_CONVS, NUM_FCS = 8, 2
"""The most layers of a kind in the head of a published row; detectron2 counts them from 1."""

BOX_HEADS = {
    f"roi_heads.{source}": f"roi_heads.box_heads.{target_stage}.{target}"
    for source_stage, target_stage in {"": "0", ".{stage}": "{stage}"}.items()  # alone, or a stage of a cascade
    for source, target in (
        {f"box_head{source_stage}.conv{n + 1}": f"convs.{n}.conv" for n in range(NUM_CONVS)}
        | {f"box_head{source_stage}.conv{n + 1}.norm": f"convs.{n}.norm" for n in range(NUM_CONVS)}
        | {f"box_head{source_stage}.fc{n + 1}": f"fcs.{n}" for n in range(NUM_FCS)}
        | {f"box_predictor{source_stage}.cls_score": "logits", f"box_predictor{source_stage}.bbox_pred": "deltas"}
    ).items()
}

MASK_HEAD = (
    {f"roi_heads.mask_head.mask_fcn{n + 1}": f"roi_heads.mask_heads.0.convs.{n}.conv" for n in range(NUM_CONVS)}
    | {f"roi_heads.mask_head.mask_fcn{n + 1}.norm": f"roi_heads.mask_heads.0.convs.{n}.norm" for n in range(NUM_CONVS)}
    | {
        "roi_heads.mask_head.deconv": "roi_heads.mask_heads.0.upsample",
        "roi_heads.mask_head.predictor": "roi_heads.mask_heads.0.logits",
    }
)

NUM_SEMANTIC_CONVS = {"p2": 1, "p3": 1, "p4": 2, "p5": 3}

SEMANTIC_HEAD = {
    f"sem_seg_head.{level}.{2 * conv}{source}": f"semantic_head.levels.{level}.{2 * conv}.{target}"
    for level, count in NUM_SEMANTIC_CONVS.items()
    for conv in range(count)  # with an upsampling after each
    for source, target in {"": "conv", ".norm": "norm"}.items()
} | {"sem_seg_head.predictor": "semantic_head.logits"}

MODULES = BACKBONE | NECK | RPN | BOX_HEADS | MASK_HEAD | SEMANTIC_HEAD

DROPPED = {
    "pixel_mean": "input statistics are part of the recipe",
    "pixel_std": "input statistics are part of the recipe",
    "proposal_generator.anchor_generator.cell_anchors.{level}": "anchors are made from the recipe",
}
