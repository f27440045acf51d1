"""Rows of the zoo: complete recipes, files with their hashes, metrics, backbones and inputs as published."""

import re
from typing import Any

import pytest

from helpers.upstream import RESNEST
from splitnest import zoo
from splitnest.recipe import RecipeBase
from splitnest.zoo import upstream
from splitnest.zoo.published import PUBLISHED

FAST = ("1s1x64d", "2s1x64d", "4s1x64d", "1s2x40d", "2s2x40d", "4s2x40d", "1s4x24d")
WITHOUT_METRICS: set[str] = set()
METRICS = {
    "classification": {"top1"},
    "detection": {"box_ap"},
    "instance": {"box_ap", "mask_ap"},
    "panoptic": {"box_ap", "mask_ap", "pq"},
    "semantic": {"miou", "miou_ms_flip"},
    "pose": {"ap", "ap50", "ap75", "ar", "ar50"},
}


def test_every_row_validates() -> None:
    for name in zoo.list_models():
        recipe = zoo.get(name)
        assert isinstance(recipe, RecipeBase), name
        assert (recipe.name, recipe.task) == (name, zoo.TASK_OF[name])
        assert recipe is zoo.get(name), name
        assert recipe.weights is not None, name
        assert (recipe.weights.url, recipe.weights.sha256) == zoo.published(name)[:2], name
        assert recipe.data.root is None, name
        assert recipe.published or name in WITHOUT_METRICS, name
        assert all(0 < value < 100 for value in recipe.published.values()), name
        if name in PUBLISHED:
            assert set(recipe.published) - {"train_memory_gb", "fps"} >= METRICS[recipe.task], name
            assert recipe.task != "pose" or max(recipe.published.values()) < 1, name


def test_hash_is_the_one_in_the_file_name() -> None:
    without_hash = (
        "faster_rcnn_resnest50_dcn_fpn_1x_coco.detectron2",
        "cascade_mask_rcnn_resnest200_fpn_3x_coco.detectron2",
        "mask-rcnn_r50_fpn_15e_deepfashion.mmdet",
        "td-hm_hrnet-w32_8xb64-210e_exlpose-256x192.mmpose",
    )
    for name, (url, sha256, _, _) in ((name, zoo.published(name)) for name in zoo.TASK_OF):
        assert url.startswith("https://"), name
        assert url == url.strip(), name
        in_name = re.search(r"-([0-9a-f]{8})(_\d{8})?\.pth$", url)
        assert sha256 == (in_name[1] if in_name else None), name
        is_without = name in without_hash or (name.endswith(".detectron2") and name in upstream.ROWS)
        assert (sha256 is None) == (name.endswith(".timm") or is_without), name


def test_urls_and_metrics_to_the_letter() -> None:
    row = PUBLISHED["mask_rcnn_resnest101_fpn_1x_coco.mmdet"]
    folder = "mask_rcnn_s101_fpn_syncbn-backbone%2Bhead_mstrain_1x_coco"
    root = "https://download.openmmlab.com/mmdetection/v2.0/resnest"
    assert row.url == f"{root}/{folder}/{folder}_20201005_215831-af60cdf9.pth"
    assert row.metrics == {"box_ap": 45.2, "mask_ap": 40.2, "train_memory_gb": 7.8}
    row = PUBLISHED["pspnet_resnest101_d8_cityscapes.mmseg"]
    folder = "pspnet_s101-d8_512x1024_80k_cityscapes"
    root = "https://download.openmmlab.com/mmsegmentation/v0.5/resnest"
    assert row.url == f"{root}/{folder}/{folder}_20200807_140631-c75f3b99.pth"
    assert row.metrics == {"miou": 78.57, "miou_ms_flip": 79.19, "train_memory_gb": 11.8, "fps": 2.52}
    row = PUBLISHED["simplebaseline_resnest200_384x288_coco.mmpose"]
    root = "https://download.openmmlab.com/mmpose/top_down/resnest"
    assert row.url == f"{root}/resnest200_coco_384x288-b5bb76cb_20210517.pth"
    assert row.metrics == {"ap": 0.754, "ap50": 0.908, "ap75": 0.827, "ar": 0.807, "ar50": 0.945}
    row = PUBLISHED["cascade_mask_rcnn_resnest200_dcn_fpn_3x_coco.detectron2"]
    file = "mask_cascade_rcnn_ResNeSt_200_FPN_dcn_syncBN_all_tricks_3x-e1901134.pth"
    assert row.url == f"https://s3.us-west-1.wasabisys.com/resnest/detectron/{file}"
    assert row.metrics == {"box_ap": 50.91, "mask_ap": 44.5, "box_ap_tta_testdev": 53.3, "mask_ap_tta_testdev": 47.1}
    row = PUBLISHED["resnest50_fast_4s2x40d_imagenet.official"]
    file = "resnest50_fast_4s2x40d-41d14ed0.pth"
    assert row.url == f"https://github.com/zhanghang1989/ResNeSt/releases/download/weights_step1/{file}"
    assert row.metrics == {"top1": 81.14}
    row = PUBLISHED["resnest14d_imagenet.timm"]
    assert row.url == "https://huggingface.co/timm/resnest14d.gluon_in1k/resolve/main/model.safetensors"


@pytest.mark.parametrize(
    ("name", "differs"),
    [
        ("resnest14d_imagenet.timm", {"depth": 14, "avd_in_dilated": True}),
        ("resnest26d_imagenet.timm", {"depth": 26, "avd_in_dilated": True}),
        ("resnest50_imagenet.official", {"depth": 50, "avd_in_dilated": True}),
        ("resnest101e_imagenet.timm", {"depth": 101, "avd_in_dilated": True, "stem_width": 64}),
        ("resnest269_imagenet.official", {"depth": 269, "avd_in_dilated": True, "stem_width": 64}),
        *(
            (
                f"resnest50_fast_{radix}s{cardinality}x{width}d_imagenet.official",
                {
                    "depth": 50,
                    "radix": radix,
                    "cardinality": cardinality,
                    "base_width": width,
                    "avd_first": True,
                    "avd_in_dilated": True,
                },
            )
            for radix, cardinality, width in [
                (1, 1, 64),
                (2, 1, 64),
                (4, 1, 64),
                (1, 2, 40),
                (2, 2, 40),
                (4, 2, 40),
                (1, 4, 24),
            ]
        ),
        (
            "resnest50d_4s2x40d_imagenet.timm",
            {"depth": 50, "radix": 4, "cardinality": 2, "base_width": 40, "avd_first": True, "avd_in_dilated": True},
        ),
        (
            "resnest50d_1s4x24d_imagenet.timm",
            {"depth": 50, "radix": 1, "cardinality": 4, "base_width": 24, "avd_first": True, "avd_in_dilated": True},
        ),
        (
            "mask_rcnn_resnest101_fpn_1x_coco.mmdet",
            {"depth": 101, "stem_width": 64, "norm": "sync_bn", "frozen_stages": 2},
        ),
        (
            "faster_rcnn_resnest50_dcn_fpn_1x_coco.detectron2",
            {"depth": 50, "norm": "sync_bn", "frozen_stages": 2, "dcn_stages": (3, 4, 5)},
        ),
        (
            "faster_rcnn_resnet101_fpn_1x_coco.detectron2",
            {
                "depth": 101,
                "radix": 0,
                "stem": "7x7",
                "avg_down": False,
                "avd": False,
                "stride_in_1x1": True,
                "norm": "sync_bn",
                "frozen_stages": 2,
            },
        ),
        ("fcn_resnest101_d8_ade20k.mmseg", {"depth": 101, "stem_width": 64, "norm": "sync_bn", "output_stride": 8}),
        ("simplebaseline_resnest269_384x288_coco.mmpose", {"depth": 269}),
    ],
)
def test_backbone(name: str, differs: dict[str, Any]) -> None:
    assert zoo.get(name).model.backbone.model_dump() == {**RESNEST, **differs}


@pytest.mark.parametrize(
    ("name", "size", "crop", "crop_fraction", "interpolation"),
    [
        ("resnest50_imagenet.official", 224, "official", 0.875, "bilinear"),
        ("resnest101_imagenet.official", 256, "official", 0.875, "bilinear"),
        ("resnest200_imagenet.official", 320, "official", 0.875, "bilinear"),
        ("resnest269_imagenet.official", 416, "official", 0.875, "bilinear"),
        *((f"resnest50_fast_{setting}_imagenet.official", 224, "official", 0.875, "bilinear") for setting in FAST),
        ("resnest14d_imagenet.timm", 224, "timm", 0.875, "bilinear"),
        ("resnest26d_imagenet.timm", 224, "timm", 0.875, "bilinear"),
        ("resnest50d_imagenet.timm", 224, "timm", 0.875, "bilinear"),
        ("resnest50d_1s4x24d_imagenet.timm", 224, "timm", 0.875, "bicubic"),
        ("resnest50d_4s2x40d_imagenet.timm", 224, "timm", 0.875, "bicubic"),
        ("resnest101e_imagenet.timm", 256, "timm", 0.875, "bilinear"),
        ("resnest200e_imagenet.timm", 320, "timm", 0.909, "bicubic"),
        ("resnest269e_imagenet.timm", 416, "timm", 0.928, "bicubic"),
    ],
)
def test_classification_input(name: str, size: int, crop: str, crop_fraction: float, interpolation: str) -> None:
    assert zoo.get(name).input.model_dump() == {
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "channels": "RGB",
        "pixel_range": 1,
        "size": size,
        "crop": crop,
        "crop_fraction": crop_fraction,
        "interpolation": interpolation,
    }
