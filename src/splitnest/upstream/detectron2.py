"""Recipes of detectron2's configurations: Faster, Mask and Cascade R-CNN with FPN, and Panoptic FPN.

A value that a configuration leaves out has detectron2's default (``detectron2/config/defaults.py``).
"""

from collections.abc import Mapping
from typing import Any

from splitnest.errors import UsageError
from splitnest.recipe.conventions import DETECTRON2
from splitnest.upstream.classes import Classes, detectron2_classes, names_of
from splitnest.upstream.content import Content, Fields, Metadata
from splitnest.upstream.datasets import COCO
from splitnest.upstream.detectron2_training import losses, training
from splitnest.upstream.limits import MAX_DEPTH
from splitnest.upstream.literals import Literals, assignments, parse
from splitnest.upstream.pretrained import initial_weights
from splitnest.upstream.section import Section

_NORMS = {
    "": None,
    "BN": "bn",
    "SyncBN": "sync_bn",
    "nnSyncBN": "sync_bn",
    "naiveSyncBN": "sync_bn",
    "FrozenBN": "frozen_bn",
    "GN": "gn32",
}

_BACKBONES = ("build_resnet_fpn_backbone", "build_resnest_fpn_backbone")
_STAGES = ("res2", "res3", "res4", "res5")
_LEVELS = ("p2", "p3", "p4", "p5", "p6")
_BOX_WEIGHTS = ((10.0, 10.0, 5.0, 5.0), (20.0, 20.0, 10.0, 10.0), (30.0, 30.0, 15.0, 15.0))
_COCO_PANOPTIC = {
    **COCO,
    "val_annotations": "annotations/panoptic_val2017.json",
    "train_annotations": "annotations/panoptic_train2017.json",
    "val_instances": "annotations/instances_val2017.json",
    "train_instances": "annotations/instances_train2017.json",
}
_MAX_TEXT = 2000


def content(values: Mapping[str, Any], metadata: Metadata, origin: str) -> Content:
    """Return the content of a recipe.

    Args:
        values: Values of a configuration, complete or not.
        metadata: Class names, where they are known.
        origin: Name of the configuration in messages.

    Raises:
        UsageError: The model is none of the family, or a value is not valid.
    """
    config = Section(decoded(values), origin)
    model = config.section("MODEL")
    kind = model.text("META_ARCHITECTURE", "GeneralizedRCNN")
    if kind not in ("GeneralizedRCNN", "PanopticFPN"):
        raise UsageError(f"{origin}: this is a {kind}; splitnest has no such head.")
    for key in ("KEYPOINT_ON", "LOAD_PROPOSALS"):
        model.only(key, False)
    network, num_classes = _detector(model, config)
    panoptic = _panoptic(model) if kind == "PanopticFPN" else None
    sets = config.section("DATASETS", {})
    datasets = (*sets.texts("TEST", ()), *sets.texts("TRAIN", ()))
    classes = detectron2_classes(names_of(metadata.classes, origin), datasets, num_classes, origin)
    data, notes = _data(classes, datasets, panoptic)
    fields: Fields = {
        "task": "panoptic" if panoptic else "instance" if network["mask_convs"] else "detection",
        "data": data,
        "model": network | ({"panoptic": panoptic["model"]} if panoptic else {}),
        "input": _input(model, config.section("INPUT", {})),
        "train": None,
    }
    try:
        fields["model"] |= losses(model)
        fields["train"] = {**training(config), "init_from": initial_weights(model.raw("WEIGHTS"))}
    except UsageError as error:
        notes = (*notes, f"training is not derived: {str(error).rstrip('.')}")
    return Content(fields, "detectron2", notes)


def decoded(value: Any, depth: int = 0) -> Any:
    """Return values with literals in texts evaluated as by yacs: ``"(640, 800)"`` is a tuple, ``"1e-3"`` a number."""
    if isinstance(value, dict) and depth < MAX_DEPTH:
        return {key: decoded(item, depth + 1) for key, item in value.items()}
    if not isinstance(value, str) or len(value) > _MAX_TEXT or not value.startswith(("(", "[", *"0123456789-.")):
        return value
    literals = Literals(value, {})
    try:
        for name, expression in assignments(parse(f"value = {value}", value), value):
            literals.assign(name, expression)
    except UsageError:
        return value
    return literals.values.get("value", value)


def norm(section: Section, default: str = "") -> str | None:
    """Return the name of a normalization layer; None for none."""
    name = section.text("NORM", default)
    if name not in _NORMS:
        raise section.error("NORM", f"splitnest has only {', '.join(_NORMS)}")
    return _NORMS[name]


def _detector(model: Section, config: Section) -> tuple[Fields, int]:
    fpn, heads = model.section("FPN", {}), model.section("ROI_HEADS", {})
    network = _backbone(model)
    fpn.only("IN_FEATURES", _STAGES)
    fpn.only("FUSE_TYPE", "sum")
    channels = fpn.integer("OUT_CHANNELS", 256)
    cascade = heads.text("NAME", "Res5ROIHeads") == "CascadeROIHeads"
    if not cascade and heads.raw("NAME") != "StandardROIHeads":
        raise heads.error("NAME", "splitnest has only StandardROIHeads and CascadeROIHeads")
    for key, value in (("IN_FEATURES", _LEVELS[:4]), ("IOU_THRESHOLDS", (0.5,)), ("IOU_LABELS", (0, 1))):
        heads.only(key, value)
    if "IN_FEATURES" not in heads:
        raise heads.error("IN_FEATURES", "splitnest has heads over p2 to p5 alone")
    tests = config.section("TEST", {})
    fields = {
        **{"backbone": network, "fpn_channels": channels, "fpn_norm": norm(fpn), "cascade": cascade},
        **_rpn(model.section("RPN", {}), model.section("ANCHOR_GENERATOR", {}), channels),
        **_box_head(model, cascade),
        **_mask_head(model),
        "score_threshold": heads.number("SCORE_THRESH_TEST", 0.05),
        "nms_threshold": heads.number("NMS_THRESH_TEST", 0.5),
        "max_detections": tests.integer("DETECTIONS_PER_IMAGE", 100),
    }
    return fields, heads.integer("NUM_CLASSES", 80)


def _backbone(model: Section) -> Fields:
    parent, net = model.section("BACKBONE", {}), model.section("RESNETS", {})
    name = parent.text("NAME", "build_resnet_backbone")
    if name not in _BACKBONES:
        raise UsageError(f"{parent.where}: the backbone is {name}; splitnest has no such backbone in detectors.")
    net.only("OUT_FEATURES", _STAGES)
    net.only("RES2_OUT_CHANNELS", 64 if net.integer("DEPTH", 50) in (18, 34) else 256)
    net.only("RES5_DILATION", 1)
    deformable = net.flags("DEFORM_ON_PER_STAGE", (False,) * 4, 4)
    fields: Fields = {
        "depth": net.integer("DEPTH", 50),
        "norm": norm(net, "FrozenBN"),
        "frozen_stages": parent.integer("FREEZE_AT", 2),
        "stride_in_1x1": net.flag("STRIDE_IN_1X1", True),
        "cardinality": net.integer("NUM_GROUPS", 1),
    }
    if fields["norm"] is None:
        raise net.error("NORM", "splitnest has no backbone without normalization")
    if fields["depth"] in (18, 34):
        fields["stride_in_1x1"] = False  # basic blocks have no 1x1 convolution
    fields |= _split_attention(net) if name == "build_resnest_fpn_backbone" else _plain(net)
    if any(deformable):
        fields["dcn_stages"] = tuple(stage for stage, used in enumerate(deformable, start=2) if used)
        fields["dcn_modulated"] = net.flag("DEFORM_MODULATED", False)
        fields["dcn_groups"] = net.integer("DEFORM_NUM_GROUPS", 1)
    return fields


def _plain(net: Section) -> Fields:
    net.only("STEM_OUT_CHANNELS", 64)
    return {
        **{"radix": 0, "stem": "7x7", "avg_down": False, "avd": False, "avd_in_dilated": False},
        "base_width": net.integer("WIDTH_PER_GROUP", 64),
    }


def _split_attention(net: Section) -> Fields:
    """Return what ResNeSt's wrapper of detectron2 adds; with radix 0 and 7x7 stem it builds plain ResNets too."""
    deep = net.flag("DEEP_STEM", False)
    return {
        "radix": net.integer("RADIX", 1),
        "stem": "3x3" if deep else "7x7",
        "stem_width": 32 if net.integer("DEPTH", 50) <= 50 else 64,  # the wrapper reads it from the depth
        "avg_down": net.flag("AVG_DOWN", False),
        "avd": net.flag("AVD", False),
        "avd_in_dilated": False,
        "base_width": net.integer("BOTTLENECK_WIDTH", 64),
    }


def _rpn(rpn: Section, anchors: Section, channels: int) -> Fields:
    rpn.only("HEAD_NAME", "StandardRPNHead")
    if rpn.texts("IN_FEATURES", ("res4",)) != _LEVELS:
        raise rpn.error("IN_FEATURES", "splitnest has an RPN over p2 to p6")
    rpn.only("BBOX_REG_WEIGHTS", (1.0, 1.0, 1.0, 1.0))
    widths = rpn.integers("CONV_DIMS", (-1,))
    if any(width not in (-1, channels) for width in widths):
        raise rpn.error("CONV_DIMS", f"splitnest has RPN convolutions of {channels} channels")
    anchors.only("NAME", "DefaultAnchorGenerator")
    anchors.only("OFFSET", 0.0)
    sizes, ratios = anchors.raw("SIZES", ()), anchors.raw("ASPECT_RATIOS", ((0.5, 1.0, 2.0),))
    sizes = sizes if isinstance(sizes, list | tuple) else ()
    flat = [size[0] for size in sizes if isinstance(size, list | tuple) and len(size) == 1]
    if len(flat) != 5 or len(sizes) != 5:
        raise anchors.error("SIZES", "splitnest has one anchor size for each of p2 to p6")
    if not isinstance(ratios, list | tuple) or len(ratios) != 1:
        raise anchors.error("ASPECT_RATIOS", "splitnest has the same ratios at each level")
    return {
        "rpn_convs": len(widths),
        "anchor_sizes": tuple(flat),
        "anchor_ratios": tuple(ratios[0]) if isinstance(ratios[0], list | tuple) else (),
        "rpn_pre_nms_topk_test": rpn.integer("PRE_NMS_TOPK_TEST", 6000),
        "rpn_post_nms_topk_test": rpn.integer("POST_NMS_TOPK_TEST", 1000),
        "rpn_nms_threshold": rpn.number("NMS_THRESH", 0.7),
    }


def _box_head(model: Section, cascade: bool) -> Fields:
    head, stages = model.section("ROI_BOX_HEAD", {}), model.section("ROI_BOX_CASCADE_HEAD", {})
    if head.text("NAME", "") != "FastRCNNConvFCHead":
        raise head.error("NAME", "splitnest has only FastRCNNConvFCHead")
    _pooler(head, 7)
    layers = (head.integer("NUM_CONV", 0), head.integer("NUM_FC", 0))
    if layers not in ((0, 2), (4, 1)):
        raise UsageError(
            f"{head.where}: the box head has {layers[0]} convolutions and {layers[1]} linear layers; splitnest has "
            f"0 and 2, or 4 and 1."
        )
    head.only("USE_SIGMOID_CE", False, problem="its class scores are not a softmax, which splitnest has")
    agnostic = head.flag("CLS_AGNOSTIC_BBOX_REG", False)
    if cascade:
        stages.only("IOUS", (0.5, 0.6, 0.7))
        if not agnostic:
            raise head.error("CLS_AGNOSTIC_BBOX_REG", "a cascade of detectron2 has True")
        weights = stages.raw("BBOX_REG_WEIGHTS", _BOX_WEIGHTS)
    else:
        weights = (head.numbers("BBOX_REG_WEIGHTS", _BOX_WEIGHTS[0], 4),)
    return {
        "box_head": "2fc" if layers == (0, 2) else "4conv1fc",
        "box_norm": norm(head) if layers == (4, 1) else None,
        "box_fc_channels": head.integer("FC_DIM", 1024),
        "box_conv_channels": head.integer("CONV_DIM", 256),
        "class_agnostic_boxes": None if agnostic == cascade else agnostic,
        "conventions": _conventions(weights, stages if cascade else head),
    }


def _conventions(weights: Any, section: Section) -> Any:
    """Return the conventions of detectron2, spelled out where the scale of box deltas differs."""
    try:
        stds = tuple(tuple(1 / float(weight) for weight in stage) for stage in weights)
    except (TypeError, ValueError, ZeroDivisionError):
        raise section.error("BBOX_REG_WEIGHTS", "give four numbers over 0 for each stage") from None
    stds = (*stds, *DETECTRON2.cascade_box_stds[len(stds) :])
    return (
        "detectron2" if stds == DETECTRON2.cascade_box_stds else {**DETECTRON2.model_dump(), "cascade_box_stds": stds}
    )


def _pooler(head: Section, size: int) -> None:
    if head.integer("POOLER_RESOLUTION", 14) != size:
        raise head.error("POOLER_RESOLUTION", f"splitnest has {size}")
    head.only("POOLER_TYPE", "ROIAlignV2")
    head.only("POOLER_SAMPLING_RATIO", 0)


def _mask_head(model: Section) -> Fields:
    if not model.flag("MASK_ON", False):
        return {"mask_convs": 0}
    head = model.section("ROI_MASK_HEAD", {})
    head.only("NAME", "MaskRCNNConvUpsampleHead")
    head.only("CLS_AGNOSTIC_MASK", False)
    _pooler(head, 14)
    if not (convs := head.integer("NUM_CONV", 0)):
        raise head.error("NUM_CONV", "splitnest has mask heads with convolutions")
    return {"mask_convs": convs, "mask_channels": head.integer("CONV_DIM", 256), "mask_norm": norm(head)}


def _panoptic(model: Section) -> Fields:
    """Return the section ``model.panoptic``, and the number of stuff classes."""
    head, merging = model.section("SEM_SEG_HEAD", {}), model.section("PANOPTIC_FPN", {})
    head.only("NAME", "SemSegFPNHead")
    head.only("IN_FEATURES", _LEVELS[:4])
    head.only("COMMON_STRIDE", 4)
    merging.only("INSTANCE_LOSS_WEIGHT", 1.0)
    combine = merging.section("COMBINE", {})
    combine.only("ENABLED", True)
    fields = {
        "channels": head.integer("CONVS_DIM", 128),
        "norm": norm(head, "GN"),
        "loss_weight": head.number("LOSS_WEIGHT", 1.0),
        "min_score": combine.number("INSTANCES_CONFIDENCE_THRESH", 0.5),
        "max_overlap": combine.number("OVERLAP_THRESH", 0.5),
        "min_stuff_area": combine.integer("STUFF_AREA_LIMIT", 4096),
    }
    return {"model": fields, "num_stuff": head.integer("NUM_CLASSES", 54) - 1}


def _input(model: Section, inputs: Section) -> Fields:
    return {
        "mean": model.numbers("PIXEL_MEAN", (103.53, 116.28, 123.675), 3),
        "std": model.numbers("PIXEL_STD", (1.0, 1.0, 1.0), 3),
        "channels": inputs.only("FORMAT", "BGR", "RGB"),
        "short_side": inputs.integer("MIN_SIZE_TEST", 800),
        "long_side": inputs.integer("MAX_SIZE_TEST", 1333),
        "resize": "pillow",
        "divisor": 32,
    }


def _data(classes: Classes, datasets: tuple[str, ...], panoptic: Fields | None) -> tuple[Fields, tuple[str, ...]]:
    notes = () if classes.note is None else (classes.note,)
    is_coco = any(name.startswith("coco_2017_") for name in datasets)
    if panoptic is None:
        return {"classes": classes.classes, **(COCO if is_coco and classes.classes == "coco" else {})}, notes
    count = panoptic["num_stuff"]
    if count == 53 and is_coco:
        return {"classes": classes.classes, "stuff": "coco_stuff", **_COCO_PANOPTIC}, notes
    names = tuple(f"stuff {number}" for number in range(1, count + 1))
    note = f"stuff classes: {count} without names; set data.stuff to their names in label order"
    return {"classes": classes.classes, "stuff": names}, (*notes, note)
