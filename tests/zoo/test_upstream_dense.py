"""Rows of segmentors and pose estimators against the resolved configurations of the code bases that published them."""

import re
from typing import Any

import pytest

from helpers.upstream import backbone_of_mm, configuration, content_of, of_source
from splitnest import zoo
from splitnest.data.pose.open import PUBLISHED_DETECTIONS
from splitnest.models.segmentation.decode_heads import POOL_SIZES
from splitnest.recipe import PoseTraining, SemanticTraining
from splitnest.zoo.published import PUBLISHED


def mmseg_training(config: dict[str, Any]) -> dict[str, Any]:
    """Return the training section of a published segmentor, on the 4 GPUs that its file name says."""
    optimizer, (poly,) = config["optim_wrapper"]["optimizer"], config["param_scheduler"]
    steps = {step["type"]: step for step in config["train_pipeline"]}
    assert list(steps)[2:] == ["RandomResize", "RandomCrop", "RandomFlip", "PhotoMetricDistortion", "PackSegInputs"]
    assert (poly["type"], poly["begin"], poly["by_epoch"]) == ("PolyLR", 0, False)
    assert poly["end"] == config["train_cfg"]["max_iters"]
    assert config["optim_wrapper"]["clip_grad"] is None
    long_side, short_side = config["test_pipeline"][1]["scale"]
    assert steps["RandomResize"]["scale"] == [long_side, short_side]  # training resizes to multiples of it
    assert config["model"]["data_preprocessor"]["size"] == steps["RandomCrop"]["crop_size"]
    return SemanticTraining(
        batch_size=4 * config["train_dataloader"]["batch_size"],
        iterations=config["train_cfg"]["max_iters"],
        optimizer={"type": optimizer["type"].lower(), "momentum": optimizer["momentum"]},
        lr=optimizer["lr"],
        weight_decay=optimizer["weight_decay"],
        schedule={"type": "poly", "power": poly["power"], "min_lr": poly["eta_min"]},
        evaluate_every=config["train_cfg"]["val_interval"],
        save_every=config["train_cfg"]["val_interval"],
        init_from="resnest101_imagenet.official",
        crop_size=tuple(steps["RandomCrop"]["crop_size"]),
        resize_ratios=tuple(steps["RandomResize"]["ratio_range"]),
        max_class_fraction=steps["RandomCrop"]["cat_max_ratio"],
        flip=steps["RandomFlip"]["prob"],
        photometric_distortion=True,
        auxiliary_loss_weight=config["model"]["auxiliary_head"]["loss_decode"]["loss_weight"],
    ).model_dump()


@pytest.mark.parametrize("name", of_source("mmseg"))
def test_mmseg_rows_are_the_upstream_configurations(name: str) -> None:
    config = configuration(name)
    model, recipe = config["model"], content_of(zoo.get(name))
    statistics, decode, auxiliary = model["data_preprocessor"], model["decode_head"], model["auxiliary_head"]
    heads = {"FCNHead": "fcn", "PSPHead": "psp", "ASPPHead": "aspp", "DepthwiseSeparableASPPHead": "separable_aspp"}
    assert model["backbone"]["dilations"] == [1, 1, 2, 4]
    assert model["backbone"]["strides"] == [1, 2, 1, 1]
    assert (decode["in_index"], auxiliary["in_index"], auxiliary["type"]) == (3, 2, "FCNHead")
    assert decode["num_classes"] == auxiliary["num_classes"] == zoo.get(name).num_classes
    assert recipe["model"] == {
        "backbone": backbone_of_mm(model["backbone"], output_stride=8),
        "head": heads[decode["type"]],
        "all_levels": False,
        "head_channels": decode["channels"],
        "auxiliary_channels": auxiliary["channels"],
        "norm": {"SyncBN": "sync_bn"}[decode["norm_cfg"]["type"]],
        "dropout": decode["dropout_ratio"],
        "fcn_dilation": 1,
        "aspp_dilations": tuple(decode.get("dilations", (1, 12, 24, 36))[1:]),
        "c2_channels": decode.get("c1_channels", 48),
        "ocr_channels": 256,
        "align_corners": decode["align_corners"],
    }
    assert auxiliary["align_corners"] == decode["align_corners"]
    assert auxiliary["dropout_ratio"] == decode["dropout_ratio"]
    assert (auxiliary["num_convs"], auxiliary["concat_input"]) == (1, False)
    assert model["test_cfg"] == {"mode": "whole"}
    assert {head["loss_decode"]["type"] for head in (decode, auxiliary)} == {"CrossEntropyLoss"}
    match decode["type"]:
        case "FCNHead":
            assert (decode["num_convs"], decode["concat_input"]) == (2, True)
        case "PSPHead":
            assert tuple(decode["pool_scales"]) == POOL_SIZES
        case _:
            assert decode["dilations"][0] == 1
    assert recipe["train"] == mmseg_training(config)
    long_side, short_side = config["test_pipeline"][1]["scale"]
    assert recipe["input"] == {
        "mean": tuple(statistics["mean"]),
        "std": tuple(statistics["std"]),
        "channels": {True: "RGB"}[statistics["bgr_to_rgb"]],
        "pixel_range": 255,
        "short_side": short_side,
        "long_side": long_side,
        "window": None,
        "stride": None,
    }
    for split, loader in (("val", "test_dataloader"), ("train", "train_dataloader")):
        folders = config[loader]["dataset"]["data_prefix"]
        assert recipe["data"][f"{split}_images"] == folders["img_path"]
        assert recipe["data"][f"{split}_annotations"] == folders["seg_map_path"]


def mmpose_training(config: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the training section of a published pose estimator, on the number of GPUs that its file name says.

    The augmentations have the defaults of mmpose 1.3 ``RandomHalfBody`` and ``RandomBBoxTransform``.
    """
    optimizer, (warmup, steps) = config["optim_wrapper"]["optimizer"], config["param_scheduler"]
    kinds = [step["type"] for step in config["train_pipeline"]]
    assert kinds[1:6] == ["GetBBoxCenterScale", "RandomFlip", "RandomHalfBody", "RandomBBoxTransform", "TopdownAffine"]
    assert all(set(step) <= {"type", "direction"} for step in config["train_pipeline"][1:5])
    gpus, of_each = re.search(r"_(\d+)xb(\d+)-", PUBLISHED[name].aliases[1]).groups()
    assert int(of_each) == config["train_dataloader"]["batch_size"]
    backbone = config["model"]["backbone"]["init_cfg"]["checkpoint"].removeprefix("mmcls://")
    return PoseTraining(
        batch_size=int(gpus) * int(of_each),
        epochs=config["train_cfg"]["max_epochs"],
        optimizer=optimizer["type"].lower(),
        lr=optimizer["lr"],
        weight_decay=0,
        schedule={"type": "multi_step", "milestones": tuple(steps["milestones"]), "gamma": steps["gamma"]},
        warmup_iterations=warmup["end"],
        warmup_factor=warmup["start_factor"],
        evaluate_every=config["train_cfg"]["val_interval"],
        save_every=10,
        init_from=f"{backbone}_imagenet.official",
        flip=0.5,
        half_body=0.3,
        shift=0.16,
        shift_probability=0.3,
        scale=0.5,
        rotation=80,
        rotation_probability=0.6,
    ).model_dump()


@pytest.mark.parametrize("name", of_source("mmpose"))
def test_mmpose_rows_are_the_upstream_configurations(name: str) -> None:
    config = configuration(name)
    model, codec, recipe = config["model"], config["codec"], content_of(zoo.get(name))
    statistics = model["data_preprocessor"]
    width, height = codec["input_size"]
    assert recipe["model"] == {
        "backbone": backbone_of_mm(model["backbone"]),
        "deconv_channels": (256, 256, 256),
        "norm": "bn",
        "sigma": codec["sigma"],
        **{"codec": "msra", "offsets": False, "blur_kernel": 11, "loss": "mse"},
        **{"all_levels": False, "conv_channels": None, "output_keypoints": None},
    }
    assert codec["type"] == "MSRAHeatmap"
    assert (model["test_cfg"]["flip_mode"], model["head"]["loss"]["use_target_weight"]) == ("heatmap", True)
    assert recipe["train"] == mmpose_training(config, name)
    assert recipe["input"] == {
        "mean": tuple(statistics["mean"]),
        "std": tuple(statistics["std"]),
        "channels": {True: "RGB"}[statistics["bgr_to_rgb"]],
        "pixel_range": 255,
        "height": height,
        "width": width,
        "padding": 1.25,
        "udp": False,
        "flip_test": model["test_cfg"]["flip_test"],
        "shift_heatmap": model["test_cfg"]["shift_heatmap"],
    }
    dataset = config["test_dataloader"]["dataset"]
    assert dataset["bbox_file"] == dataset["data_root"] + PUBLISHED_DETECTIONS
    assert (recipe["data"]["val_detections"], recipe["data"]["keypoints"]) == ("auto", "coco")
    assert recipe["data"]["val_annotations"] == config["test_dataloader"]["dataset"]["ann_file"]
    assert recipe["data"]["train_annotations"] == config["train_dataloader"]["dataset"]["ann_file"]
