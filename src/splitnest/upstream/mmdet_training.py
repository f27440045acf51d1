"""Training of detectors of mmdetection: section ``train`` of a recipe, and what of ``model`` training depends on."""

from typing import Any

from splitnest.errors import UsageError
from splitnest.upstream.section import Section, shown
from splitnest.upstream.training import common


def detection(config: Section) -> dict[str, Any]:
    """Return the section ``train`` of a recipe.

    Raises:
        UsageError: Splitnest has not got a part of the training.
    """
    fields = common(config, "mmdet")
    for step in config.sections("train_pipeline"):
        fields |= _detection_step(step)
    if "short_sides" not in fields:
        raise UsageError("the training pipeline has no Resize")
    if config.section("model").section("data_preprocessor", {}).raw("batch_augments"):
        raise UsageError("the training pads batches to a fixed size; splitnest does not")
    return fields | _detection_dataset(config)


def _detection_step(step: Section) -> dict[str, Any]:
    kind = step.text("type")
    match kind:
        case "LoadImageFromFile" | "PackDetInputs" | "LoadAnnotations" | "DefaultFormatBundle" | "Collect":
            return {}
        case "RandomFlip":
            fields = {"flip": step.number("prob", step.number("flip_ratio", 0.5))}
            step.only("direction", "horizontal")
            return fields
        case "Resize" | "RandomResize" | "RandomChoiceResize":
            return _short_sides(step, kind)
    raise UsageError(f"the training pipeline has {kind}; splitnest has no such augmentation")


def _short_sides(step: Section, kind: str) -> dict[str, Any]:
    if "ratio_range" in step:
        raise step.error("ratio_range", "splitnest has no such augmentation of detectors")
    raw = step.raw("scales", step.raw("scale", step.raw("img_scale")))
    pairs = raw if isinstance(raw, list | tuple) and raw and isinstance(raw[0], list | tuple) else [raw]
    if not all(
        isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(side, int) for side in pair)
        for pair in pairs
    ):
        raise UsageError(f"{step.where}: the scales are {shown(raw)}: give pairs of sides.")
    sides = tuple(min(pair) for pair in pairs)
    mode = step.text("multiscale_mode", "range")  # of mmdet 2
    is_range = len(pairs) > 1 and kind != "RandomChoiceResize" and mode == "range"
    long_sides = {max(pair) for pair in pairs}
    if len(long_sides) > 1:
        raise UsageError(f"{step.where}: the scales have several long sides; splitnest has one.")
    return {
        "short_sides": sides,
        "short_side_sampling": "range" if is_range else "choice",
        "long_side": long_sides.pop(),
    }


def _detection_dataset(config: Section) -> dict[str, Any]:
    loader = config.section("train_dataloader", {})
    sampler = loader.section("sampler", None)
    if sampler is not None:
        sampler.only("type", "DefaultSampler", "InfiniteSampler")
    batch_sampler = loader.section("batch_sampler", None)
    fields: dict[str, Any] = {"group_by_aspect_ratio": batch_sampler is not None or sampler is None}
    dataset = loader.section("dataset", {})
    for _ in range(4):
        inner = dataset.section("dataset", None)
        if inner is None:
            break
        dataset = inner
    filters = dataset.section("filter_cfg", {})
    keeps_empty = not (filters.flag("filter_empty_gt", False) or dataset.flag("filter_empty_gt", False))
    return {
        **fields,
        "min_image_side": filters.integer("min_size", 0),
        "min_box_side": 1,
        "keep_empty_images": keeps_empty,
    }


def losses(model: Section) -> dict[str, Any]:
    """Return the fields of the section ``model`` that training alone depends on: proposals, samples and losses.

    Raises:
        UsageError: Assignment, sampling or a loss is one that splitnest has not.
    """
    roi_head, cfg = model.section("roi_head"), model.section("train_cfg")
    if roi_head.text("type") not in ("StandardRoIHead", "CascadeRoIHead"):
        raise UsageError(f"the training is that of {roi_head.raw('type')}; splitnest has no such training")
    rpn, stages = cfg.section("rpn"), cfg.sections("rcnn")
    proposals = cfg.section("rpn_proposal", {})
    fields: dict[str, Any] = {
        "rpn_pre_nms_topk": proposals.integer("nms_pre", 2000),
        "rpn_post_nms_topk": proposals.integer("max_per_img", proposals.integer("max_num", 1000)),
        "rpn_ignore_crossing": _allowed_border(rpn) == 0,
        "rpn_samples": _samples(rpn.section("sampler"), 0.5, adds_ground_truth=False),
        "rpn_box_beta": _beta(model.section("rpn_head")),
    }
    _assigner(rpn.section("assigner"), 0.7, 0.3, 0.3)
    thresholds = (0.5, 0.6, 0.7)[: len(roi_head.sections("bbox_head"))]
    if len(stages) != len(thresholds):
        raise cfg.error("rcnn", f"give one for each of {len(thresholds)} stages")
    low_quality, samples = set(), set()
    for stage, threshold in zip(stages, thresholds, strict=True):
        low_quality.add(_assigner(stage.section("assigner"), threshold, threshold, threshold))
        samples.add(_samples(stage.section("sampler"), 0.25, adds_ground_truth=True))
        stage.only("mask_size", 28, (28, 28))
    betas = {_beta(head) for head in roi_head.sections("bbox_head")}
    for found, what in ((low_quality, "match_low_quality"), (samples, "sampler.num"), (betas, "loss_bbox")):
        if len(found) != 1:
            raise UsageError(f"the stages of the cascade differ in {what}; in splitnest they are alike")
    return fields | {
        "roi_match_low_quality": low_quality.pop(),
        "roi_samples": samples.pop(),
        "box_beta": betas.pop(),
    }


def _allowed_border(rpn: Section) -> int:
    border = rpn.integer("allowed_border", -1)
    if border not in (-1, 0):
        raise rpn.error("allowed_border", "splitnest has -1 and 0")
    return int(border)


def _assigner(assigner: Section, positive: float, negative: float, lowest: float) -> bool:
    """Check the thresholds of an assigner, and return whether it matches boxes of low quality."""
    assigner.only("type", "MaxIoUAssigner")
    for key, value in (("pos_iou_thr", positive), ("neg_iou_thr", negative), ("min_pos_iou", lowest)):
        if assigner.number(key, 0.0) != value:
            raise assigner.error(key, f"splitnest has {value}")
    assigner.only("ignore_iof_thr", -1)
    assigner.only("gpu_assign_thr", -1)
    assigner.skip("iou_calculator")
    low_quality: bool = assigner.flag("match_low_quality", True)
    assigner.close()
    return low_quality


def _samples(sampler: Section, fraction: float, *, adds_ground_truth: bool) -> int:
    sampler.only("type", "RandomSampler")
    sampler.only("neg_pos_ub", -1)
    if sampler.number("pos_fraction") != fraction:
        raise sampler.error("pos_fraction", f"splitnest has {fraction}")
    if sampler.flag("add_gt_as_proposals", True) != adds_ground_truth:
        raise sampler.error("add_gt_as_proposals", f"splitnest has {adds_ground_truth}")
    count: int = sampler.integer("num")
    sampler.close()
    return count


def _beta(head: Section) -> float:
    """Return the beta of the smooth L1 loss of a head; 0 for the L1 loss."""
    loss = head.section("loss_bbox", {"type": "L1Loss"})
    kind = loss.only("type", "L1Loss", "SmoothL1Loss")
    loss.only("loss_weight", 1.0)
    head.section("loss_cls", {}).only("loss_weight", 1.0)
    if kind == "L1Loss":
        return 0.0
    beta: float = loss.number("beta", 1.0)
    return beta
