"""Mask R-CNN of mmdetection: what both generations of its configurations have in common."""

from typing import Any

STEPS = (4, 8, 16, 32, 64)


def _extractor(size: int) -> dict[str, Any]:
    return {
        "type": "SingleRoIExtractor",
        "roi_layer": {"type": "RoIAlign", "output_size": size, "sampling_ratio": 0},
        "out_channels": 256,
        "featmap_strides": list(STEPS[:4]),
    }


def _coder(stds: list[float]) -> dict[str, Any]:
    return {"type": "DeltaXYWHBBoxCoder", "target_means": [0.0, 0.0, 0.0, 0.0], "target_stds": stds}


def _assigner(iou: float, negative: float, low_quality: bool) -> dict[str, Any]:
    return {
        "type": "MaxIoUAssigner",
        **{"pos_iou_thr": iou, "neg_iou_thr": negative, "min_pos_iou": negative},
        **{"match_low_quality": low_quality, "ignore_iof_thr": -1},
    }


def _sampler(num: int, fraction: float, adds: bool) -> dict[str, Any]:
    return {
        "type": "RandomSampler",
        **{"num": num, "pos_fraction": fraction, "neg_pos_ub": -1, "add_gt_as_proposals": adds},
    }


def mask_rcnn(num_classes: int = 3) -> dict[str, Any]:
    """Return the section ``model`` of a Mask R-CNN, without what differs between the generations."""
    train = {"type": "CrossEntropyLoss", "use_sigmoid": True, "loss_weight": 1.0}
    softmax = {**train, "use_sigmoid": False}
    smooth = {"type": "L1Loss", "loss_weight": 1.0}
    return {
        "type": "MaskRCNN",
        "backbone": {
            **{"type": "ResNet", "depth": 50, "num_stages": 4, "out_indices": [0, 1, 2, 3], "frozen_stages": 1},
            **{"norm_cfg": {"type": "BN", "requires_grad": True}, "norm_eval": True, "style": "pytorch"},
            "init_cfg": {"type": "Pretrained", "checkpoint": "torchvision://resnet50"},
        },
        "neck": {"type": "FPN", "in_channels": [256, 512, 1024, 2048], "out_channels": 256, "num_outs": 5},
        "rpn_head": {
            **{"type": "RPNHead", "in_channels": 256, "feat_channels": 256},
            "anchor_generator": {
                **{"type": "AnchorGenerator", "scales": [8], "ratios": [0.5, 1.0, 2.0], "strides": list(STEPS)}
            },
            "bbox_coder": _coder([1.0, 1.0, 1.0, 1.0]),
            **{"loss_cls": train, "loss_bbox": smooth},
        },
        "roi_head": {
            "type": "StandardRoIHead",
            "bbox_roi_extractor": _extractor(7),
            "bbox_head": {
                **{"type": "Shared2FCBBoxHead", "in_channels": 256, "fc_out_channels": 1024, "roi_feat_size": 7},
                **{"num_classes": num_classes, "bbox_coder": _coder([0.1, 0.1, 0.2, 0.2])},
                **{"reg_class_agnostic": False, "loss_cls": softmax, "loss_bbox": smooth},
            },
            "mask_roi_extractor": _extractor(14),
            "mask_head": {
                **{"type": "FCNMaskHead", "num_convs": 4, "in_channels": 256, "conv_out_channels": 256},
                **{"num_classes": num_classes, "loss_mask": {"type": "CrossEntropyLoss", "use_mask": True}},
            },
        },
        "train_cfg": {
            "rpn": {
                **{"assigner": _assigner(0.7, 0.3, True), "sampler": _sampler(256, 0.5, False)},
                **{"allowed_border": -1, "pos_weight": -1, "debug": False},
            },
            "rpn_proposal": {
                **{"nms_pre": 2000, "max_per_img": 1000, "nms": {"type": "nms", "iou_threshold": 0.7}},
                "min_bbox_size": 0,
            },
            "rcnn": {
                **{"assigner": _assigner(0.5, 0.5, True), "sampler": _sampler(512, 0.25, True)},
                **{"mask_size": 28, "pos_weight": -1, "debug": False},
            },
        },
        "test_cfg": {
            "rpn": {
                **{"nms_pre": 1000, "max_per_img": 1000, "nms": {"type": "nms", "iou_threshold": 0.7}},
                "min_bbox_size": 0,
            },
            "rcnn": {
                **{"score_thr": 0.05, "nms": {"type": "nms", "iou_threshold": 0.5}, "max_per_img": 100},
                "mask_thr_binary": 0.5,
            },
        },
    }
