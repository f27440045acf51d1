"""Detectors of mmdetection: sections ``model`` and ``input`` of a recipe."""

from typing import Any

from splitnest.errors import UsageError
from splitnest.recipe.conventions import MMDET
from splitnest.upstream.backbone import backbone, conv, norm, widths
from splitnest.upstream.pipeline import resize, statistics, steps
from splitnest.upstream.section import Section

DETECTORS = ("FasterRCNN", "MaskRCNN", "CascadeRCNN", "DynamicRCNN")

_ROI_HEADS = ("StandardRoIHead", "CascadeRoIHead", "PISARoIHead", "DynamicRoIHead")
"""RoI heads of the same layers and decoding; PISA and Dynamic R-CNN differ in training alone."""

_BOX_HEADS = {"Shared2FCBBoxHead": "2fc", "Shared4Conv1FCBBoxHead": "4conv1fc"}

_STRIDES = (4, 8, 16, 32, 64)
_BOX_STDS = (0.1, 0.1, 0.2, 0.2)


def detector(model: Section) -> tuple[dict[str, Any], int]:
    """Return the section ``model`` of a recipe, and the number of classes.

    Raises:
        UsageError: The detector has a part that splitnest has not.
    """
    model.only("type", *DETECTORS)
    if "bbox_head" in model and "roi_head" not in model:
        raise UsageError(
            f"{model.where}: this is a configuration of mmdetection 1. Give that of mmdetection 2 or 3 for the same "
            f"model (--config FILE), or the name of a published model (--model NAME)."
        )
    network = backbone(model.section("backbone"), "mmdet")
    channels, neck = _neck(model.section("neck"), widths(network))
    roi_head = model.section("roi_head")
    heads, num_classes = _roi_head(roi_head, channels)
    fields = {
        **{"backbone": network, "neck": neck["kind"], "fpn_channels": channels, "fpn_norm": neck["norm"]},
        **_rpn(model.section("rpn_head"), channels),
        **heads,
        **_test_cfg(model.section("test_cfg"), heads["mask_convs"] > 0),
    }
    standardized = {neck["conv"], *fields.pop("convs")}
    if len(standardized) > 1:
        raise UsageError(f"{model.where}: ConvWS is in some heads alone; splitnest has it in all of them or in none.")
    fields["weight_standardization"] = standardized == {"ConvWS"}
    model.skip("train_cfg", "data_preprocessor", "init_cfg", "pretrained")
    model.close()
    return fields, num_classes


def detection_input(preprocessor: Section, pipeline: list[Section], where: str) -> dict[str, Any]:
    """Return the section ``input`` of a recipe."""
    fields = statistics(preprocessor)
    preprocessor.only("pad_value", 0)
    divisor = preprocessor.integer("pad_size_divisor", 1)
    preprocessor.skip("type", "pad_mask", "pad_seg", "mask_pad_value", "seg_pad_value", "batch_augments")
    preprocessor.skip("boxtype2tensor", "non_blocking")
    preprocessor.close()
    found = steps(pipeline, "Resize", "FixShapeResize", "Pad")
    for kind in ("FixShapeResize", "Pad"):
        if kind in found:
            raise UsageError(f"{found[kind].where}: the test pipeline has {kind}; splitnest pads to a multiple alone.")
    short_side, long_side = resize(found.get("Resize"), where)
    return {**fields, "short_side": short_side, "long_side": long_side, "resize": "opencv", "divisor": divisor}


def _neck(neck: Section, in_channels: tuple[int, ...]) -> tuple[int, dict[str, Any]]:
    """Return the channels of the pyramid, and its kind, normalization and convolutions."""
    if neck.is_list("type") or neck.text("type") not in ("FPN", "HRFPN"):
        raise UsageError(f"{neck.where}: the neck is {neck.raw('type')}; splitnest has only FPN and HRFPN.")
    neck.only("in_channels", in_channels)
    if neck.text("type") == "HRFPN":
        return _hrfpn(neck)
    for key, value in (("num_outs", 5), ("start_level", 0), ("end_level", -1), ("add_extra_convs", False)):
        neck.only(key, value)
    for key in ("relu_before_extra_convs", "no_norm_on_lateral"):
        neck.only(key, False)
    cfg = neck.section("upsample_cfg", {"mode": "nearest"})
    cfg.only("mode", "nearest")
    cfg.close()
    if "act_cfg" in neck:
        raise neck.error("act_cfg", "splitnest has no activation in FPN")
    neck.skip("init_cfg", "type")
    fields = {"kind": "fpn", "norm": norm(neck.section("norm_cfg", None)), "conv": conv(neck)}
    channels = neck.integer("out_channels")
    neck.close()
    return channels, fields


def _hrfpn(neck: Section) -> tuple[int, dict[str, Any]]:
    neck.only("num_outs", 5)
    neck.only("pooling_type", "AVG")
    neck.only("stride", 1)
    if "norm_cfg" in neck:
        raise neck.error("norm_cfg", "splitnest has no normalization in HRFPN")
    fields = {"kind": "hrfpn", "norm": None, "conv": conv(neck)}
    neck.skip("init_cfg", "type", "with_cp")
    channels = neck.integer("out_channels")
    neck.close()
    return channels, fields


def _rpn(rpn: Section, channels: int) -> dict[str, Any]:
    if rpn.text("type") != "RPNHead":
        raise UsageError(f"{rpn.where}: the proposals come from {rpn.raw('type')}; splitnest has only RPNHead.")
    rpn.only("in_channels", channels)
    rpn.only("feat_channels", channels)
    rpn.only("num_classes", 1)
    anchors = rpn.section("anchor_generator")
    anchors.only("type", "AnchorGenerator")
    anchors.only("strides", _STRIDES)
    scales = anchors.numbers("scales", None)
    if scales is None or len(scales) != 1:
        raise anchors.error("scales", "splitnest has one scale, the same at each level")
    for key, value in (("center_offset", 0.0), ("scale_major", True), ("use_box_type", False)):
        anchors.only(key, value)
    sizes = tuple(size * scales[0] for size in anchors.numbers("base_sizes", _STRIDES, 5))
    fields = {"anchor_sizes": sizes, "anchor_ratios": anchors.numbers("ratios")}
    anchors.close()
    if _box_stds(rpn.section("bbox_coder")) != (1.0, 1.0, 1.0, 1.0):
        raise rpn.error("bbox_coder", "splitnest has target_stds of 1 in the RPN")
    rpn.section("loss_cls", {}).only("use_sigmoid", True)
    rpn.skip("loss_cls", "loss_bbox", "init_cfg", "train_cfg", "test_cfg", "reg_decoded_bbox")
    fields["rpn_convs"] = rpn.integer("num_convs", 1)
    rpn.close()
    return fields


def _roi_head(head: Section, channels: int) -> tuple[dict[str, Any], int]:
    kind = head.text("type")
    if kind not in _ROI_HEADS:
        raise UsageError(f"{head.where}: this is a {kind}; splitnest has no such head.")
    for key in ("shared_head", "mask_iou_head", "semantic_head"):
        if key in head:
            raise head.error(key, "splitnest has no such head")
    _extractor(head.section("bbox_roi_extractor"), channels, 7)
    cascade = kind == "CascadeRoIHead"
    boxes = head.sections("bbox_head")
    if len(boxes) != (3 if cascade else 1) or head.integer("num_stages", len(boxes)) != len(boxes):
        raise head.error("bbox_head", f"{kind} has {3 if cascade else 1} of them in splitnest")
    found = [_box_head(box, channels) for box in boxes]
    stds = tuple(one.pop("stds") for one in found)
    if any(one != found[0] for one in found):
        raise UsageError(f"{head.where}.bbox_head: the heads of a cascade differ; in splitnest they are alike.")
    fields: dict[str, Any] = {**found[0], "cascade": cascade, **_masks(head, channels, cascade)}
    num_classes, mask_classes = fields.pop("num_classes"), fields.pop("mask_classes")
    if mask_classes not in (None, num_classes):
        raise UsageError(f"{head.where}: the mask head has {mask_classes} classes, the box head {num_classes}.")
    fields["convs"] = [kind for kind in (fields.pop("box_conv"), fields.pop("mask_conv")) if kind is not None]
    if fields["class_agnostic_boxes"] == cascade:
        fields["class_agnostic_boxes"] = None
    fields["conventions"] = _conventions(stds, head.numbers("stage_loss_weights", None, 3) if cascade else None)
    head.skip("init_cfg", "type", "train_cfg", "test_cfg")
    head.close()
    return fields, num_classes


def _conventions(stds: tuple[Any, ...], weights: tuple[float, ...] | None) -> Any:
    """Return the conventions of mmdetection, spelled out where box deltas or loss weights differ."""
    changed: dict[str, Any] = {}
    usual = MMDET.cascade_box_stds
    stds = (*stds, *usual[len(stds) :])
    if stds != usual:
        changed["cascade_box_stds"] = stds
    if weights not in (None, MMDET.cascade_loss_weights):
        changed["cascade_loss_weights"] = weights
    return {**MMDET.model_dump(), **changed} if changed else "mmdet"


def _extractor(extractor: Section, channels: int, size: int) -> None:
    if extractor.text("type") != "SingleRoIExtractor":
        raise extractor.error("type", "splitnest has only SingleRoIExtractor")
    layer = extractor.section("roi_layer")
    layer.only("type", "RoIAlign")
    layer.only("output_size", size, (size, size))
    layer.only("sampling_ratio", 0)
    layer.only("aligned", True)
    layer.only("pool_mode", "avg")
    layer.skip("use_torchvision")
    layer.close()
    extractor.only("out_channels", channels)
    extractor.only("featmap_strides", _STRIDES[:4])
    extractor.only("finest_scale", 56)
    extractor.skip("init_cfg")
    extractor.close()


def _box_stds(coder: Section) -> tuple[float, ...]:
    coder.only("type", "DeltaXYWHBBoxCoder")
    coder.only("target_means", (0.0, 0.0, 0.0, 0.0), (0, 0, 0, 0))
    coder.only("clip_border", True)
    coder.only("add_ctr_clamp", False)
    coder.skip("ctr_clamp", "use_box_type")
    stds: tuple[float, ...] = coder.numbers("target_stds", (1.0, 1.0, 1.0, 1.0), 4)
    coder.close()
    return stds


def _box_head(head: Section, channels: int) -> dict[str, Any]:
    kind = head.text("type")
    if kind not in _BOX_HEADS:
        raise UsageError(f"{head.where}: the box head is a {kind}; splitnest has no such head.")
    head.only("in_channels", channels)
    head.only("roi_feat_size", 7, (7, 7))
    head.only("with_avg_pool", False)
    loss = head.section("loss_cls", {"type": "CrossEntropyLoss"})
    loss.only("type", "CrossEntropyLoss", problem="its class scores are not a softmax, which splitnest has")
    loss.only("use_sigmoid", False)
    for key in ("cls_predictor_cfg", "reg_predictor_cfg"):
        predictor = head.section(key, {"type": "Linear"})
        predictor.only("type", "Linear")
    fields = {
        "box_head": _BOX_HEADS[kind],
        "num_classes": head.integer("num_classes"),
        "box_fc_channels": head.integer("fc_out_channels", 1024),
        "class_agnostic_boxes": head.flag("reg_class_agnostic", False),
        "stds": _box_stds(head.section("bbox_coder", {"type": "DeltaXYWHBBoxCoder", "target_stds": _BOX_STDS})),
        "box_norm": norm(head.section("norm_cfg", None)),
        "box_conv": conv(head),
    }
    if fields["box_head"] == "2fc":
        fields |= {"box_norm": None, "box_conv": None}  # there is no convolution
        head.skip("conv_out_channels")
    else:
        fields["box_conv_channels"] = head.integer("conv_out_channels", 256)
    head.skip("loss_bbox", "reg_decoded_bbox", "init_cfg", "loss_cls")
    head.close()
    return fields


def _masks(head: Section, channels: int, cascade: bool) -> dict[str, Any]:
    if "mask_head" not in head:
        head.skip("mask_roi_extractor")
        return {"mask_convs": 0, "mask_norm": None, "mask_conv": None, "mask_classes": None}
    if "mask_roi_extractor" in head:
        _extractor(head.section("mask_roi_extractor"), channels, 14)
    elif not cascade:
        raise head.error("mask_roi_extractor", "masks need one of their own, of size 14")
    found = [_mask_head(one, channels) for one in head.sections("mask_head")]
    if len(found) not in (1, 3) or any(one != found[0] for one in found):
        raise head.error("mask_head", "splitnest has one for each stage, all alike")
    return found[0]


def _mask_head(mask: Section, channels: int) -> dict[str, Any]:
    if mask.text("type") != "FCNMaskHead":
        raise UsageError(f"{mask.where}: the mask head is a {mask.raw('type')}; splitnest has no such head.")
    for key, value in (("in_channels", channels), ("conv_kernel_size", 3), ("class_agnostic", False)):
        mask.only(key, value)
    upsample = mask.section("upsample_cfg", {"type": "deconv"})
    upsample.only("type", "deconv")
    upsample.only("scale_factor", 2)
    upsample.close()
    mask.only("roi_feat_size", 14, (14, 14))
    predictor = mask.section("predictor_cfg", {"type": "Conv"})
    predictor.only("type", "Conv")
    predictor.close()
    fields = {
        "mask_convs": mask.integer("num_convs", 4),
        "mask_channels": mask.integer("conv_out_channels", 256),
        "mask_classes": mask.integer("num_classes", 80),
        "mask_norm": norm(mask.section("norm_cfg", None)),
        "mask_conv": conv(mask),
    }
    mask.skip("loss_mask", "init_cfg")
    mask.close()
    return fields


def _test_cfg(cfg: Section, has_masks: bool) -> dict[str, Any]:
    rpn, rcnn = cfg.section("rpn"), cfg.section("rcnn")
    nms = rpn.section("nms", {"type": "nms", "iou_threshold": rpn.number("nms_thr", 0.7)})
    nms.only("type", "nms")
    fields = {
        "rpn_pre_nms_topk_test": rpn.integer("nms_pre"),
        "rpn_post_nms_topk_test": rpn.integer("max_per_img", rpn.integer("max_num", rpn.integer("nms_post", 1000))),
        "rpn_nms_threshold": nms.number("iou_threshold", nms.number("iou_thr", 0.7)),
    }
    nms.skip("max_num", "split_thr")
    nms.close()
    rpn.only("nms_across_levels", False)
    rpn.only("min_bbox_size", 0)
    rpn.close()
    fields |= {"score_threshold": rcnn.number("score_thr"), "max_detections": rcnn.integer("max_per_img")}
    fields |= _class_nms(rcnn.section("nms"))
    if has_masks:
        rcnn.only("mask_thr_binary", 0.5)
    rcnn.skip("mask_thr_binary")
    rcnn.close()
    cfg.close()
    return fields


def _class_nms(nms: Section) -> dict[str, Any]:
    kind = nms.only("type", "nms", "soft_nms")
    fields = {"nms": "hard", "nms_threshold": nms.number("iou_threshold", nms.number("iou_thr", 0.5))}
    nms.only("class_agnostic", False)
    nms.skip("split_thr")
    if kind == "soft_nms":
        fields["nms"] = nms.only("method", "linear", "gaussian")
        fields["soft_nms_sigma"] = nms.number("sigma", 0.5)
        fields["soft_nms_min_score"] = nms.number("min_score", 1e-3)
    nms.close()
    return fields
