"""Recipes of upstream configurations: published rows, both generations, single facts, refusals."""

import copy
import json
from typing import Any

import pytest

from helpers import upstream_configs
from helpers.upstream import configuration, derived
from helpers.upstream_configs import CLASSES
from helpers.upstream_rows import python_text
from splitnest import zoo
from splitnest.errors import UsageError
from splitnest.upstream.derive import derive
from splitnest.upstream.files import read_text
from splitnest.zoo.published import PUBLISHED


def with_value(config: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """Return a configuration with a value at a dotted key, whose parts may be numbers of items."""
    changed = copy.deepcopy(config)
    *path, last = (int(part) if part.isdecimal() else part for part in key.split("."))
    inner: Any = changed
    for part in path:
        inner = inner[part]
    inner[last] = value
    return changed


def test_empty_configuration_is_an_error() -> None:
    with pytest.raises(UsageError, match="config: there is no model"):
        derived({})
    with pytest.raises(UsageError, match=r"config: there is no model\.type"):
        derived({"model": {}})


@pytest.mark.parametrize(
    ("newer", "older", "classes"),
    [("mmdet 3", "mmdet 2", None), ("mmseg 1", "mmseg 0", CLASSES), ("mmpose 1", "mmpose 0", None)],
)
def test_both_generations_give_one_recipe(newer: str, older: str, classes: Any) -> None:
    new, old = (derived(upstream_configs.ALL[key](), classes) for key in (newer, older))
    assert old.recipe.model_copy(update={"train": None}) == new.recipe.model_copy(update={"train": None})
    if new.recipe.task != "pose":  # the augmentation of mmpose 0 has another distribution
        assert new.recipe.train is not None
        assert old.recipe.train == new.recipe.train


@pytest.mark.parametrize("name", [n for n in PUBLISHED if n.rpartition(".")[2] not in ("official", "timm")])
def test_configurations_of_resnest_give_its_rows(name: str) -> None:
    config = configuration(name)
    row, found = zoo.get(name), derive(config, name, name).recipe
    assert found.model == row.model
    assert found.input == row.input
    assert found.data.model_copy(update={"val_detections": None}) == row.data.model_copy(
        update={"val_detections": None}
    )
    weights = {"init_from": None}
    if name == "simplebaseline_resnest269_256x192_coco.mmpose":  # 8 GPUs of 32 by its name, 512 by auto_scale_lr
        weights["batch_size"] = 256
    assert found.train.model_copy(update=weights) == row.train.model_copy(update=weights)


def test_detector_of_a_user() -> None:
    found = derived(upstream_configs.mmdet3())
    recipe = found.recipe
    assert (found.framework, recipe.task, recipe.data.classes, recipe.name) == ("mmdet", "instance", CLASSES, "mine")
    assert recipe.data.val_annotations == "val.json"
    assert recipe.data.train_images == "train"
    assert (recipe.train.epochs, recipe.train.batch_size, recipe.train.short_sides) == (12, 16, (800,))
    assert recipe.train.init_from == "https://download.pytorch.org/models/resnet50-0676ba61.pth"
    assert derived(upstream_configs.mmdet3(), ["a", "b", "c"]).recipe.data.classes == ("a", "b", "c")
    with pytest.raises(UsageError, match="the network has 3 classes, and 2 names are given"):
        derived(upstream_configs.mmdet3(), ["a", "b"])
    unnamed = upstream_configs.mmdet3()
    del unnamed["test_dataloader"]["dataset"]["metainfo"]
    found = derived(unnamed)
    assert found.recipe.data.classes == ("class 1", "class 2", "class 3")
    assert "without names" in found.notes[0]
    assert derived(upstream_configs.mmdet3(80), zoo_names("coco")).recipe.data.classes == "coco"


def zoo_names(table: str) -> tuple[str, ...]:
    from splitnest.structures.class_tables import class_table

    return class_table(table).names


def test_detectron2_has_its_defaults() -> None:
    recipe = derived(upstream_configs.detectron2()).recipe
    assert recipe.model.backbone.norm == "frozen_bn"
    assert recipe.model.backbone.stride_in_1x1
    assert (recipe.train.schedule.milestones, recipe.train.warmup_iterations) == ((60_000, 80_000), 1000)
    assert recipe.train.short_sides == (640, 672, 704, 736, 768, 800)
    assert (recipe.input.channels, recipe.input.std) == ("BGR", (1.0, 1.0, 1.0))
    assert recipe.train.init_from == "https://dl.fbaipublicfiles.com/detectron2/ImageNetPretrained/MSRA/R-50.pkl"


def decoded(kind: str, **fields: Any) -> dict[str, Any]:
    """Return a box head of mmdetection whose loss is one of decoded boxes."""
    head = upstream_configs.mmdet3()["model"]["roi_head"]["bbox_head"]
    return {**head, "reg_decoded_bbox": True, "loss_bbox": {"type": kind, "loss_weight": 10.0, **fields}}


def balanced() -> dict[str, Any]:
    """Return the training set of mmdetection with repeat-factor sampling."""
    dataset = upstream_configs.mmdet3()["train_dataloader"]["dataset"]
    return {"type": "ClassBalancedDataset", "oversample_thr": 1e-3, "dataset": dataset}


REPEATING = {"SAMPLER_TRAIN": "RepeatFactorTrainingSampler", "REPEAT_THRESHOLD": 0.001}

FACTS = [
    ("mmdet 3", "model.test_cfg.rcnn.score_thr", 0.0001, "model.score_threshold", 0.0001),
    ("mmdet 3", "model.test_cfg.rcnn.max_per_img", 300, "model.max_detections", 300),
    ("mmdet 3", "model.test_cfg.rcnn.nms.iou_threshold", 0.6, "model.nms_threshold", 0.6),
    ("mmdet 3", "model.test_cfg.rcnn.nms", {"type": "soft_nms", "iou_threshold": 0.5}, "model.nms", "linear"),
    (
        "mmdet 3",
        "model.test_cfg.rcnn.nms",
        {"type": "soft_nms", "method": "gaussian", "sigma": 0.3, "min_score": 0.01},
        "model.soft_nms_sigma",
        0.3,
    ),
    ("mmdet 3", "model.test_cfg.rpn.nms_pre", 2000, "model.rpn_pre_nms_topk_test", 2000),
    ("mmdet 3", "model.test_cfg.rpn.max_per_img", 300, "model.rpn_post_nms_topk_test", 300),
    ("mmdet 3", "model.test_cfg.rpn.nms.iou_threshold", 0.85, "model.rpn_nms_threshold", 0.85),
    ("mmdet 3", "model.rpn_head.anchor_generator.scales", [4], "model.anchor_sizes", (16.0, 32.0, 64.0, 128.0, 256.0)),
    ("mmdet 3", "model.rpn_head.anchor_generator.ratios", [1.0], "model.anchor_ratios", (1.0,)),
    ("mmdet 3", "model.rpn_head.num_convs", 2, "model.rpn_convs", 2),
    ("mmdet 3", "model.backbone.style", "caffe", "model.backbone.stride_in_1x1", True),
    ("mmdet 3", "model.backbone.norm_cfg.requires_grad", False, "model.backbone.norm", "frozen_bn"),
    ("mmdet 3", "model.backbone.frozen_stages", -1, "model.backbone.frozen_stages", 0),
    ("mmdet 3", "model.neck.norm_cfg", {"type": "GN", "num_groups": 32}, "model.fpn_norm", "gn32"),
    ("mmdet 3", "model.roi_head.bbox_head.reg_class_agnostic", True, "model.class_agnostic_boxes", True),
    ("mmdet 3", "model.data_preprocessor.bgr_to_rgb", False, "input.channels", "BGR"),
    ("mmdet 3", "model.data_preprocessor.pad_size_divisor", 64, "input.divisor", 64),
    ("mmdet 3", "test_pipeline.1.scale", [600, 1000], "input.short_side", 600),
    ("mmdet 3", "model.train_cfg.rpn.allowed_border", 0, "model.rpn_ignore_crossing", True),
    ("mmdet 3", "optim_wrapper.clip_grad", {"max_norm": 35, "norm_type": 2}, "train.clip_grad_norm", 35.0),
    ("mmdet 3", "model.roi_head.bbox_head", decoded("GIoULoss"), "model.box_loss", "giou"),
    ("mmdet 3", "model.roi_head.bbox_head", decoded("BoundedIoULoss"), "model.box_loss_weight", 10.0),
    ("mmdet 3", "model.roi_head.bbox_head", decoded("CIoULoss") | {"reg_decoded_bbox": False}, "train", None),
    ("mmdet 3", "model.roi_head.bbox_head", decoded("IoULoss", mode="linear"), "train", None),
    ("mmdet 3", "model.train_cfg.rpn_proposal.nms.iou_threshold", 0.85, "train", None),
    ("mmdet 3", "train_dataloader.dataset", balanced(), "train.repeat_threshold", 0.001),
    ("mmdet 3", "train_dataloader.dataset", balanced(), "train.repeat_rounding", "up"),
    ("mmdet 3", "train_dataloader.sampler", {"type": "ClassAwareSampler"}, "train.class_aware_samples", 1),
    (
        "mmdet 3",
        "train_dataloader.sampler",
        {"type": "ClassAwareSampler", "num_sample_class": 4},
        "train.class_aware_samples",
        4,
    ),
    ("mmdet 3", "train_dataloader.sampler", {"type": "MultiSourceSampler"}, "train", None),
    (
        "mmdet 3",
        "optim_wrapper.paramwise_cfg",
        {"custom_keys": {"backbone": {"lr_mult": 0.1}}},
        "train.backbone_lr",
        0.1,
    ),
    ("mmdet 3", "optim_wrapper.paramwise_cfg", {"custom_keys": {"neck": {"lr_mult": 0.1}}}, "train", None),
    ("mmdet 2", "total_epochs", 24, "train.epochs", 12),
    ("mmseg 1", "model.decode_head.dropout_ratio", 0.3, "model.dropout", 0.3),
    ("mmseg 1", "model.test_cfg.stride", [48, 48], "input.stride", (48, 48)),
    ("mmseg 1", "model.test_cfg", {"mode": "whole"}, "input.window", None),
    ("mmseg 1", "model.backbone.multi_grid", [1, 2, 4], None, "basic blocks"),
    ("mmpose 1", "test_pipeline.1.padding", 0.8, "input.padding", 0.8),
    ("mmpose 1", "model.test_cfg.flip_test", False, "input.flip_test", False),
    ("mmpose 1", "model.test_cfg.shift_heatmap", False, "input.shift_heatmap", False),
    ("mmpose 1", "model.head.decoder.sigma", 3, "model.sigma", 3.0),
    ("mmpose 1", "model.head.decoder.unbiased", True, "model.codec", "dark"),
    ("mmpose 1", "model.head.decoder.type", "UDPHeatmap", "model.codec", "udp"),
    ("mmpose 1", "test_pipeline.2.use_udp", True, "input.udp", True),
    ("mmpose 1", "model.head.loss.type", "AdaptiveWingLoss", "model.loss", "adaptive_wing"),
    ("mmpose 1", "model.head.loss.type", "KeypointOHKMMSELoss", "train", None),
    ("mmpose 1", "model.head.loss.use_target_weight", False, "train", None),
    ("mmpose 1", "val_evaluator", {"type": "CocoMetric", "ann_file": "val.json"}, "evaluation", None),
    ("mmpose 1", "val_evaluator", {"type": "CocoMetric", "use_area": False}, "evaluation.area", "box"),
    (
        "mmpose 1",
        "val_evaluator",
        {"type": "CocoMetric", "iou_type": "keypoints_crowd"},
        "evaluation.type",
        "crowdpose",
    ),
    ("mmpose 1", "val_evaluator", [{"type": "PCKAccuracy", "thr": 0.2}, {"type": "EPE"}], "evaluation.auc", False),
    ("mmpose 1", "val_evaluator", [{"type": "PCKAccuracy"}, {"type": "AUC"}], "evaluation.threshold", 0.05),
    ("mmpose 1", "val_evaluator", {"type": "MpiiPCKAccuracy"}, "evaluation.threshold", 0.5),
    ("mmpose 1", "val_evaluator", {"type": "PoseTrack18Metric"}, "evaluation", None),
    ("mmpose 1", "val_evaluator", {"type": "CocoMetric", "use_area": "no"}, "evaluation", None),
    (
        "mmpose 1",
        "test_evaluator",
        {"type": "NME", "norm_mode": "keypoint_distance", "keypoint_indices": [1, 2]},
        "evaluation.normalize",
        ("left_eye", "right_eye"),
    ),
    (
        "mmpose 1",
        "val_evaluator",
        {"type": "NME", "norm_mode": "use_norm_item", "norm_item": "bbox_size"},
        "evaluation.normalize",
        "box",
    ),
    ("mmpose 0", "evaluation", {"interval": 10, "metric": "mAP"}, "evaluation", None),
    ("mmpose 0", "evaluation", {"metric": ["PCK", "AUC", "EPE"]}, "evaluation.epe", True),
    ("mmpose 0", "evaluation", {"metric": ["NME"]}, "evaluation.type", "nme"),
    ("mmpose 0", "model.test_cfg.post_process", "unbiased", "model.codec", "dark"),
    ("mmpose 0", "model.test_cfg.use_udp", True, "model.codec", "udp"),
    ("mmpose 0", "model.test_cfg.modulate_kernel", 17, "model.blur_kernel", 11),
    ("detectron2", "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "1e-4", "model.score_threshold", 0.0001),
    ("detectron2", "TEST", {"DETECTIONS_PER_IMAGE": 300}, "model.max_detections", 300),
    ("detectron2", "MODEL.PIXEL_STD", "[57.375, 57.12, 58.395]", "input.std", (57.375, 57.12, 58.395)),
    ("detectron2", "INPUT.FORMAT", "RGB", "input.channels", "RGB"),
    ("detectron2", "MODEL.RESNETS.NORM", "GN", "model.backbone.norm", "gn32"),
    (
        "detectron2",
        "MODEL.RESNETS.DEFORM_ON_PER_STAGE",
        [False, True, True, True],
        "model.backbone.dcn_stages",
        (3, 4, 5),
    ),
    ("detectron2", "MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE", "giou", "model.box_loss", "giou"),
    ("detectron2", "MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE", "ciou", "train", None),
    ("detectron2", "MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_WEIGHT", 2.0, "model.box_loss_weight", 2.0),
    ("detectron2", "DATALOADER", REPEATING, "train.repeat_threshold", 0.001),
    ("detectron2", "DATALOADER", REPEATING | {"REPEAT_SQRT": False}, "train", None),
    ("detectron2", "MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS", [1.0, 1.0, 1.0, 1.0], None, None),
]


@pytest.mark.parametrize(("config", "key", "value", "field", "expected"), FACTS, ids=lambda value: str(value)[:40])
def test_each_fact_becomes_a_field(config: str, key: str, value: Any, field: str | None, expected: Any) -> None:
    changed = with_value(upstream_configs.ALL[config](), key, value)
    classes = CLASSES if config.startswith("mmseg") else None
    if field is None and expected is not None:
        with pytest.raises(UsageError, match=expected):
            derived(changed, classes)
        return
    recipe = derived(changed, classes).recipe
    if field is None:
        assert recipe.model.conventions.cascade_box_stds[0] == (1.0, 1.0, 1.0, 1.0)
        return
    found: Any = recipe
    for part in field.split("."):
        found = getattr(found, part)
    assert found == expected


def test_prime_sample_attention_and_dynamic_rcnn() -> None:
    config = upstream_configs.mmdet3()
    rcnn = config["model"]["train_cfg"]["rcnn"]
    rcnn |= {"isr": {"k": 2, "bias": 0}, "carl": {"k": 1, "bias": 0.2}}
    rcnn["sampler"] |= {"type": "ScoreHLRSampler", "k": 0.5, "bias": 0.1}
    config["model"]["roi_head"]["type"] = "PISARoIHead"
    found = derived(config)
    assert found.recipe.train is not None
    assert found.recipe.model.pisa is not None
    assert (found.recipe.model.pisa.negative_bias, found.recipe.model.pisa.carl_bias) == (0.1, 0.2)
    del rcnn["carl"]
    assert "there is no model.train_cfg.rcnn[0].carl" in derived(config).notes[-1]
    config = upstream_configs.mmdet3()
    rules = {"iou_topk": 50, "beta_topk": 10, "update_iter_interval": 200, "initial_iou": 0.4, "initial_beta": 1.0}
    config["model"]["train_cfg"]["rcnn"]["dynamic_rcnn"] = rules
    config["model"]["roi_head"]["type"] = "DynamicRoIHead"
    dynamic = derived(config).recipe.model.dynamic
    assert dynamic is not None
    assert (dynamic.iou_topk, dynamic.interval) == (50, 200)


REFUSED = [
    ("mmdet 3", "model.type", "RetinaNet", "this is a RetinaNet; splitnest has no such head"),
    ("mmdet 3", "model.backbone.type", "SwinTransformer", "the backbone is a SwinTransformer; splitnest has no such"),
    ("mmdet 3", "model.neck.type", "PAFPN", "the neck is PAFPN; splitnest has only FPN"),
    ("mmdet 3", "model.rpn_head.type", "GARPNHead", "GARPNHead"),
    ("mmdet 3", "model.roi_head.type", "HybridTaskCascadeRoIHead", "this is a HybridTaskCascadeRoIHead"),
    ("mmdet 3", "model.roi_head.bbox_head.type", "SABLHead", "the box head is a SABLHead"),
    ("mmdet 3", "model.roi_head.mask_head.type", "MaskPointHead", "the mask head is a MaskPointHead"),
    ("mmdet 3", "model.roi_head.bbox_head.loss_cls.type", "SeesawLoss", "not a softmax"),
    ("mmdet 3", "model.test_cfg.rcnn.mask_thr_binary", 0.3, "mask_thr_binary is 0.3"),
    ("mmdet 3", "model.test_cfg.rcnn.nms.type", "wbf", "nms.type is 'wbf'"),
    ("mmdet 3", "model.rpn_head.anchor_generator.scales", [8, 16], "one scale"),
    ("mmdet 3", "model.backbone.gen_attention", {"a": 1}, "model.backbone.gen_attention"),
    ("mmdet 3", "model.backbone.norm_cfg.type", "IN", "norm_cfg.type is 'IN'"),
    ("mmdet 3", "model.backbone.depth", 77, "depth"),
    ("mmdet 3", "model.backbone.depth", "50", "give an integer"),
    ("mmdet 3", "test_pipeline.1.keep_ratio", False, "aspect ratio"),
    ("mmdet 3", "test_pipeline.1.type", "Mosaic", "the test pipeline has Mosaic"),
    ("mmdet 3", "model.data_preprocessor.mean", None, "no pixel statistics"),
    ("mmdet 3", "model", 3, "give a mapping"),
    ("mmdet 2", "data.test.pipeline.1.flip", True, "test-time augmentation"),
    ("mmseg 1", "model.decode_head.type", "UPerHead", "this is a UPerHead; splitnest has no such head"),
    ("mmseg 1", "model.auxiliary_head.align_corners", True, "align_corners is True here and False in the decode head"),
    ("mmseg 1", "model.backbone.contract_dilation", False, "contract_dilation=True"),
    ("mmseg 1", "model.decode_head.loss_decode.use_sigmoid", True, "not a softmax"),
    ("mmpose 1", "model.head.type", "SimCCHead", "this is a SimCCHead; splitnest has no such head"),
    ("mmpose 1", "model.backbone.type", "HRFormer", "the backbone is a HRFormer"),
    ("mmpose 1", "model.neck", {"type": "GlobalAveragePooling"}, "this is a GlobalAveragePooling"),
    ("mmpose 1", "model.head.decoder.type", "SimCCLabel", "the codec is SimCCLabel"),
    ("mmpose 1", "model.head.decoder.radius_factor", 0.1, "radius_factor is 0.1"),
    ("mmpose 1", "model.test_cfg.flip_mode", "udp_combined", "flip_mode is 'udp_combined'"),
    ("mmpose 0", "model.test_cfg.post_process", "megvii", "post_process"),
    ("mmpose 0", "model.test_cfg.target_type", "CombinedTarget", "target_type"),
    ("detectron2", "MODEL.META_ARCHITECTURE", "RetinaNet", "this is a RetinaNet; splitnest has no such head"),
    ("detectron2", "MODEL.ROI_HEADS.NAME", "Res5ROIHeads", "Res5ROIHeads"),
    ("detectron2", "MODEL.BACKBONE.NAME", "build_resnet_backbone", "build_resnet_backbone"),
    ("detectron2", "MODEL.KEYPOINT_ON", True, "KEYPOINT_ON is True"),
    ("detectron2", "MODEL.ROI_BOX_HEAD.POOLER_TYPE", "ROIPool", "POOLER_TYPE"),
]


@pytest.mark.parametrize(("config", "key", "value", "message"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_the_family_lacks_is_refused_by_name(config: str, key: str, value: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        derived(with_value(upstream_configs.ALL[config](), key, value), CLASSES if config.startswith("mmseg") else None)
    assert "config" in str(caught.value)


def test_training_that_splitnest_lacks_is_a_note() -> None:
    config = with_value(upstream_configs.mmdet3(), "train_pipeline.2", {"type": "InstaBoost"})
    found = derived(config)
    assert found.recipe.train is None
    assert found.notes == (
        "training is not derived: the training pipeline has InstaBoost; splitnest has no such augmentation",
    )
    assert found.recipe.model == derived(upstream_configs.mmdet3()).recipe.model


def test_text_and_values_give_one_recipe() -> None:
    for name, config in upstream_configs.ALL.items():
        if name != "detectron2":
            values = config()
            read = read_text(python_text(values), "config")
            assert derived(read, None).recipe == derived(json.loads(json.dumps(values)), None).recipe, name
