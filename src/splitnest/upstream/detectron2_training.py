"""Training of detectron2: section ``train`` of a recipe, and what of ``model`` training depends on."""

from typing import Any

from splitnest.errors import UsageError
from splitnest.upstream.section import Section

Fields = dict[str, Any]


def training(config: Section) -> Fields:
    """Return the section ``train`` of a recipe.

    Raises:
        UsageError: Splitnest has not got a part of it.
    """
    return {
        **_solver(config),
        **_augmentation(config.section("INPUT", {})),
        **_loader(config.section("DATALOADER", {})),
    }


def _solver(config: Section) -> Fields:
    if "SOLVER" not in config:
        raise UsageError("the configuration has none")
    solver = config.section("SOLVER")
    clip = solver.section("CLIP_GRADIENTS", {})
    clip.only("ENABLED", False)
    for key, value in (("BIAS_LR_FACTOR", 1.0), ("BASE_LR_END", 0.0), ("REFERENCE_WORLD_SIZE", 0)):
        solver.only(key, value)
    solver.only("WARMUP_METHOD", "linear")
    decay = solver.number("WEIGHT_DECAY", 1e-4)
    decay_norm, decay_bias = solver.number("WEIGHT_DECAY_NORM", 0.0), solver.number("WEIGHT_DECAY_BIAS", decay)
    for key, value in (("WEIGHT_DECAY_NORM", decay_norm), ("WEIGHT_DECAY_BIAS", decay_bias)):
        if value not in (0.0, decay):
            raise solver.error(key, f"splitnest has 0 and WEIGHT_DECAY, {decay}")
    tests = config.section("TEST", {})
    precise = tests.section("PRECISE_BN", {})
    return {
        "iterations": solver.integer("MAX_ITER", 40_000),
        "batch_size": solver.integer("IMS_PER_BATCH", 16),
        "lr": solver.number("BASE_LR", 0.001),
        "optimizer": {
            **{"type": "sgd", "momentum": solver.number("MOMENTUM", 0.9)},
            "nesterov": solver.flag("NESTEROV", False),
        },
        "weight_decay": decay,
        "decay_norms": decay_norm == decay,
        "decay_biases": decay_bias == decay,
        "schedule": _schedule(solver),
        "warmup_iterations": solver.integer("WARMUP_ITERS", 1000),
        "warmup_factor": solver.number("WARMUP_FACTOR", 0.001),
        "precision": "fp16" if solver.section("AMP", {}).flag("ENABLED", False) else "fp32",
        "save_every": solver.integer("CHECKPOINT_PERIOD", 5000),
        "evaluate_every": tests.integer("EVAL_PERIOD", 0),
        "precise_bn_batches": precise.integer("NUM_ITER", 200) if precise.flag("ENABLED", False) else 0,
    }


def _schedule(solver: Section) -> Fields:
    if solver.only("LR_SCHEDULER_NAME", "WarmupMultiStepLR", "WarmupCosineLR") == "WarmupCosineLR":
        return {"type": "cosine"}
    milestones = solver.integers("STEPS", (30_000,))
    return {"type": "multi_step", "milestones": milestones, "gamma": solver.number("GAMMA", 0.1)}


def _augmentation(inputs: Section) -> Fields:
    flip = inputs.only("RANDOM_FLIP", "horizontal", "none")
    crop = inputs.section("CROP", {})
    fields: Fields = {
        "short_sides": inputs.integers("MIN_SIZE_TRAIN", (800,)),
        "short_side_sampling": inputs.only("MIN_SIZE_TRAIN_SAMPLING", "choice", "range"),
        "long_side": inputs.integer("MAX_SIZE_TRAIN", 1333),
        "flip": 0.5 if flip == "horizontal" else 0.0,
    }
    if crop.flag("ENABLED", False):
        crop.only("TYPE", "relative_range")
        sides = crop.numbers("SIZE", (0.9, 0.9), 2)
        if sides[0] != sides[1]:
            raise crop.error("SIZE", "splitnest crops both sides alike")
        fields["crop"] = sides[0]
    return fields


def _loader(loader: Section) -> Fields:
    kind = loader.text("SAMPLER_TRAIN", "TrainingSampler")
    if kind not in ("TrainingSampler", "RepeatFactorTrainingSampler"):
        raise UsageError(f"the training has {kind}; splitnest has no such sampler")
    threshold = None
    if kind == "RepeatFactorTrainingSampler" and (threshold := loader.number("REPEAT_THRESHOLD", 0.0) or None):
        loader.only("REPEAT_SQRT", True)
    return {
        "repeat_threshold": threshold,
        "group_by_aspect_ratio": loader.flag("ASPECT_RATIO_GROUPING", True),
        "keep_empty_images": not loader.flag("FILTER_EMPTY_ANNOTATIONS", True),
    }


def losses(model: Section) -> Fields:
    """Return the fields of the section ``model`` that training alone depends on: proposals, samples and losses.

    Raises:
        UsageError: Splitnest has not got a part of it.
    """
    rpn, heads, box = (model.section(key, {}) for key in ("RPN", "ROI_HEADS", "ROI_BOX_HEAD"))
    rpn.only("IOU_THRESHOLDS", (0.3, 0.7))
    rpn.only("IOU_LABELS", (0, -1, 1))
    rpn.only("BOUNDARY_THRESH", -1)
    for section, fraction in ((rpn, 0.5), (heads, 0.25)):
        section.only("POSITIVE_FRACTION", fraction)
    heads.only("PROPOSAL_APPEND_GT", True)
    rpn.only("BBOX_REG_LOSS_TYPE", "smooth_l1")
    rpn.only("BBOX_REG_LOSS_WEIGHT", 1.0)
    rpn.only("LOSS_WEIGHT", 1.0)
    box.only("USE_FED_LOSS", False)
    box.only("TRAIN_ON_PRED_BOXES", False)
    return {
        "rpn_pre_nms_topk": rpn.integer("PRE_NMS_TOPK_TRAIN", 12_000),
        "rpn_post_nms_topk": rpn.integer("POST_NMS_TOPK_TRAIN", 2000),
        "rpn_samples": rpn.integer("BATCH_SIZE_PER_IMAGE", 256),
        "roi_samples": heads.integer("BATCH_SIZE_PER_IMAGE", 512),
        "rpn_box_beta": rpn.number("SMOOTH_L1_BETA", 0.0),
        "box_beta": box.number("SMOOTH_L1_BETA", 0.0),
        "box_loss": box.only("BBOX_REG_LOSS_TYPE", "smooth_l1", "giou", "diou"),
        "box_loss_weight": box.number("BBOX_REG_LOSS_WEIGHT", 1.0),
    }
