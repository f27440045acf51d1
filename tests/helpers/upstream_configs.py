"""Configurations of the four code bases as their users write them, in both generations of OpenMMLab."""

from collections.abc import Callable
from typing import Any

from helpers.mmdet_mask_rcnn import mask_rcnn

RGB = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}
CLASSES = ("apple", "fig", "plum")


def mmdet3(num_classes: int = 3) -> dict[str, Any]:
    """Return a resolved configuration of mmdetection 3."""
    model = mask_rcnn(num_classes)
    model["data_preprocessor"] = {
        **{"type": "DetDataPreprocessor", **RGB, "bgr_to_rgb": True, "pad_mask": True, "pad_size_divisor": 32}
    }
    dataset = {"type": "CocoDataset", "data_root": "data/fruit/", "metainfo": {"classes": list(CLASSES)}}
    return {
        "default_scope": "mmdet",
        "model": model,
        "train_pipeline": [
            {"type": "LoadImageFromFile", "backend_args": None},
            {"type": "LoadAnnotations", "with_bbox": True, "with_mask": True},
            {"type": "Resize", "scale": (1333, 800), "keep_ratio": True},
            {"type": "RandomFlip", "prob": 0.5},
            {"type": "PackDetInputs"},
        ],
        "test_pipeline": [
            {"type": "LoadImageFromFile", "backend_args": None},
            {"type": "Resize", "scale": (1333, 800), "keep_ratio": True},
            {"type": "LoadAnnotations", "with_bbox": True, "with_mask": True},
            {"type": "PackDetInputs", "meta_keys": ("img_id", "img_path", "ori_shape")},
        ],
        "train_dataloader": {
            **{"batch_size": 2, "num_workers": 2, "sampler": {"type": "DefaultSampler", "shuffle": True}},
            "batch_sampler": {"type": "AspectRatioBatchSampler"},
            "dataset": {
                **dataset,
                **{"ann_file": "train.json", "data_prefix": {"img": "train/"}},
                "filter_cfg": {"filter_empty_gt": True, "min_size": 32},
            },
        },
        "test_dataloader": {
            "batch_size": 1,
            "dataset": {**dataset, "ann_file": "val.json", "data_prefix": {"img": "val/"}, "test_mode": True},
        },
        "optim_wrapper": {
            "type": "OptimWrapper",
            "optimizer": {"type": "SGD", "lr": 0.02, "momentum": 0.9, "weight_decay": 0.0001},
        },
        "param_scheduler": [
            {"type": "LinearLR", "start_factor": 0.001, "by_epoch": False, "begin": 0, "end": 500},
            {"type": "MultiStepLR", "begin": 0, "end": 12, "by_epoch": True, "milestones": [8, 11], "gamma": 0.1},
        ],
        "train_cfg": {"type": "EpochBasedTrainLoop", "max_epochs": 12, "val_interval": 1},
        "auto_scale_lr": {"enable": False, "base_batch_size": 16},
    }


def mmdet2(num_classes: int = 3) -> dict[str, Any]:
    """Return the same as a resolved configuration of mmdetection 2."""
    normalize = {"type": "Normalize", **RGB, "to_rgb": True}
    dataset = {"type": "CocoDataset", "classes": CLASSES}
    train_pipeline = [
        {"type": "LoadImageFromFile"},
        {"type": "LoadAnnotations", "with_bbox": True, "with_mask": True},
        {"type": "Resize", "img_scale": (1333, 800), "keep_ratio": True},
        {"type": "RandomFlip", "flip_ratio": 0.5},
        normalize,
        {"type": "Pad", "size_divisor": 32},
        {"type": "DefaultFormatBundle"},
        {"type": "Collect", "keys": ["img", "gt_bboxes", "gt_labels", "gt_masks"]},
    ]
    test_pipeline = [
        {"type": "LoadImageFromFile"},
        {
            **{"type": "MultiScaleFlipAug", "img_scale": (1333, 800), "flip": False},
            "transforms": [
                {"type": "Resize", "keep_ratio": True},
                {"type": "RandomFlip"},
                normalize,
                {"type": "Pad", "size_divisor": 32},
                {"type": "ImageToTensor", "keys": ["img"]},
                {"type": "Collect", "keys": ["img"]},
            ],
        },
    ]
    paths = {
        split: {"ann_file": f"data/fruit/{split}.json", "img_prefix": f"data/fruit/{split}/"}
        for split in ("train", "val")
    }
    root = {"data_root": "data/fruit/"}
    return {
        "model": mask_rcnn(num_classes),
        "data": {
            **{"samples_per_gpu": 2, "workers_per_gpu": 2},
            "train": {**dataset, **root, **paths["train"], "pipeline": train_pipeline},
            "val": {**dataset, **root, **paths["val"], "pipeline": test_pipeline},
            "test": {**dataset, **root, **paths["val"], "pipeline": test_pipeline},
        },
        "evaluation": {"interval": 1, "metric": ["bbox", "segm"]},
        "optimizer": {"type": "SGD", "lr": 0.02, "momentum": 0.9, "weight_decay": 0.0001},
        "optimizer_config": {"grad_clip": None},
        "lr_config": {
            **{"policy": "step", "warmup": "linear", "warmup_iters": 500, "warmup_ratio": 0.001, "step": [8, 11]}
        },
        "runner": {"type": "EpochBasedRunner", "max_epochs": 12},
        "checkpoint_config": {"interval": 1},
        "log_config": {"interval": 50, "hooks": [{"type": "TextLoggerHook"}]},
    }


def pspnet(num_classes: int = 3, depth: int = 18) -> dict[str, Any]:
    """Return the section ``model`` of a PSPNet, without what differs between the generations."""
    norm = {"type": "SyncBN", "requires_grad": True}
    wide = 512 if depth < 50 else 2048
    loss = {"type": "CrossEntropyLoss", "use_sigmoid": False}
    head = {"dropout_ratio": 0.1, "num_classes": num_classes, "norm_cfg": norm, "align_corners": False}
    return {
        "type": "EncoderDecoder",
        "pretrained": "open-mmlab://resnet18_v1c",
        "backbone": {
            **{"type": "ResNetV1c", "depth": depth, "num_stages": 4, "out_indices": (0, 1, 2, 3)},
            **{"dilations": (1, 1, 2, 4), "strides": (1, 2, 1, 1), "norm_cfg": norm, "norm_eval": False},
            **{"style": "pytorch", "contract_dilation": True},
        },
        "decode_head": {
            **{"type": "PSPHead", "in_channels": wide, "in_index": 3, "channels": 128, "pool_scales": (1, 2, 3, 6)},
            **head,
            "loss_decode": {**loss, "loss_weight": 1.0},
        },
        "auxiliary_head": {
            **{"type": "FCNHead", "in_channels": wide // 2, "in_index": 2, "channels": 64, "num_convs": 1},
            **{"concat_input": False, **head},
            "loss_decode": {**loss, "loss_weight": 0.4},
        },
        "train_cfg": {},
        "test_cfg": {"mode": "slide", "crop_size": (96, 96), "stride": (64, 64)},
    }


def mmseg1(num_classes: int = 3) -> dict[str, Any]:
    """Return a resolved configuration of mmsegmentation 1."""
    model = pspnet(num_classes)
    model["data_preprocessor"] = {"type": "SegDataPreProcessor", **RGB, "bgr_to_rgb": True, "size": (96, 96)}
    model["data_preprocessor"] |= {"pad_val": 0, "seg_pad_val": 255}
    return {
        "model": model,
        "train_pipeline": [
            {"type": "LoadImageFromFile"},
            {"type": "LoadAnnotations"},
            {"type": "RandomResize", "scale": (256, 128), "ratio_range": (0.5, 2.0), "keep_ratio": True},
            {"type": "RandomCrop", "crop_size": (96, 96), "cat_max_ratio": 0.75},
            {"type": "RandomFlip", "prob": 0.5},
            {"type": "PhotoMetricDistortion"},
            {"type": "PackSegInputs"},
        ],
        "test_pipeline": [
            {"type": "LoadImageFromFile"},
            {"type": "Resize", "scale": (256, 128), "keep_ratio": True},
            {"type": "LoadAnnotations"},
            {"type": "PackSegInputs"},
        ],
        "train_dataloader": {"batch_size": 4, "dataset": {"type": "BaseSegDataset"}},
        "test_dataloader": {"batch_size": 1, "dataset": {"type": "BaseSegDataset"}},
        "optim_wrapper": {
            **{"type": "OptimWrapper", "clip_grad": None},
            "optimizer": {"type": "SGD", "lr": 0.01, "momentum": 0.9, "weight_decay": 0.0005},
        },
        "param_scheduler": [
            {"type": "PolyLR", "eta_min": 0.0001, "power": 0.9, "begin": 0, "end": 40000, "by_epoch": False}
        ],
        "train_cfg": {"type": "IterBasedTrainLoop", "max_iters": 40000, "val_interval": 4000},
    }


def mmseg0(num_classes: int = 3) -> dict[str, Any]:
    """Return the same as a resolved configuration of mmsegmentation 0."""
    normalize = {"type": "Normalize", **RGB, "to_rgb": True}
    train = [
        {"type": "LoadImageFromFile"},
        {"type": "LoadAnnotations"},
        {"type": "Resize", "img_scale": (256, 128), "ratio_range": (0.5, 2.0)},
        {"type": "RandomCrop", "crop_size": (96, 96), "cat_max_ratio": 0.75},
        {"type": "RandomFlip", "prob": 0.5},
        {"type": "PhotoMetricDistortion"},
        normalize,
        {"type": "Pad", "size": (96, 96), "pad_val": 0, "seg_pad_val": 255},
        {"type": "DefaultFormatBundle"},
        {"type": "Collect", "keys": ["img", "gt_semantic_seg"]},
    ]
    test = [
        {"type": "LoadImageFromFile"},
        {
            **{"type": "MultiScaleFlipAug", "img_scale": (256, 128), "flip": False},
            "transforms": [
                {"type": "Resize", "keep_ratio": True},
                {"type": "RandomFlip"},
                normalize,
                {"type": "ImageToTensor", "keys": ["img"]},
                {"type": "Collect", "keys": ["img"]},
            ],
        },
    ]
    return {
        "model": pspnet(num_classes),
        "data": {
            "samples_per_gpu": 4,
            "train": {"type": "CustomDataset", "pipeline": train},
            "test": {"type": "CustomDataset", "pipeline": test},
        },
        "optimizer": {"type": "SGD", "lr": 0.01, "momentum": 0.9, "weight_decay": 0.0005},
        "optimizer_config": {},
        "lr_config": {"policy": "poly", "power": 0.9, "min_lr": 0.0001, "by_epoch": False},
        "runner": {"type": "IterBasedRunner", "max_iters": 40000},
        "evaluation": {"interval": 4000, "metric": "mIoU"},
    }


def mmpose1(num_keypoints: int = 17) -> dict[str, Any]:
    """Return a resolved configuration of mmpose 1."""
    codec = {"type": "MSRAHeatmap", "input_size": (192, 256), "heatmap_size": (48, 64), "sigma": 2}
    return {
        "codec": codec,
        "model": {
            "type": "TopdownPoseEstimator",
            "data_preprocessor": {"type": "PoseDataPreprocessor", **RGB, "bgr_to_rgb": True},
            "backbone": {"type": "ResNet", "depth": 50, "init_cfg": {"checkpoint": "torchvision://resnet50"}},
            "head": {
                **{"type": "HeatmapHead", "in_channels": 2048, "out_channels": num_keypoints, "decoder": codec},
                "loss": {"type": "KeypointMSELoss", "use_target_weight": True},
            },
            "test_cfg": {"flip_test": True, "flip_mode": "heatmap", "shift_heatmap": True},
        },
        "test_pipeline": [
            {"type": "LoadImage"},
            {"type": "GetBBoxCenterScale"},
            {"type": "TopdownAffine", "input_size": (192, 256)},
            {"type": "PackPoseInputs"},
        ],
        "test_dataloader": {"batch_size": 32, "dataset": {"type": "CocoDataset"}},
    }


def mmpose0(num_keypoints: int = 17) -> dict[str, Any]:
    """Return the same as a resolved configuration of mmpose 0."""
    size = [192, 256]
    return {
        "model": {
            "type": "TopDown",
            "pretrained": "torchvision://resnet50",
            "backbone": {"type": "ResNet", "depth": 50},
            "keypoint_head": {
                **{"type": "TopdownHeatmapSimpleHead", "in_channels": 2048, "out_channels": num_keypoints},
                "loss_keypoint": {"type": "JointsMSELoss", "use_target_weight": True},
            },
            "train_cfg": {},
            "test_cfg": {
                **{"flip_test": True, "post_process": "default", "shift_heatmap": True, "modulate_kernel": 11}
            },
        },
        "data_cfg": {"image_size": size, "heatmap_size": [48, 64], "num_joints": num_keypoints},
        "data": {
            "samples_per_gpu": 64,
            "train": {
                "type": "TopDownCocoDataset",
                "pipeline": [
                    {"type": "LoadImageFromFile"},
                    {"type": "TopDownGetRandomScaleRotation", "rot_factor": 40, "scale_factor": 0.5},
                    {"type": "TopDownGenerateTarget", "sigma": 2},
                ],
            },
            "test": {
                "type": "TopDownCocoDataset",
                "pipeline": [
                    {"type": "LoadImageFromFile"},
                    {"type": "TopDownGetBboxCenterScale", "padding": 1.25},
                    {"type": "TopDownAffine"},
                    {"type": "ToTensor"},
                    {"type": "NormalizeTensor", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
                    {"type": "Collect", "keys": ["img"]},
                ],
            },
        },
    }


def detectron2(num_classes: int = 3) -> dict[str, Any]:
    """Return what a user's configuration of detectron2 sets beside its defaults (Base-RCNN-FPN)."""
    return {
        "MODEL": {
            "META_ARCHITECTURE": "GeneralizedRCNN",
            "MASK_ON": True,
            "WEIGHTS": "detectron2://ImageNetPretrained/MSRA/R-50.pkl",
            "BACKBONE": {"NAME": "build_resnet_fpn_backbone"},
            "RESNETS": {"OUT_FEATURES": ["res2", "res3", "res4", "res5"], "DEPTH": 50},
            "FPN": {"IN_FEATURES": ["res2", "res3", "res4", "res5"]},
            "ANCHOR_GENERATOR": {"SIZES": [[32], [64], [128], [256], [512]], "ASPECT_RATIOS": [[0.5, 1.0, 2.0]]},
            "RPN": {
                **{"IN_FEATURES": ["p2", "p3", "p4", "p5", "p6"], "PRE_NMS_TOPK_TRAIN": 2000},
                **{"PRE_NMS_TOPK_TEST": 1000, "POST_NMS_TOPK_TRAIN": 1000, "POST_NMS_TOPK_TEST": 1000},
            },
            "ROI_HEADS": {
                **{"NAME": "StandardROIHeads", "IN_FEATURES": ["p2", "p3", "p4", "p5"], "NUM_CLASSES": num_classes}
            },
            "ROI_BOX_HEAD": {"NAME": "FastRCNNConvFCHead", "NUM_FC": 2, "POOLER_RESOLUTION": 7},
            "ROI_MASK_HEAD": {"NAME": "MaskRCNNConvUpsampleHead", "NUM_CONV": 4, "POOLER_RESOLUTION": 14},
        },
        "DATASETS": {"TRAIN": "('fruit_train',)", "TEST": ["fruit_val"]},
        "SOLVER": {"IMS_PER_BATCH": 16, "BASE_LR": 0.02, "STEPS": "(60000, 80000)", "MAX_ITER": 90000},
        "INPUT": {"MIN_SIZE_TRAIN": "(640, 672, 704, 736, 768, 800)"},
        "VERSION": 2,
    }


ALL: dict[str, Callable[[], dict[str, Any]]] = {
    "mmdet 3": mmdet3,
    "mmdet 2": mmdet2,
    "mmseg 1": mmseg1,
    "mmseg 0": mmseg0,
    "mmpose 1": mmpose1,
    "mmpose 0": mmpose0,
    "detectron2": detectron2,
}
"""Name of a code base and its generation -> its configuration."""
