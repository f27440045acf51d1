"""Rows of detectors against the resolved configurations of the code bases that published them."""

from typing import Any

import pytest

from helpers.upstream import RESNEST, backbone_of_mm, configuration, content_of, of_source
from splitnest import zoo
from splitnest.models.detection.build import CASCADE_IOUS
from splitnest.recipe import DETECTRON2, MMDET, DetectionTraining

MSRA = "https://dl.fbaipublicfiles.com/detectron2/ImageNetPretrained/MSRA"


def training(**differs: Any) -> dict[str, Any]:
    """Return a training section: the defaults, which no published detector changes, and the given values."""
    return DetectionTraining(**differs).model_dump()


def mmdet_samples(config: dict[str, Any], cascade: bool) -> dict[str, Any]:
    head = config["rcnn"][0] if cascade else config["rcnn"]
    return {
        "rpn_post_nms_topk": config["rpn_proposal"]["max_per_img"],
        "rpn_pre_nms_topk": config["rpn_proposal"]["nms_pre"],
        "rpn_samples": config["rpn"]["sampler"]["num"],
        "roi_samples": head["sampler"]["num"],
        "roi_match_low_quality": head["assigner"]["match_low_quality"],
    }


def soft_nms_of_hard_nms() -> dict[str, Any]:
    """Return the parameters of the suppression of all these rows, which is plain NMS."""
    return {"nms": "hard", "soft_nms_sigma": 0.5, "soft_nms_min_score": 1e-3}


def mmdet_prediction(model: dict[str, Any]) -> dict[str, Any]:
    rpn, rcnn = model["test_cfg"]["rpn"], model["test_cfg"]["rcnn"]
    anchors = model["rpn_head"]["anchor_generator"]
    assert (rpn["nms"]["type"], rcnn["nms"]["type"], rpn["min_bbox_size"]) == ("nms", "nms", 0)
    return {
        "anchor_sizes": tuple(anchors["scales"][0] * stride for stride in anchors["strides"]),
        "anchor_ratios": tuple(anchors["ratios"]),
        "rpn_convs": model["rpn_head"].get("num_convs", 1),
        "rpn_pre_nms_topk_test": rpn["nms_pre"],
        "rpn_post_nms_topk_test": rpn["max_per_img"],
        "rpn_nms_threshold": rpn["nms"]["iou_threshold"],
        "score_threshold": rcnn["score_thr"],
        "nms_threshold": rcnn["nms"]["iou_threshold"],
        "max_detections": rcnn["max_per_img"],
        **soft_nms_of_hard_nms(),
    }


def detectron2_prediction(config: dict[str, Any]) -> dict[str, Any]:
    model, rpn = config["MODEL"], config["MODEL"]["RPN"]
    return {
        "anchor_sizes": tuple(size for (size,) in model["ANCHOR_GENERATOR"]["SIZES"]),
        "anchor_ratios": tuple(model["ANCHOR_GENERATOR"]["ASPECT_RATIOS"][0]),
        "rpn_convs": len(rpn["CONV_DIMS"]),
        "rpn_pre_nms_topk_test": rpn["PRE_NMS_TOPK_TEST"],
        "rpn_post_nms_topk_test": rpn["POST_NMS_TOPK_TEST"],
        "rpn_nms_threshold": rpn["NMS_THRESH"],
        "score_threshold": model["ROI_HEADS"]["SCORE_THRESH_TEST"],
        "nms_threshold": model["ROI_HEADS"]["NMS_THRESH_TEST"],
        "max_detections": config["TEST"]["DETECTIONS_PER_IMAGE"],
        **soft_nms_of_hard_nms(),
    }


PLAIN_SECOND_STAGE = {"box_loss": "smooth_l1", "box_loss_weight": 1.0, "pisa": None, "dynamic": None}


def mmdet_training(config: dict[str, Any], depth: int) -> dict[str, Any]:
    optimizer, (warmup, steps) = config["optim_wrapper"]["optimizer"], config["param_scheduler"]
    (resize,) = (step for step in config["train_pipeline"] if "Resize" in step["type"])
    scales = resize.get("scales") or resize["scale"]
    return training(
        batch_size=config["auto_scale_lr"]["base_batch_size"],
        epochs=config["train_cfg"]["max_epochs"],
        optimizer={"type": optimizer["type"].lower(), "momentum": optimizer["momentum"]},
        lr=optimizer["lr"],
        weight_decay=optimizer["weight_decay"],
        schedule={"type": "multi_step", "milestones": tuple(steps["milestones"]), "gamma": steps["gamma"]},
        warmup_iterations=warmup["end"],
        warmup_factor=warmup["start_factor"],
        evaluate_every=config["train_cfg"]["val_interval"],
        save_every=1,
        init_from=f"resnest{depth}_imagenet.official",
        short_sides=tuple(short for _, short in scales),
        short_side_sampling={"RandomChoiceResize": "choice", "RandomResize": "range"}[resize["type"]],
        long_side=scales[0][0],
        min_image_side=config["train_dataloader"]["dataset"]["filter_cfg"]["min_size"],
        min_box_side=1,
    )


def detectron2_training(config: dict[str, Any], depth: int, plain: bool) -> dict[str, Any]:
    solver, given = config["SOLVER"], config["INPUT"]
    return training(
        batch_size=solver["IMS_PER_BATCH"],
        iterations=solver["MAX_ITER"],
        optimizer={"type": "sgd", "momentum": solver["MOMENTUM"]},
        lr=solver["BASE_LR"],
        weight_decay=solver["WEIGHT_DECAY"],
        decay_norms=solver["WEIGHT_DECAY_NORM"] > 0,
        schedule={"type": "multi_step", "milestones": tuple(solver["STEPS"]), "gamma": solver["GAMMA"]},
        warmup_iterations=solver["WARMUP_ITERS"],
        warmup_factor=solver["WARMUP_FACTOR"],
        precise_bn_batches=config["TEST"]["PRECISE_BN"]["NUM_ITER"] if config["TEST"]["PRECISE_BN"]["ENABLED"] else 0,
        save_every=solver["CHECKPOINT_PERIOD"],
        # Plain ResNets: MODEL.WEIGHTS of the files, "detectron2://ImageNetPretrained/MSRA/R-50.pkl"
        init_from=f"{MSRA}/R-{depth}.pkl" if plain else f"resnest{depth}_imagenet.official",
        short_sides=tuple(given["MIN_SIZE_TRAIN"]),
        short_side_sampling=given["MIN_SIZE_TRAIN_SAMPLING"],
        long_side=given["MAX_SIZE_TRAIN"],
        crop=given["CROP"]["SIZE"][0] if given["CROP"]["ENABLED"] else None,
    )


@pytest.mark.parametrize("name", of_source("mmdet"))
def test_mmdet_rows_are_the_upstream_configurations(name: str) -> None:
    config = configuration(name)
    model, recipe = config["model"], content_of(zoo.get(name))
    roi, statistics = model["roi_head"], model["data_preprocessor"]
    cascade, masks = roi["type"] == "CascadeRoIHead", roi.get("mask_head")
    box_heads = roi["bbox_head"] if cascade else [roi["bbox_head"]]
    assert {head["type"] for head in box_heads} == {"Shared4Conv1FCBBoxHead"}
    assert {head["reg_class_agnostic"] for head in box_heads} == {cascade}
    assert {head["num_classes"] for head in box_heads} == {zoo.get(name).num_classes}
    losses = [model["rpn_head"]["loss_bbox"], *(head["loss_bbox"] for head in box_heads)]
    assert {loss["type"] for loss in losses} == {"SmoothL1Loss" if cascade else "L1Loss"}
    if cascade:
        assert tuple(roi["stage_loss_weights"]) == MMDET.cascade_loss_weights
        stages = model["train_cfg"]["rcnn"]
        assert tuple(stage["assigner"]["pos_iou_thr"] for stage in stages) == CASCADE_IOUS
    stds = tuple(tuple(head["bbox_coder"]["target_stds"]) for head in box_heads)
    assert stds == MMDET.cascade_box_stds[: len(box_heads)]
    assert statistics["bgr_to_rgb"]
    assert "norm_cfg" not in model["neck"]
    assert recipe["model"] == {
        "backbone": backbone_of_mm(model["backbone"]),
        "neck": "fpn",
        "conventions": "mmdet",
        "fpn_norm": None,
        "box_norm": {"SyncBN": "sync_bn"}[box_heads[0]["norm_cfg"]["type"]],
        "mask_norm": {"SyncBN": "sync_bn"}[masks["norm_cfg"]["type"]] if masks else None,
        "fpn_channels": model["neck"]["out_channels"],
        "box_head": "4conv1fc",
        "box_conv_channels": box_heads[0]["conv_out_channels"],
        "box_fc_channels": box_heads[0]["fc_out_channels"],
        "cascade": cascade,
        "mask_convs": masks["num_convs"] if masks else 0,
        "mask_channels": masks["conv_out_channels"] if masks else 256,
        "panoptic": None,
        "rpn_ignore_crossing": model["train_cfg"]["rpn"]["allowed_border"] == 0,
        "rpn_box_beta": pytest.approx(model["rpn_head"]["loss_bbox"].get("beta", 0)),
        "box_beta": box_heads[0]["loss_bbox"].get("beta", 0),
        "class_agnostic_boxes": None,
        **PLAIN_SECOND_STAGE,
        "weight_standardization": "conv_cfg" in box_heads[0],
        **mmdet_samples(model["train_cfg"], cascade),
        **mmdet_prediction(model),
    }
    assert recipe["train"] == mmdet_training(config, model["backbone"]["depth"])
    long_side, short_side = config["test_pipeline"][1]["scale"]
    assert recipe["input"] == {
        "mean": tuple(statistics["mean"]),
        "std": tuple(statistics["std"]),
        "channels": "RGB",
        "pixel_range": 255,
        "short_side": short_side,
        "long_side": long_side,
        "resize": "opencv",
        "divisor": statistics["pad_size_divisor"],
    }
    assert recipe["data"]["val_annotations"] == config["test_dataloader"]["dataset"]["ann_file"]
    assert recipe["data"]["train_annotations"] == config["train_dataloader"]["dataset"]["ann_file"]


def panoptic_section(model: dict[str, Any], norms: dict[str, str | None]) -> dict[str, Any]:
    head, combine = model["SEM_SEG_HEAD"], model["PANOPTIC_FPN"]["COMBINE"]
    assert (head["COMMON_STRIDE"], head["IGNORE_VALUE"], head["IN_FEATURES"]) == (4, 255, ["p2", "p3", "p4", "p5"])
    assert (combine["ENABLED"], model["PANOPTIC_FPN"]["INSTANCE_LOSS_WEIGHT"]) == (True, 1.0)
    return {
        "channels": head["CONVS_DIM"],
        "norm": norms[head["NORM"]],
        "loss_weight": head["LOSS_WEIGHT"],
        "min_score": combine["INSTANCES_CONFIDENCE_THRESH"],
        "max_overlap": combine["OVERLAP_THRESH"],
        "min_stuff_area": combine["STUFF_AREA_LIMIT"],
    }


@pytest.mark.parametrize("name", of_source("detectron2"))
def test_detectron2_rows_are_the_upstream_configurations(name: str) -> None:
    config = configuration(name)
    model, given, recipe = config["MODEL"], config["INPUT"], content_of(zoo.get(name))
    net, box, mask = model["RESNETS"], model["ROI_BOX_HEAD"], model["ROI_MASK_HEAD"]
    norms = {"SyncBN": "sync_bn", "": None}
    # The wrapper's own builder reads the radix, avd and the stem; detectron2's builder of plain ResNets does not.
    plain = model["BACKBONE"]["NAME"] == "build_resnet_fpn_backbone"
    shape = (
        {"radix": 0, "stem": "7x7", "avg_down": False, "avd": False}
        if plain
        else {
            "radix": net["RADIX"],
            "stem": "3x3" if net["DEEP_STEM"] else "7x7",
            "stem_width": {50: 32, 101: 64, 200: 64}[net["DEPTH"]],
            "avg_down": net["AVG_DOWN"],
            "avd": net["AVD"],
        }
    )
    deformable = tuple(stage for stage, on in zip((2, 3, 4, 5), net["DEFORM_ON_PER_STAGE"], strict=True) if on)
    cascade = model["ROI_HEADS"]["NAME"] == "CascadeROIHeads"
    panoptic = model["META_ARCHITECTURE"] == "PanopticFPN"
    assert (box["NUM_CONV"], box["NUM_FC"], box["CLS_AGNOSTIC_BBOX_REG"]) == (4, 1, cascade)
    assert net["DEFORM_MODULATED"] == bool(deformable)
    assert model["ROI_HEADS"]["NUM_CLASSES"] == zoo.get(name).num_classes
    weights = model["ROI_BOX_CASCADE_HEAD"]["BBOX_REG_WEIGHTS"]
    assert DETECTRON2.cascade_box_stds == tuple(tuple(1 / weight for weight in stage) for stage in weights)
    assert recipe["model"] == {
        "neck": "fpn",
        "backbone": {
            **RESNEST,
            **shape,
            "depth": net["DEPTH"],
            "stride_in_1x1": net["STRIDE_IN_1X1"],
            "dcn_stages": deformable,
            "dcn_groups": net["DEFORM_NUM_GROUPS"] if deformable else 2,
            "norm": norms[net["NORM"]],
            "frozen_stages": model["BACKBONE"]["FREEZE_AT"],
        },
        "conventions": "detectron2",
        "fpn_norm": norms[model["FPN"]["NORM"]],
        "box_norm": norms[box["NORM"]],
        "mask_norm": norms[mask["NORM"]] if model["MASK_ON"] else None,
        "fpn_channels": model["FPN"]["OUT_CHANNELS"],
        "box_head": "4conv1fc",
        "box_conv_channels": box["CONV_DIM"],
        "box_fc_channels": box["FC_DIM"],
        "cascade": cascade,
        "mask_convs": mask["NUM_CONV"] if model["MASK_ON"] else 0,
        "mask_channels": mask["CONV_DIM"],
        "panoptic": panoptic_section(model, norms) if panoptic else None,
        "rpn_post_nms_topk": model["RPN"]["POST_NMS_TOPK_TRAIN"],
        "rpn_pre_nms_topk": model["RPN"]["PRE_NMS_TOPK_TRAIN"],
        "rpn_samples": model["RPN"]["BATCH_SIZE_PER_IMAGE"],
        "roi_samples": model["ROI_HEADS"]["BATCH_SIZE_PER_IMAGE"],
        "roi_match_low_quality": False,
        "rpn_ignore_crossing": False,
        "rpn_box_beta": model["RPN"]["SMOOTH_L1_BETA"],
        "box_beta": box["SMOOTH_L1_BETA"],
        "class_agnostic_boxes": None,
        **PLAIN_SECOND_STAGE,
        "weight_standardization": False,
        **detectron2_prediction(config),
    }
    assert zoo.get(name).data.num_stuff == (model["SEM_SEG_HEAD"]["NUM_CLASSES"] - 1 if panoptic else 0)
    assert tuple(model["ROI_BOX_CASCADE_HEAD"]["IOUS"]) == CASCADE_IOUS
    assert recipe["train"] == detectron2_training(config, net["DEPTH"], plain)
    assert recipe["input"] == {
        "mean": tuple(model["PIXEL_MEAN"]),
        "std": tuple(model["PIXEL_STD"]),
        "channels": given["FORMAT"],
        "pixel_range": 255,
        "short_side": given["MIN_SIZE_TEST"],
        "long_side": given["MAX_SIZE_TEST"],
        "resize": "pillow",
        "divisor": 32,
    }
