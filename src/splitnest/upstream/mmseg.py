"""Segmentors of mmsegmentation: sections ``model`` and ``input`` of a recipe."""

from typing import Any

from splitnest.errors import UsageError
from splitnest.upstream.backbone import backbone, conv, norm, widths
from splitnest.upstream.pipeline import resize, statistics, steps
from splitnest.upstream.section import Section, shown

SEGMENTORS = ("EncoderDecoder", "CascadeEncoderDecoder")

_HEADS = {"FCNHead": "fcn", "PSPHead": "psp", "ASPPHead": "aspp", "DepthwiseSeparableASPPHead": "separable_aspp"}


def segmentor(model: Section) -> tuple[dict[str, Any], int]:
    """Return the section ``model`` of a recipe, and the number of classes.

    Raises:
        UsageError: The segmentor has a part that splitnest has not.
    """
    network = backbone(model.section("backbone"), "mmseg")
    channels = widths(network)
    if "neck" in model:
        raise model.error("neck", "splitnest has no neck in segmentors")
    if model.only("type", *SEGMENTORS) == "CascadeEncoderDecoder":
        fields, num_classes = _cascade(model, channels)
    else:
        fields, num_classes = _head(model.section("decode_head"), channels)
        fields |= _auxiliary(model, fields, channels, num_classes)
    model.skip("train_cfg", "test_cfg", "data_preprocessor", "init_cfg", "pretrained")
    model.close()
    return {"backbone": network, **fields}, num_classes


def semantic_input(model: Section, preprocessor: Section, pipeline: list[Section], where: str) -> dict[str, Any]:
    """Return the section ``input`` of a recipe."""
    fields = statistics(preprocessor)
    if "test_cfg" in preprocessor:
        raise preprocessor.error("test_cfg", "splitnest does not pad images of a segmentor")
    preprocessor.skip("type", "pad_val", "seg_pad_val", "size", "size_divisor", "batch_augments", "non_blocking")
    preprocessor.close()
    short_side, long_side = resize(steps(pipeline, "Resize").get("Resize"), where)
    return {**fields, "short_side": short_side, "long_side": long_side, **_window(model.section("test_cfg"))}


def _window(cfg: Section) -> dict[str, Any]:
    if cfg.only("mode", "whole", "slide") == "whole":
        cfg.skip("crop_size", "stride", "logits")
        cfg.close()
        return {}
    fields = {"window": cfg.integers("crop_size", length=2), "stride": cfg.integers("stride", length=2)}
    cfg.close()
    return fields


def _common(head: Section) -> dict[str, Any]:
    """Return what all heads have, and check what splitnest has in one form."""
    loss = head.raw("loss_decode", {})
    losses = loss if isinstance(loss, list | tuple) else [loss]
    if any(isinstance(one, dict) and one.get("use_sigmoid") for one in losses):
        raise head.error("loss_decode", "its class scores are not a softmax, which splitnest has")
    num_classes = head.integer("num_classes")
    if head.integer("out_channels", num_classes) != num_classes:
        raise head.error("out_channels", "splitnest has one output for each class")
    if conv(head) != "Conv2d":
        raise head.error("conv_cfg", "splitnest has plain convolutions in segmentation heads")
    activation = head.section("act_cfg", {"type": "ReLU"})
    activation.only("type", "ReLU")
    if head.section("norm_cfg", None) is None:
        raise UsageError(f"{head.where}: there is no norm_cfg; splitnest normalizes the heads of segmentors.")
    head.skip("sampler", "ignore_index", "init_cfg", "threshold", "type", "loss_decode")
    return {
        "num_classes": num_classes,
        "head_channels": head.integer("channels"),
        "norm": norm(head.section("norm_cfg")),
        "dropout": max(head.number("dropout_ratio", 0.1), 0.0),
        "align_corners": head.flag("align_corners", False),
    }


def _head(head: Section, channels: tuple[int, ...]) -> tuple[dict[str, Any], int]:
    kind = head.text("type")
    if kind not in _HEADS:
        raise UsageError(f"{head.where}: this is a {kind}; splitnest has no such head.")
    fields = {"head": _HEADS[kind], **_common(head)}
    fields["all_levels"] = _takes_all_levels(head, channels, 3)
    match _HEADS[kind]:
        case "fcn" if fields["all_levels"]:
            _check_one_by_one(head)
        case "fcn":
            fields["fcn_dilation"] = head.integer("dilation", 1)
            for key, value in (("num_convs", 2), ("concat_input", True), ("kernel_size", 3)):
                head.only(key, value)
        case "psp":
            head.only("pool_scales", (1, 2, 3, 6))
        case _:
            dilations = head.integers("dilations", (1, 6, 12, 18))
            if len(dilations) < 2 or dilations[0] != 1:
                raise head.error("dilations", "splitnest has ASPP with a first dilation of 1")
            fields["aspp_dilations"] = dilations[1:]
    if _HEADS[kind] == "separable_aspp":
        head.only("c1_in_channels", channels[0])
        fields["c2_channels"] = head.integer("c1_channels")
    head.close()
    num_classes: int = fields.pop("num_classes")
    return fields, num_classes


def _auxiliary(model: Section, fields: dict[str, Any], channels: tuple[int, ...], num_classes: int) -> dict[str, Any]:
    """Return the channels of the auxiliary head, which must agree with the decode head in everything else."""
    if "auxiliary_head" not in model:
        return {"auxiliary_channels": None}
    if model.is_list("auxiliary_head"):
        raise model.error("auxiliary_head", "splitnest has one auxiliary head")
    head = model.section("auxiliary_head")
    if head.text("type") != "FCNHead":
        raise UsageError(f"{head.where}: this is a {head.raw('type')}; splitnest has only an FCNHead there.")
    expected = {key: fields[key] for key in ("norm", "align_corners")} | {"num_classes": num_classes}
    own = _common(head)
    if _takes_all_levels(head, channels, 2):
        raise head.error("input_transform", "splitnest has an auxiliary head of one level")
    if fields["all_levels"]:
        raise UsageError(f"{head.where}: the decode head takes all levels; splitnest has auxiliary heads that do too.")
    _check_single_convolution(head)
    expected["fcn_dilation"] = fields.get("fcn_dilation", 1)
    own["fcn_dilation"] = head.integer("dilation", 1)
    for key, value in expected.items():
        if own[key] != value:
            raise UsageError(f"{head.where}: {key} is {shown(own[key])} here and {shown(value)} in the decode head.")
    head.close()
    return {"auxiliary_channels": own["head_channels"]}


def _takes_all_levels(head: Section, channels: tuple[int, ...], index: int) -> bool:
    """Return whether a head takes all levels, resized and concatenated; otherwise it must take one of them.

    Args:
        head: Section of the head.
        channels: Number of channels of c2 to c5.
        index: Index of the level that the head may take alone.
    """
    if head.only("input_transform", None, "resize_concat") is None:
        head.only("in_channels", channels[index])
        head.only("in_index", index, index - len(channels))
        return False
    head.only("in_channels", channels)
    head.only("in_index", tuple(range(len(channels))))
    return True


def _check_one_by_one(head: Section) -> None:
    """Raise a UsageError if an FCN head over all levels does not consist of one 1x1 convolution."""
    for key, value, default in (("kernel_size", 1, 3), ("num_convs", 1, 2), ("concat_input", False, True)):
        if head.raw(key, default) != value:
            raise head.error(key, f"splitnest has {key} {value} in a head over all levels")
    head.only("dilation", 1)


def _check_single_convolution(head: Section) -> None:
    """Raise a UsageError if an FCN head does not consist of one 3x3 convolution; upstream's default has two."""
    head.only("kernel_size", 3)
    if head.integer("num_convs", 2) != 1:
        raise head.error("num_convs", "splitnest has one convolution in this head")
    if head.flag("concat_input", True):
        raise head.error("concat_input", "splitnest does not concatenate the input in this head")


def _cascade(model: Section, channels: tuple[int, ...]) -> tuple[dict[str, Any], int]:
    """Return the fields of OCRNet, whose first head predicts the regions of the second one."""
    heads = model.sections("decode_head")
    if len(heads) != 2 or model.integer("num_stages", 2) != 2 or heads[1].text("type") != "OCRHead":
        raise model.error("decode_head", "splitnest has cascades of an FCNHead and an OCRHead alone")
    if "auxiliary_head" in model:
        raise model.error("auxiliary_head", "splitnest has none beside a cascade of heads")
    first, second = heads
    if first.text("type") != "FCNHead":
        raise UsageError(f"{first.where}: this is a {first.raw('type')}; splitnest has only an FCNHead there.")
    regions, fields = _common(first), {"head": "ocr", **_common(second)}
    fields["all_levels"] = _takes_all_levels(first, channels, 2)
    first.only("dilation", 1)
    (_check_one_by_one if fields["all_levels"] else _check_single_convolution)(first)
    if _takes_all_levels(second, channels, 3) != fields["all_levels"]:
        raise second.error("input_transform", "splitnest has the same levels in both heads")
    second.only("scale", 1)
    for key in ("num_classes", "norm", "align_corners"):
        if regions[key] != fields[key]:
            raise UsageError(f"{first.where}: {key} differs from that of the second head.")
    fields |= {"auxiliary_channels": regions["head_channels"], "ocr_channels": second.integer("ocr_channels", 256)}
    first.close()
    second.close()
    num_classes: int = fields.pop("num_classes")
    return fields, num_classes
