"""Small models of each family."""

from typing import Any

import numpy as np
import torch

import splitnest
from splitnest.models.base import Model
from splitnest.models.detection.box_head import BoxHead
from splitnest.models.detection.panoptic_fpn import PanopticFPN
from splitnest.models.detection.rcnn import RCNN

PANOPTIC = "panoptic_fpn_resnest200_3x_coco.detectron2"
SMALL = {"model.backbone.depth": 14, "model.backbone.planes": 16, "model.backbone.base_width": 64}
CLASSIFIER = {**SMALL, "input.size": 64}
DETECTOR = {
    **SMALL,
    "model.fpn_channels": 16,
    "model.box_conv_channels": 16,
    "model.box_fc_channels": 32,
    "input.short_side": 32,
}
SEGMENTOR = {**SMALL, "model.head_channels": 16, "model.auxiliary_channels": 8, "input.short_side": 48}
FAMILIES = {
    "resnest50_imagenet.official": CLASSIFIER,
    "resnest50_fast_4s2x40d_imagenet.official": {
        **CLASSIFIER,
        "model.backbone.base_width": 40,
        "model.backbone.planes": 32,
    },
    "faster_rcnn_resnest50_fpn_1x_coco.mmdet": DETECTOR,
    "mask_rcnn_resnest50_fpn_1x_coco.mmdet": {**DETECTOR, "model.mask_channels": 16},
    "mask_rcnn_resnest50_fpn_1x_coco.detectron2": {**DETECTOR, "model.mask_channels": 16},
    # With its standard deviation of 1, pixels are so large that untrained scores are all 1.
    "faster_rcnn_resnet50_fpn_1x_coco.detectron2": {**DETECTOR, "input.std": [57.0, 57.0, 57.0]},
    "faster_rcnn_resnest50_dcn_fpn_1x_coco.detectron2": DETECTOR,
    "cascade_mask_rcnn_resnest50_fpn_1x_coco.mmdet": {**DETECTOR, "model.mask_channels": 16},
    "cascade_rcnn_resnest50_fpn_1x_coco.detectron2": DETECTOR,
    PANOPTIC: {
        **DETECTOR,
        "model.mask_channels": 16,
        "model.panoptic.channels": 8,
        "model.panoptic.min_stuff_area": 1,
    },
    "fcn_resnest101_d8_ade20k.mmseg": SEGMENTOR,
    "pspnet_resnest101_d8_cityscapes.mmseg": SEGMENTOR,
    "deeplabv3_resnest101_d8_ade20k.mmseg": SEGMENTOR,
    "deeplabv3plus_resnest101_d8_cityscapes.mmseg": SEGMENTOR,
    "simplebaseline_resnest50_256x192_coco.mmpose": {
        **SMALL,
        "model.deconv_channels": [16, 16, 16],
        "input.height": 64,
        "input.width": 64,
    },
}
"""Name of a published model -> overrides that make it small."""

_HRNET = {"hrnet": 8, "num_blocks": [1, 1, 1, 1], "num_modules": [1, 1, 1]}
PLAIN = {"model.backbone.radix": 0, "model.backbone.avd": False, "model.backbone.avg_down": False}
"""Changes that make a ResNeSt a ResNet, which is traced in less time."""

VARIANTS = {
    "GN, weight standardization, DCNv1, context blocks": (
        "mask_rcnn_resnest50_fpn_1x_coco.mmdet",
        {
            **DETECTOR,
            **PLAIN,
            "model.mask_channels": 16,
            "model.weight_standardization": True,
            "model.rpn_convs": 2,
            **{f"model.{part}_norm": "gn32" for part in ("fpn", "box", "mask")},
            "model.backbone": {
                **{"stem": "7x7", "norm": "gn32", "weight_standardization": True, "stride_in_1x1": True},
                **{"dcn_stages": [3, 4, 5], "dcn_modulated": False, "dcn_groups": 1},
                **{"context_stages": [4, 5], "context_ratio": 0.25},
            },
        },
    ),
    "ResNeXt, DCNv2, class-specific cascade": (
        "cascade_rcnn_resnest50_fpn_1x_coco.mmdet",
        {
            **DETECTOR,
            **PLAIN,
            "model.box_head": "2fc",
            "model.class_agnostic_boxes": False,
            "model.backbone": {
                **{"stem": "7x7", "cardinality": 4, "base_width": 16},
                **{"dcn_stages": [4, 5], "dcn_groups": 4, "context_stages": [3]},
            },
        },
    ),
    "ResNet-18, OCRNet, align_corners, stride 16": (
        "fcn_resnest101_d8_ade20k.mmseg",
        {
            **SEGMENTOR,
            **PLAIN,
            "model.head": "ocr",
            "model.ocr_channels": 8,
            "model.align_corners": True,
            "model.backbone.depth": 18,
            "model.backbone.output_stride": 16,
            "model.fcn_dilation": 2,
        },
    ),
    "multi-grid, DeepLabV3+, align_corners": (
        "deeplabv3plus_resnest101_d8_cityscapes.mmseg",
        {
            **SEGMENTOR,
            **PLAIN,
            "model.align_corners": True,
            "model.aspp_dilations": [2, 3],
            "model.c2_channels": 12,
            "model.backbone": {
                **{"depth": 50, "multi_grid": [1, 2, 4], "stem_width": 8},
            },
        },
    ),
    "HRNet, HRFPN": (
        "mask_rcnn_resnest50_fpn_1x_coco.mmdet",
        {
            **{"model.backbone": _HRNET, "model.neck": "hrfpn", "model.fpn_channels": 16, "model.mask_channels": 16},
            **{"model.box_head": "2fc", "model.box_fc_channels": 32, "input.short_side": 32},
        },
    ),
    "HRNet, FCN on all levels": (
        "fcn_resnest101_d8_ade20k.mmseg",
        {
            **{"model.backbone": {**_HRNET, "upsampling": "bilinear"}, "model.all_levels": True},
            **{"model.head_channels": 120, "model.auxiliary_channels": None, "input.short_side": 48},
        },
    ),
}
"""Parts that no published ResNeSt has -> published model, and overrides that make it small and give it these parts."""

DETECTORS = [name for name in FAMILIES if "rcnn" in name]


def load_small(name: str, **options: Any) -> splitnest.Predictor:
    """Return the small model of a family or variant with random weights, on the CPU."""
    row, overrides = VARIANTS.get(name) or (name, FAMILIES[name])
    return splitnest.load(row, weights=None, device="cpu", overrides=overrides, **options)


def random_image(height: int, width: int) -> np.ndarray:
    """Return uint8 RGB noise ``[height, width, 3]``, always the same for one size."""
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def whole_image_boxes(predictor: splitnest.Predictor, images: list[np.ndarray]) -> dict[str, Any]:
    """Return options for ``predict`` that give a pose estimator each image as one person; none for other models."""
    if predictor.recipe.task != "pose":
        return {}
    return {"boxes_xywh": [np.array([[0, 0, image.shape[1], image.shape[0]]]) for image in images]}


def detector_of(module: Model) -> RCNN:
    """Return a detector, or the detector of a panoptic model."""
    detector = module.detector if isinstance(module, PanopticFPN) else module
    assert isinstance(detector, RCNN)
    return detector


@torch.no_grad()
def randomize_norms(predictor: splitnest.Predictor) -> splitnest.Predictor:
    """Give the normalization layers of a network statistics, scales and shifts other than their initial ones."""
    torch.manual_seed(1)
    for key, tensor in predictor.module.state_dict().items():
        if key.endswith(("running_var", "norm.weight")):
            tensor.uniform_(0.5, 1.5)
        elif key.endswith(("running_mean", "norm.bias")):
            tensor.normal_(0, 0.2)
    return predictor


def randomize_detections(module: Model, logits_std: float) -> None:
    """Give the last layers of a detector weights with which it makes many different detections."""
    detector = detector_of(module)
    for layer, std in ((detector.rpn.logits, 0.5), (detector.rpn.deltas, 0.05)):
        torch.nn.init.normal_(layer.weight, std=std)
    last_head = detector.roi_heads.box_heads[-1]
    assert isinstance(last_head, BoxHead)
    torch.nn.init.normal_(last_head.logits.weight, std=logits_std)
