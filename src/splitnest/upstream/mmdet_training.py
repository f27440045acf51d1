"""Training of detectors of mmdetection: section ``train`` of a recipe, and what of ``model`` training depends on."""

from typing import Any

from splitnest.errors import UsageError
from splitnest.upstream.mmdet_augmentation import augmentation
from splitnest.upstream.section import Section
from splitnest.upstream.training import common


def detection(config: Section) -> dict[str, Any]:
    """Return the section ``train`` of a recipe.

    Raises:
        UsageError: Splitnest has not got a part of the training.
    """
    return common(config, "mmdet") | augmentation(config) | _detection_dataset(config)


def _detection_dataset(config: Section) -> dict[str, Any]:
    loader = config.section("train_dataloader", {})
    sampler = loader.section("sampler", None)
    batch_sampler = loader.section("batch_sampler", None)
    fields: dict[str, Any] = {"group_by_aspect_ratio": batch_sampler is not None or sampler is None}
    if sampler is not None:
        kind = sampler.only("type", "DefaultSampler", "InfiniteSampler", "ClassAwareSampler")
        if kind == "ClassAwareSampler":
            fields |= {"class_aware_samples": sampler.integer("num_sample_class", 1)}
    dataset = loader.section("dataset", {})
    for _ in range(4):
        if dataset.text("type", "") == "ClassBalancedDataset":
            fields |= {"repeat_threshold": dataset.number("oversample_thr"), "repeat_rounding": "up"}
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
    rpn, stages = cfg.section("rpn"), cfg.sections("rcnn")
    proposals = cfg.section("rpn_proposal", {})
    _same_nms(proposals, model.section("test_cfg").section("rpn"))
    fields: dict[str, Any] = {
        "rpn_pre_nms_topk": proposals.integer("nms_pre", 2000),
        "rpn_post_nms_topk": proposals.integer("max_per_img", proposals.integer("max_num", 1000)),
        "rpn_ignore_crossing": _allowed_border(rpn) == 0,
        "rpn_samples": _samples(rpn.section("sampler"), 0.5, adds_ground_truth=False),
        "rpn_box_beta": _rpn_beta(model.section("rpn_head")),
        **_second_stage(roi_head.text("type"), stages),
    }
    _assigner(rpn.section("assigner"), 0.7, 0.3, 0.3)
    thresholds = (0.5, 0.6, 0.7)[: len(roi_head.sections("bbox_head"))]
    if len(stages) != len(thresholds):
        raise cfg.error("rcnn", f"give one for each of {len(thresholds)} stages")
    low_quality, samples = set(), set()
    sampler = "ScoreHLRSampler" if "pisa" in fields else "RandomSampler"
    for stage, threshold in zip(stages, thresholds, strict=True):
        low_quality.add(_assigner(stage.section("assigner"), threshold, threshold, threshold))
        samples.add(_samples(stage.section("sampler"), 0.25, adds_ground_truth=True, kind=sampler))
        stage.only("mask_size", 28, (28, 28))
    box_losses = {_box_loss(head) for head in roi_head.sections("bbox_head")}
    for found, what in ((low_quality, "match_low_quality"), (samples, "sampler.num"), (box_losses, "loss_bbox")):
        if len(found) != 1:
            raise UsageError(f"the stages of the cascade differ in {what}; in splitnest they are alike")
    return fields | {
        "roi_match_low_quality": low_quality.pop(),
        "roi_samples": samples.pop(),
        **dict(zip(("box_loss", "box_beta", "box_loss_weight"), box_losses.pop(), strict=True)),
    }


def _same_nms(proposals: Section, test: Section) -> None:
    """Check that proposals are suppressed in training as in prediction."""
    found = [
        section.section("nms", {}).number("iou_threshold", section.number("nms_thr", 0.7))
        for section in (proposals, test)
    ]
    if found[0] != found[1]:
        raise proposals.error("nms", f"splitnest has the threshold of prediction, {found[1]}")


def _second_stage(kind: str, stages: list[Section]) -> dict[str, Any]:
    """Return what PISA and Dynamic R-CNN change in the training of the second stage."""
    if kind in ("StandardRoIHead", "CascadeRoIHead"):
        return {}
    if len(stages) != 1 or kind not in ("PISARoIHead", "DynamicRoIHead"):
        raise UsageError(f"the training is that of {kind}; splitnest has no such training")
    if kind == "PISARoIHead":
        return {"pisa": _pisa(stages[0])}
    rules = stages[0].section("dynamic_rcnn")
    fields = {
        **{"interval": rules.integer("update_iter_interval"), "iou_topk": rules.integer("iou_topk")},
        **{"beta_topk": rules.integer("beta_topk"), "min_iou": rules.number("initial_iou")},
        "max_beta": rules.number("initial_beta"),
    }
    rules.close()
    return {"dynamic": fields}


def _pisa(stage: Section) -> dict[str, Any]:
    """Return the weights of PISA's samples; each of its three parts has its defaults."""
    sampler, isr, carl = (stage.section(key) for key in ("sampler", "isr", "carl"))
    fields = {
        **{"positive_power": isr.number("k", 2.0), "positive_bias": isr.number("bias", 0.0)},
        **{"negative_power": sampler.number("k", 0.5), "negative_bias": sampler.number("bias", 0.0)},
        **{"carl_power": carl.number("k", 1.0), "carl_bias": carl.number("bias", 0.2)},
    }
    sampler.only("score_thr", 0.05)
    sampler.only("iou_thr", 0.5)
    for section in (isr, carl):
        section.close()
    return fields


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


def _samples(sampler: Section, fraction: float, *, adds_ground_truth: bool, kind: str = "RandomSampler") -> int:
    sampler.only("type", kind)
    if kind == "ScoreHLRSampler":
        sampler.skip("k", "bias", "score_thr", "iou_thr")
    sampler.only("neg_pos_ub", -1)
    if sampler.number("pos_fraction") != fraction:
        raise sampler.error("pos_fraction", f"splitnest has {fraction}")
    if sampler.flag("add_gt_as_proposals", True) != adds_ground_truth:
        raise sampler.error("add_gt_as_proposals", f"splitnest has {adds_ground_truth}")
    count: int = sampler.integer("num")
    sampler.close()
    return count


_BOX_LOSSES = {
    **{"L1Loss": "smooth_l1", "SmoothL1Loss": "smooth_l1", "IoULoss": "iou", "GIoULoss": "giou", "DIoULoss": "diou"},
    **{"CIoULoss": "ciou", "BoundedIoULoss": "bounded_iou"},
}
"""Box losses of mmdetection -> ours."""


def _box_loss(head: Section) -> tuple[str, float, float]:
    """Return name, beta and weight of the box loss of a head of the second stage."""
    loss = head.section("loss_bbox", {"type": "L1Loss"})
    kind = _BOX_LOSSES[loss.only("type", *_BOX_LOSSES)]
    head.section("loss_cls", {}).only("loss_weight", 1.0)
    if head.flag("reg_decoded_bbox", False) != (kind != "smooth_l1"):
        raise head.error("reg_decoded_bbox", "losses of an IoU need decoded boxes, others deltas")
    beta, weight = _beta(head) if kind == "smooth_l1" else 0.0, loss.number("loss_weight", 1.0)
    loss.skip("type", "beta") if kind == "smooth_l1" else loss.only("beta", 0.2)
    loss.only("mode", "log")
    loss.only("linear", False)
    loss.only("reduction", "mean")
    loss.only("eps", 1e-3 if kind == "bounded_iou" else 1e-6)
    loss.close()
    return kind, beta, weight


def _beta(head: Section) -> float:
    """Return the beta of the smooth L1 loss of a head; 0 for the L1 loss."""
    loss = head.section("loss_bbox", {"type": "L1Loss"})
    if loss.only("type", "L1Loss", "SmoothL1Loss") == "L1Loss":
        return 0.0
    beta: float = loss.number("beta", 1.0)
    return beta


def _rpn_beta(head: Section) -> float:
    """Return the beta of the smooth L1 loss of the RPN, whose losses have a weight of 1."""
    head.section("loss_bbox", {}).only("loss_weight", 1.0)
    head.section("loss_cls", {}).only("loss_weight", 1.0)
    head.only("reg_decoded_bbox", False)
    return _beta(head)
