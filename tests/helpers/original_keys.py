"""Keys and shapes of published checkpoints by the naming rules of their code bases, from upstream configurations.

Written from what the originals call their modules, without our key maps and recipes.
"""

from collections.abc import Mapping
from typing import Any

from helpers.hrnet_keys import Shapes, hrnet

Config = Mapping[str, Any]

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
NORM_NAMES = {"BN": "bn", "SyncBN": "bn", "MMSyncBN": "bn", "GN": "gn"}


def _layer(key: str, *weight: int, bias: bool = False) -> Shapes:
    """Return a convolution or a linear layer."""
    return {f"{key}.weight": list(weight)} | ({f"{key}.bias": [weight[0]]} if bias else {})


def _norm(key: str, channels: int, kind: str) -> Shapes:
    names = ["weight", "bias"] if kind == "GN" else ["weight", "bias", "running_mean", "running_var"]
    counter = {} if kind in ("GN", "FrozenBN") else {f"{key}.num_batches_tracked": []}
    return {f"{key}.{name}": [channels] for name in names} | counter


def _module(key: str, *weight: int, norm: str | None = None, name: str | None = None) -> Shapes:
    """Return a ConvModule of mmcv: a convolution ``conv`` with a norm ``bn`` or ``gn``, or with a bias."""
    if norm is None:
        return _layer(f"{key}.conv", *weight, bias=True)
    return _layer(f"{key}.conv", *weight) | _norm(f"{key}.{name or NORM_NAMES[norm]}", weight[0], norm)


def _kind(section: Config) -> str | None:
    return (section.get("norm_cfg") or {}).get("type")


def openmmlab_backbone(config: Config, framework: str) -> Shapes:
    """Return ResNet, ResNetV1c, ResNetV1d, ResNeXt or HRNet."""
    if config["type"] == "HRNet":
        return hrnet(config, framework)
    norm, depth = _kind(config) or "BN", config["depth"]
    short, deep = NORM_NAMES[norm], config["type"] in ("ResNetV1c", "ResNetV1d")
    shapes = {} if deep else _layer("backbone.conv1", 64, 3, 7, 7) | _norm(f"backbone.{short}1", 64, norm)
    for index, (before, channels) in enumerate(((3, 32), (32, 32), (32, 64)) if deep else ()):
        if framework == "mmpose":
            shapes |= _module(f"backbone.stem.{index}", channels, before, 3, 3, norm=norm)
        else:
            shapes |= _layer(f"backbone.stem.{3 * index}", channels, before, 3, 3)
            shapes |= _norm(f"backbone.stem.{3 * index + 1}", channels, norm)
    before, strides = 64, config.get("strides", (1, 2, 2, 2))
    for stage, count in enumerate(BLOCKS[depth]):
        planes = 64 * 2**stage
        for block in range(count):
            key = f"backbone.layer{stage + 1}.{block}"
            after = planes if depth in (18, 34) else 4 * planes
            make = _basic_block if depth in (18, 34) else _bottleneck
            shapes |= make(key, before, planes, config, stage, norm)
            stride = strides[stage] if block == 0 else 1
            if block == 0 and (stride != 1 or before != after):
                first = 1 if config["type"] == "ResNetV1d" and stride == 2 else 0
                shapes |= _layer(f"{key}.downsample.{first}", after, before, 1, 1)
                shapes |= _norm(f"{key}.downsample.{first + 1}", after, norm)
            before = after
    return shapes


def _basic_block(key: str, before: int, planes: int, _config: Config, _stage: int, norm: str) -> Shapes:
    shapes = _layer(f"{key}.conv1", planes, before, 3, 3) | _norm(f"{key}.{NORM_NAMES[norm]}1", planes, norm)
    return shapes | _layer(f"{key}.conv2", planes, planes, 3, 3) | _norm(f"{key}.{NORM_NAMES[norm]}2", planes, norm)


def _bottleneck(key: str, before: int, planes: int, config: Config, stage: int, norm: str) -> Shapes:
    short, groups, width = NORM_NAMES[norm], 1, planes
    if config["type"] == "ResNeXt":
        groups = config.get("groups", 32)
        width = planes * config.get("base_width", 4) // 64 * groups
    shapes = _layer(f"{key}.conv1", width, before, 1, 1) | _norm(f"{key}.{short}1", width, norm)
    shapes |= _layer(f"{key}.conv2", width, width // groups, 3, 3) | _norm(f"{key}.{short}2", width, norm)
    shapes |= _layer(f"{key}.conv3", 4 * planes, width, 1, 1) | _norm(f"{key}.{short}3", 4 * planes, norm)
    dcn = config.get("dcn")
    if dcn and config["stage_with_dcn"][stage]:
        channels = (27 if dcn["type"] == "DCNv2" else 18) * dcn.get("deform_groups", 1)
        shapes |= _layer(f"{key}.conv2.conv_offset", channels, width, 3, 3, bias=True)
    for plugin in config.get("plugins") or ():
        if plugin["stages"][stage]:
            shapes |= _context_block(f"{key}.context_block", 4 * planes, int(4 * planes * plugin["cfg"]["ratio"]))
    return shapes


def _context_block(key: str, channels: int, reduced: int) -> Shapes:
    shapes = _layer(f"{key}.conv_mask", 1, channels, 1, 1, bias=True)
    shapes |= _layer(f"{key}.channel_add_conv.0", reduced, channels, 1, 1, bias=True)
    shapes |= {f"{key}.channel_add_conv.1.{name}": [reduced, 1, 1] for name in ("weight", "bias")}
    return shapes | _layer(f"{key}.channel_add_conv.3", channels, reduced, 1, 1, bias=True)


def mmdet(model: Config) -> Shapes:
    """Return Faster, Mask or Cascade R-CNN with FPN of mmdetection."""
    shapes, neck, rpn, roi = openmmlab_backbone(model["backbone"], "mmdet"), model["neck"], model["rpn_head"], None
    if neck["type"] == "HRFPN":
        shapes |= _module("neck.reduction_conv", 256, sum(neck["in_channels"]), 1, 1)
        shapes |= {
            key: shape for n in range(5) for key, shape in _module(f"neck.fpn_convs.{n}", 256, 256, 3, 3).items()
        }
    for level, channels in enumerate(neck["in_channels"] if neck["type"] == "FPN" else ()):
        shapes |= _module(f"neck.lateral_convs.{level}", 256, channels, 1, 1, norm=_kind(neck))
        shapes |= _module(f"neck.fpn_convs.{level}", 256, 256, 3, 3, norm=_kind(neck))
    convs, anchors = rpn.get("num_convs", 1), len(rpn["anchor_generator"]["ratios"])
    for index in range(convs):
        key = "rpn_head.rpn_conv" + (f".{index}.conv" if convs > 1 else "")
        shapes |= _layer(key, 256, 256, 3, 3, bias=True)
    shapes |= _layer("rpn_head.rpn_cls", anchors, 256, 1, 1, bias=True)
    shapes |= _layer("rpn_head.rpn_reg", 4 * anchors, 256, 1, 1, bias=True)
    roi = model["roi_head"]
    for part, make in (("bbox_head", _box_head), ("mask_head", _mask_head)):
        heads, count = roi.get(part), len(roi["bbox_head"]) if isinstance(roi["bbox_head"], list) else None
        if heads is None:
            continue
        for index in range(count or 1):
            key = f"roi_head.{part}" + ("" if count is None else f".{index}")
            shapes |= make(key, heads[index] if isinstance(heads, list) else heads)
    return shapes


def _box_head(key: str, head: Config) -> Shapes:
    shapes: Shapes = {}
    before, fcs = 256 * 49, 2
    if head["type"] == "Shared4Conv1FCBBoxHead":
        fcs = 1
        for index in range(4):
            shapes |= _module(f"{key}.shared_convs.{index}", 256, 256, 3, 3, norm=_kind(head))
    for index in range(fcs):
        shapes |= _layer(f"{key}.shared_fcs.{index}", 1024, before, bias=True)
        before = 1024
    boxes = 4 if head["reg_class_agnostic"] else 4 * head["num_classes"]
    shapes |= _layer(f"{key}.fc_cls", head["num_classes"] + 1, 1024, bias=True)
    return shapes | _layer(f"{key}.fc_reg", boxes, 1024, bias=True)


def _mask_head(key: str, head: Config) -> Shapes:
    shapes: Shapes = {}
    for index in range(head["num_convs"]):
        shapes |= _module(f"{key}.convs.{index}", 256, 256, 3, 3, norm=_kind(head))
    shapes |= _layer(f"{key}.upsample", 256, 256, 2, 2, bias=True)
    return shapes | _layer(f"{key}.conv_logits", head["num_classes"], 256, 1, 1, bias=True)


def mmseg(model: Config) -> Shapes:
    """Return a segmentor of mmsegmentation."""
    shapes = openmmlab_backbone(model["backbone"], "mmseg")
    heads = {"auxiliary_head": model.get("auxiliary_head"), "decode_head": model["decode_head"]}
    if isinstance(model["decode_head"], list):
        heads = {f"decode_head.{index}": head for index, head in enumerate(model["decode_head"])}
    for key, head in heads.items():
        if head is not None:
            classes = _layer("conv_seg", head["num_classes"], head["channels"], 1, 1, bias=True)
            parts = DECODE_HEADS[head["type"]](head) | classes
            shapes |= {f"{key}.{name}": shape for name, shape in parts.items()}
    return shapes


def _width(head: Config) -> int:
    """Return the number of channels of a head's input, which may be several levels."""
    width = head["in_channels"]
    return sum(width) if isinstance(width, list) else width


def _fcn(head: Config) -> Shapes:
    shapes, before, channels = {}, _width(head), head["channels"]
    size = head.get("kernel_size", 3)
    for index in range(head.get("num_convs", 2)):
        shapes |= _module(f"convs.{index}", channels, channels if index else before, size, size, norm="BN")
    if head.get("concat_input", True):
        shapes |= _module("conv_cat", channels, before + channels, size, size, norm="BN")
    return shapes


def _psp(head: Config) -> Shapes:
    shapes, before, channels = {}, head["in_channels"], head["channels"]
    scales = head.get("pool_scales", (1, 2, 3, 6))
    for index in range(len(scales)):
        shapes |= _module(f"psp_modules.{index}.1", channels, before, 1, 1, norm="BN")
    return shapes | _module("bottleneck", channels, before + len(scales) * channels, 3, 3, norm="BN")


def _aspp(head: Config, *, separable: bool = False) -> Shapes:
    before, channels = head["in_channels"], head["channels"]
    shapes = _module("image_pool.1", channels, before, 1, 1, norm="BN")
    for index, dilation in enumerate(head["dilations"]):
        size = 1 if dilation == 1 else 3
        make = _separable if separable and size == 3 else _dense
        shapes |= make(f"aspp_modules.{index}", channels, before, size)
    return shapes | _module("bottleneck", channels, (len(head["dilations"]) + 1) * channels, 3, 3, norm="BN")


def _dense(key: str, channels: int, before: int, size: int) -> Shapes:
    return _module(key, channels, before, size, size, norm="BN")


def _separable(key: str, channels: int, before: int, size: int) -> Shapes:
    shapes = _module(f"{key}.depthwise_conv", before, 1, size, size, norm="BN")
    return shapes | _module(f"{key}.pointwise_conv", channels, before, 1, 1, norm="BN")


def _separable_aspp(head: Config) -> Shapes:
    shapes, channels, low = _aspp(head, separable=True), head["channels"], head["c1_channels"]
    shapes |= _module("c1_bottleneck", low, head["c1_in_channels"], 1, 1, norm="BN")
    shapes |= _separable("sep_bottleneck.0", channels, channels + low, 3)
    return shapes | _separable("sep_bottleneck.1", channels, channels, 3)


def _ocr(head: Config) -> Shapes:
    channels, inner = head["channels"], head["ocr_channels"]
    shapes, block = _module("bottleneck", channels, _width(head), 3, 3, norm="BN"), "object_context_block"
    for name in ("query_project", "key_project"):
        shapes |= _module(f"{block}.{name}.0", inner, channels, 1, 1, norm="BN")
        shapes |= _module(f"{block}.{name}.1", inner, inner, 1, 1, norm="BN")
    shapes |= _module(f"{block}.value_project", inner, channels, 1, 1, norm="BN")
    shapes |= _module(f"{block}.out_project", channels, inner, 1, 1, norm="BN")
    return shapes | _module(f"{block}.bottleneck", channels, 2 * channels, 1, 1, norm="BN")


DECODE_HEADS = {
    **{"FCNHead": _fcn, "PSPHead": _psp, "ASPPHead": _aspp, "DepthwiseSeparableASPPHead": _separable_aspp},
    "OCRHead": _ocr,
}


def mmpose(model: Config, *, old: bool = False) -> Shapes:
    """Return a top-down estimator of mmpose; an old file has ``keypoint_head`` instead of ``head``."""
    shapes, head, before = openmmlab_backbone(model["backbone"], "mmpose"), model["head"], model["head"]["in_channels"]
    key = "keypoint_head" if old else "head"
    for index, channels in enumerate(head.get("deconv_out_channels", (256, 256, 256)) or ()):
        shapes[f"{key}.deconv_layers.{3 * index}.weight"] = [before, channels, 4, 4]
        shapes |= _norm(f"{key}.deconv_layers.{3 * index + 1}", channels, "BN")
        before = channels
    for channels in head.get("conv_out_channels", ()):  # one at most
        first, norm = ("final_layer.0", "final_layer.1") if old else ("conv_layers.0", "conv_layers.1")
        shapes |= _layer(f"{key}.{first}", channels, before, 1, 1, bias=True) | _norm(f"{key}.{norm}", channels, "BN")
        before = channels
    last = "final_layer.3" if old and head.get("conv_out_channels") else "final_layer"
    return shapes | _layer(f"{key}.{last}", head["out_channels"], before, 1, 1, bias=True)


def detectron2(model: Config) -> Shapes:
    """Return a detector or Panoptic FPN of detectron2."""
    roi, box, mask = model["ROI_HEADS"], model["ROI_BOX_HEAD"], model["ROI_MASK_HEAD"]
    shapes = _bottom_up(model["RESNETS"])
    for stage in (2, 3, 4, 5):
        shapes |= _conv(f"backbone.fpn_lateral{stage}", 256, 64 * 2**stage, 1, 1, norm=model["FPN"]["NORM"])
        shapes |= _conv(f"backbone.fpn_output{stage}", 256, 256, 3, 3, norm=model["FPN"]["NORM"])
    anchors = len(model["ANCHOR_GENERATOR"]["ASPECT_RATIOS"][0])
    for name, *weight in (("conv", 256, 256, 3, 3), ("objectness_logits", anchors, 256, 1, 1)):
        shapes |= _layer(f"proposal_generator.rpn_head.{name}", *weight, bias=True)
    shapes |= _layer("proposal_generator.rpn_head.anchor_deltas", 4 * anchors, 256, 1, 1, bias=True)
    cascade, classes = roi["NAME"] == "CascadeROIHeads", roi["NUM_CLASSES"]
    for suffix in (".0", ".1", ".2") if cascade else ("",):
        for index in range(box["NUM_CONV"]):
            shapes |= _conv(f"roi_heads.box_head{suffix}.conv{index + 1}", 256, 256, 3, 3, norm=box["NORM"])
        for index in range(box["NUM_FC"]):
            shapes |= _layer(f"roi_heads.box_head{suffix}.fc{index + 1}", 1024, 1024 if index else 256 * 49, bias=True)
        boxes = 4 if box["CLS_AGNOSTIC_BBOX_REG"] else 4 * classes
        shapes |= _layer(f"roi_heads.box_predictor{suffix}.cls_score", classes + 1, 1024, bias=True)
        shapes |= _layer(f"roi_heads.box_predictor{suffix}.bbox_pred", boxes, 1024, bias=True)
    for index in range(mask["NUM_CONV"] if model["MASK_ON"] else 0):
        shapes |= _conv(f"roi_heads.mask_head.mask_fcn{index + 1}", 256, 256, 3, 3, norm=mask["NORM"])
    if model["MASK_ON"]:
        shapes |= _layer("roi_heads.mask_head.deconv", 256, 256, 2, 2, bias=True)
        shapes |= _layer("roi_heads.mask_head.predictor", classes, 256, 1, 1, bias=True)
    return shapes | (_semantic(model["SEM_SEG_HEAD"]) if model["META_ARCHITECTURE"] == "PanopticFPN" else {})


def _conv(key: str, *weight: int, norm: str) -> Shapes:
    """Return a convolution of detectron2 with its norm inside, or with a bias."""
    return _layer(key, *weight, bias=not norm) | (_norm(f"{key}.norm", weight[0], norm) if norm else {})


def _bottom_up(net: Config) -> Shapes:
    norm, before = net["NORM"], 64
    shapes = _conv("backbone.bottom_up.stem.conv1", 64, 3, 7, 7, norm=norm)
    for stage, count in enumerate(BLOCKS[net["DEPTH"]]):
        width, after = net["NUM_GROUPS"] * net["WIDTH_PER_GROUP"] * 2**stage, 256 * 2**stage
        for block in range(count):
            key = f"backbone.bottom_up.res{stage + 2}.{block}"
            if block == 0:
                shapes |= _conv(f"{key}.shortcut", after, before, 1, 1, norm=norm)
            shapes |= _conv(f"{key}.conv1", width, before, 1, 1, norm=norm)
            shapes |= _conv(f"{key}.conv2", width, width // net["NUM_GROUPS"], 3, 3, norm=norm)
            shapes |= _conv(f"{key}.conv3", after, width, 1, 1, norm=norm)
            if net["DEFORM_ON_PER_STAGE"][stage]:
                channels = (27 if net["DEFORM_MODULATED"] else 18) * net["DEFORM_NUM_GROUPS"]
                shapes |= _layer(f"{key}.conv2_offset", channels, width, 3, 3, bias=True)
            before = after
    return shapes


def _semantic(head: Config) -> Shapes:
    shapes: Shapes = {}
    for level, count in ((2, 1), (3, 1), (4, 2), (5, 3)):
        for index in range(count):
            before = head["CONVS_DIM"] if index else 256
            shapes |= _conv(f"sem_seg_head.p{level}.{2 * index}", head["CONVS_DIM"], before, 3, 3, norm=head["NORM"])
    return shapes | _layer("sem_seg_head.predictor", head["NUM_CLASSES"], head["CONVS_DIM"], 1, 1, bias=True)


def of_row(framework: str, model: Config, url: str = "") -> Shapes:
    """Return keys and shapes of a row's published file; those of mmpose 0 have another folder."""
    match framework:
        case "mmdet":
            return mmdet(model)
        case "mmseg":
            return mmseg(model)
        case "mmpose":
            return mmpose(model, old="/mmpose/v1/" not in url and bool(url))
        case _:
            return detectron2(model)
