"""Recipes of recorded networks with ordinary backbones, from the upstream configuration that a recording holds."""

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import Any

import pytest

from helpers import oracle
from helpers.paths import RECORDINGS
from splitnest.recipe import DetectionRecipe, PoseRecipe, Recipe, SemanticRecipe

BASE = {"radix": 0, "avd": False, "avg_down": False, "stem": "7x7", "dcn_groups": 1}
NORMS = {"BN": "bn", "SyncBN": "sync_bn", "MMSyncBN": "sync_bn", "GN": "gn32", "FrozenBN": "frozen_bn", "": None}
HEADS = {"FCNHead": "fcn", "PSPHead": "psp", "ASPPHead": "aspp", "DepthwiseSeparableASPPHead": "separable_aspp"}


@cache
def names_of(*sources: str) -> list[str]:
    """Return the names of the recordings of these code bases that hold an upstream configuration."""
    stems = [file.stem for source in sources for file in sorted((RECORDINGS / source).glob("*.json"))]
    names = [stem for stem in stems if not stem.endswith((".train", ".e2e"))]
    return [name for name in names if "upstream_model" in oracle.recording(name)]


def marked(names: Iterable[str], quick: Collection[str]) -> list[Any]:
    """Return names as parameters of a test, of which only the quick ones run in ``make test``."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.parity) for name in names]


def recipe_of(name: str) -> Recipe:
    """Return the recipe of a recording; its training section is that of no published row."""
    record = oracle.recording(name)
    match name.rpartition(".")[2]:
        case "mmdet":
            return _mmdet(record)
        case "detectron2":
            return _detectron2(record)
        case "mmseg":
            return _mmseg(record)
        case _:
            return _mmpose(record)


def _norm(section: Mapping[str, Any]) -> str | None:
    return NORMS[section["norm_cfg"]["type"]] if "norm_cfg" in section else None


def _input(record: Mapping[str, Any]) -> dict[str, Any]:
    return {"mean": record["pixel_mean"], "std": record["pixel_std"], "channels": record["channel_order"]}


def _stages(flags: Iterable[bool]) -> tuple[int, ...]:
    return tuple(stage for stage, on in zip((2, 3, 4, 5), flags, strict=True) if on)


def _openmmlab_backbone(config: Mapping[str, Any]) -> dict[str, Any]:
    kind, norm = config["type"], _norm(config) or "bn"
    strides, dilations = config.get("strides", [1, 2, 2, 2]), config.get("dilations", [1, 1, 1, 1])
    section = {
        **BASE,
        "depth": config["depth"],
        "norm": norm,
        "output_stride": 4 * strides[1] * strides[2] * strides[3],
    }
    section |= {"dilations": dilations, "multi_grid": config.get("multi_grid")}
    section |= {"frozen_stages": config.get("frozen_stages", -1) + 1, "norm_eval": config.get("norm_eval", False)}
    section |= {"stride_in_1x1": config.get("style") == "caffe"}
    if kind == "ResNeXt":
        section |= {"cardinality": config.get("groups", 32), "base_width": config.get("base_width", 4)}
    if kind in ("ResNetV1c", "ResNetV1d"):
        section |= {"stem": "3x3", "avg_down": kind == "ResNetV1d"}
    if config.get("norm_cfg", {}).get("requires_grad") is False:
        section |= {"norm": "frozen_bn", "norm_eval": False}
    if dcn := config.get("dcn"):
        section |= {"dcn_modulated": dcn["type"] == "DCNv2", "dcn_groups": dcn["deform_groups"]}
        section |= {"dcn_stages": _stages(config["stage_with_dcn"])}
    for plugin in config.get("plugins", ()):
        section |= {"context_ratio": plugin["cfg"]["ratio"], "context_stages": _stages(plugin["stages"])}
    return section | {"weight_standardization": config.get("conv_cfg", {}).get("type") == "ConvWS"}


def _mmdet(record: Mapping[str, Any]) -> Recipe:
    model = record["upstream_model"]
    roi, rpn, test, train = model["roi_head"], model["rpn_head"], model["test_cfg"], model["train_cfg"]
    cascade, mask = roi["type"] == "CascadeRoIHead", roi.get("mask_head")
    box = roi["bbox_head"][0] if cascade else roi["bbox_head"]
    mask = mask[0] if isinstance(mask, list) else mask
    samples = train["rcnn"][0] if cascade else train["rcnn"]
    nms = test["rcnn"]["nms"]
    return DetectionRecipe.model_validate(
        {
            "task": "instance" if mask else "detection",
            "name": record["model"],
            "data": {"classes": record["classes"]},
            "input": _input(record) | dict(zip(("long_side", "short_side"), _scale(record), strict=True)),
            "model": {
                "backbone": _openmmlab_backbone(model["backbone"]),
                "conventions": "mmdet",
                "fpn_norm": _norm(model["neck"]),
                "box_norm": _norm(box),
                "mask_norm": _norm(mask) if mask else None,
                "box_head": {"Shared2FCBBoxHead": "2fc", "Shared4Conv1FCBBoxHead": "4conv1fc"}[box["type"]],
                "cascade": cascade,
                "class_agnostic_boxes": box["reg_class_agnostic"],
                "weight_standardization": "conv_cfg" in model["neck"],
                "mask_convs": mask["num_convs"] if mask else 0,
                "rpn_convs": rpn.get("num_convs", 1),
                "rpn_pre_nms_topk_test": test["rpn"]["nms_pre"],
                "rpn_post_nms_topk_test": test["rpn"]["max_per_img"],
                "rpn_nms_threshold": test["rpn"]["nms"]["iou_threshold"],
                "score_threshold": test["rcnn"]["score_thr"],
                "nms": "linear" if nms["type"] == "soft_nms" else "hard",
                "nms_threshold": nms["iou_threshold"],
                "max_detections": test["rcnn"]["max_per_img"],
                "rpn_post_nms_topk": train["rpn_proposal"]["max_per_img"],
                "roi_match_low_quality": samples["assigner"]["match_low_quality"],
                "rpn_ignore_crossing": train["rpn"]["allowed_border"] == 0,
                "rpn_box_beta": rpn["loss_bbox"].get("beta", 0),
                "box_beta": box["loss_bbox"].get("beta", 0),
            },
        }
    )


def _scale(record: Mapping[str, Any]) -> list[int]:
    return next(step["scale"] for step in record["test_pipeline"] if step["type"] == "Resize")


def _detectron2(record: Mapping[str, Any]) -> Recipe:
    model, given = record["upstream_model"]["MODEL"], record["upstream_model"]["INPUT"]
    net, box, mask, rpn = model["RESNETS"], model["ROI_BOX_HEAD"], model["ROI_MASK_HEAD"], model["RPN"]
    panoptic = model["META_ARCHITECTURE"] == "PanopticFPN"
    data = {"classes": record["classes"]}
    task = "instance" if model["MASK_ON"] else "detection"
    section = None
    if panoptic:
        task, data["stuff"] = "panoptic", record["stuff_classes"][1:]
        section = {"norm": NORMS[model["SEM_SEG_HEAD"]["NORM"]]}
    return DetectionRecipe.model_validate(
        {
            "task": task,
            "name": record["model"],
            "data": data,
            "input": {
                **_input(record),
                "resize": "pillow",
                "short_side": given["MIN_SIZE_TEST"],
                "long_side": given["MAX_SIZE_TEST"],
            },
            "model": {
                "backbone": {
                    **BASE,
                    "depth": net["DEPTH"],
                    "cardinality": net["NUM_GROUPS"],
                    "base_width": net["WIDTH_PER_GROUP"],
                    "stride_in_1x1": net["STRIDE_IN_1X1"],
                    "dcn_stages": _stages(net["DEFORM_ON_PER_STAGE"]),
                    "dcn_modulated": net["DEFORM_MODULATED"],
                    "norm": NORMS[net["NORM"]],
                    "frozen_stages": model["BACKBONE"]["FREEZE_AT"],
                },
                "conventions": "detectron2",
                "fpn_norm": NORMS[model["FPN"]["NORM"]],
                "box_norm": NORMS[box["NORM"]],
                "mask_norm": NORMS[mask["NORM"]],
                "box_head": "4conv1fc" if box["NUM_CONV"] else "2fc",
                "cascade": model["ROI_HEADS"]["NAME"] == "CascadeROIHeads",
                "mask_convs": mask["NUM_CONV"] if model["MASK_ON"] else 0,
                "panoptic": section,
                "rpn_post_nms_topk": rpn["POST_NMS_TOPK_TRAIN"],
                "score_threshold": model["ROI_HEADS"]["SCORE_THRESH_TEST"],
                "max_detections": len(oracle.results(record["model"])["scores"]),
            },
        }
    )


def _mmseg(record: Mapping[str, Any]) -> Recipe:
    model, windows = record["upstream_model"], record["test_cfg"]
    decode, auxiliary = model["decode_head"], model.get("auxiliary_head")
    section: dict[str, Any] = {}
    if isinstance(decode, list):
        auxiliary, decode = decode
        section = {"head": "ocr", "ocr_channels": decode["ocr_channels"]}
    long_side, short_side = _scale(record)
    return SemanticRecipe.model_validate(
        {
            "name": record["model"],
            "data": {"classes": record["classes"]},
            "input": {
                **_input(record),
                "long_side": long_side,
                "short_side": short_side,
                "window": windows.get("crop_size"),
                "stride": windows.get("stride"),
            },
            "model": {
                "backbone": _openmmlab_backbone(model["backbone"]),
                "head": HEADS.get(decode["type"]),
                "head_channels": decode["channels"],
                "auxiliary_channels": auxiliary["channels"],
                "fcn_dilation": auxiliary.get("dilation", 1),
                "aspp_dilations": decode.get("dilations", [1, 12, 24, 36])[1:],
                "c2_channels": decode.get("c1_channels", 48),
                "align_corners": decode["align_corners"],
                **section,
            },
        }
    )


def _mmpose(record: Mapping[str, Any]) -> Recipe:
    head, names = record["upstream_model"]["head"], record["keypoints"]
    width, height = record["codec"]["input_size"]
    flips = record["flip_indices"]
    pairs = [(names[i], names[j]) for i, j in enumerate(flips) if i < j and flips[j] == i]
    return PoseRecipe.model_validate(
        {
            "name": record["model"],
            "data": {
                "classes": ["object"],
                "keypoints": {
                    **{
                        "names": names,
                        "flip_pairs": pairs,
                        "sigmas": record["sigmas"] or [0.05] * len(names),
                        "skeleton": [],
                    },
                    **{"colors": [(0, 0, 0)] * len(names), "lower_body": []},
                },
            },
            "input": {
                **{**_input(record), "height": height, "width": width, "padding": record["padding"]},
                **{"udp": record["use_udp"], "shift_heatmap": record["test_cfg"]["shift_heatmap"]},
            },
            "model": {
                "backbone": _openmmlab_backbone(record["upstream_model"]["backbone"]),
                "deconv_channels": head.get("deconv_out_channels") or (256, 256, 256),
                "sigma": record["codec"]["sigma"],
                "codec": _codec(record["codec"]),
                "offsets": record["codec"].get("heatmap_type") == "combined",
            },
        }
    )


def _codec(codec: Mapping[str, Any]) -> str:
    return "udp" if codec["type"] == "UDPHeatmap" else "dark" if codec.get("unbiased") else "msra"
