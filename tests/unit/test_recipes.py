import re
import subprocess
import sys
from itertools import product
from typing import Any

import pytest
from upstream import RESNEST

from splitnest import recipes
from splitnest.errors import UsageError
from splitnest.recipe import TASKS, RecipeBase
from splitnest.recipes.published import PUBLISHED

FAST = ("1s1x64d", "2s1x64d", "4s1x64d", "1s2x40d", "2s2x40d", "4s2x40d", "1s4x24d")
TIMM = ("14d", "26d", "50d", "50d_1s4x24d", "50d_4s2x40d", "101e", "200e", "269e")
PAIR = ("resnest50", "resnest101")
FOUR = ("resnet50", "resnet101", "resnest50", "resnest101")
HEADS = ("fcn", "pspnet", "deeplabv3", "deeplabv3plus")
POSE_DEPTHS = (50, 101, 200, 269)

NAMES = {
    "classification": [
        *(f"resnest{depth}_imagenet.official" for depth in (50, 101, 200, 269)),
        *(f"resnest50_fast_{setting}_imagenet.official" for setting in FAST),
        *(f"resnest{name}_imagenet.timm" for name in TIMM),
    ],
    "detection": [
        *(f"{arch}_{net}_fpn_1x_coco.mmdet" for arch, net in product(("faster_rcnn", "cascade_rcnn"), PAIR)),
        *(f"faster_rcnn_{net}_fpn_1x_coco.detectron2" for net in (*FOUR, "resnest50_dcn")),
        *(f"cascade_rcnn_{net}_fpn_1x_coco.detectron2" for net in (*FOUR, "resnest200")),
    ],
    "instance": [
        *(f"{arch}_{net}_fpn_1x_coco.mmdet" for arch, net in product(("mask_rcnn", "cascade_mask_rcnn"), PAIR)),
        *(f"{arch}_{net}_fpn_1x_coco.detectron2" for arch, net in product(("mask_rcnn", "cascade_mask_rcnn"), FOUR)),
        *(f"cascade_mask_rcnn_{net}_fpn_3x_coco.detectron2" for net in ("resnest200", "resnest200_dcn")),
    ],
    "panoptic": ["panoptic_fpn_resnest200_3x_coco.detectron2"],
    "semantic": [f"{head}_resnest101_d8_{data}.mmseg" for head, data in product(HEADS, ("cityscapes", "ade20k"))],
    "pose": [
        f"simplebaseline_resnest{depth}_{size}_coco.mmpose"
        for depth, size in product(POSE_DEPTHS, ("256x192", "384x288"))
    ],
}
ALL = [name for found in NAMES.values() for name in found]
METRICS = {
    "classification": {"top1"},
    "detection": {"box_ap"},
    "instance": {"box_ap", "mask_ap"},
    "panoptic": {"box_ap", "mask_ap", "pq"},
    "semantic": {"miou", "miou_ms_flip"},
    "pose": {"ap", "ap50", "ap75", "ar", "ar50"},
}


def test_the_names_are_the_64_of_the_design() -> None:
    assert len(ALL) == 64
    assert recipes.names() == [name for task in TASKS for name in sorted(NAMES[task])]
    assert set(PUBLISHED) == set(recipes.TASK_OF) == set(ALL)
    assert recipes.TASKS == TASKS


def test_names_are_chosen_by_task_and_pattern() -> None:
    assert recipes.names(pattern="nothing*") == []
    assert recipes.names("panoptic") == NAMES["panoptic"]
    assert recipes.names("detection", "*.mmdet") == sorted(n for n in NAMES["detection"] if n.endswith(".mmdet"))
    assert recipes.names(pattern="*dcn*") == [
        "faster_rcnn_resnest50_dcn_fpn_1x_coco.detectron2",
        "cascade_mask_rcnn_resnest200_dcn_fpn_3x_coco.detectron2",
    ]


def test_an_unknown_task_names_the_tasks() -> None:
    with pytest.raises(
        UsageError, match=r"segmentation.*classification, detection, instance, panoptic, semantic, pose"
    ):
        recipes.names("segmentation")


@pytest.mark.parametrize("name", ALL)
def test_every_row_validates(name: str) -> None:
    recipe = recipes.get(name)
    assert isinstance(recipe, RecipeBase)
    assert (recipe.name, recipe.task) == (name, recipes.TASK_OF[name])
    assert recipe is recipes.get(name)
    assert recipe.weights is not None
    assert recipe.weights.layout == name.rpartition(".")[2]
    assert recipe.data.root is None
    assert set(recipe.published) - {"train_memory_gb", "fps"} >= METRICS[recipe.task]
    upper = 1 if recipe.task == "pose" else 100
    assert all(0 < value < upper for value in recipe.published.values())


@pytest.mark.parametrize("name", ALL)
def test_the_file_name_holds_the_hash(name: str) -> None:
    url, sha256, _, _ = PUBLISHED[name]
    assert url.startswith("https://")
    assert url == url.strip()
    in_name = re.search(r"-([0-9a-f]{8})(_\d{8})?\.pth$", url)
    assert sha256 == (in_name[1] if in_name else None)
    without = (
        "faster_rcnn_resnest50_dcn_fpn_1x_coco.detectron2",
        "cascade_mask_rcnn_resnest200_fpn_3x_coco.detectron2",
    )
    assert (sha256 is None) == (name.endswith(".timm") or name in without)


def test_addresses_and_metrics_to_the_letter() -> None:
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


@pytest.mark.parametrize("name", ALL)
def test_every_alias_resolves(name: str) -> None:
    for alias in PUBLISHED[name].aliases:
        assert recipes.resolve(alias) == name


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("resnest50", "resnest50_imagenet.official"),
        ("resnest50_imagenet", "resnest50_imagenet.official"),
        ("resnest50d", "resnest50d_imagenet.timm"),
        ("hf_hub:timm/resnest50d.in1k", "resnest50d_imagenet.timm"),
        ("fcn_resnest101_d8_ade20k", "fcn_resnest101_d8_ade20k.mmseg"),
        (
            "configs/resnest/faster_rcnn_s50_fpn_syncbn-backbone+head_mstrain-range_1x_coco.py",
            "faster_rcnn_resnest50_fpn_1x_coco.mmdet",
        ),
        (
            "cascade-mask-rcnn_s101_fpn_syncbn-backbone+head_ms-1x_coco",
            "cascade_mask_rcnn_resnest101_fpn_1x_coco.mmdet",
        ),
        ("resnest_s101-d8_pspnet_4xb2-80k_cityscapes512x1024.py", "pspnet_resnest101_d8_cityscapes.mmseg"),
        ("deeplabv3plus_s101-d8_512x512_160k_ade20k", "deeplabv3plus_resnest101_d8_ade20k.mmseg"),
        ("td-hm_resnest269_8xb16-210e_coco-384x288.py", "simplebaseline_resnest269_384x288_coco.mmpose"),
        ("resnest50_coco_256x192", "simplebaseline_resnest50_256x192_coco.mmpose"),
        (
            "./configs/COCO-Detection/faster_cascade_rcnn_ResNeSt_50_FPN_syncbn_range-scale-1x.yaml",
            "cascade_rcnn_resnest50_fpn_1x_coco.detectron2",
        ),
        ("panoptic_ResNeSt_200_FPN_syncBN_tricks_3x", "panoptic_fpn_resnest200_3x_coco.detectron2"),
    ],
)
def test_other_spellings_resolve(spelling: str, name: str) -> None:
    assert recipes.get(spelling).name == name


def test_a_name_of_several_models_lists_them() -> None:
    with pytest.raises(UsageError) as caught:
        recipes.get("mask_rcnn_resnest50_fpn_1x_coco")
    assert "mask_rcnn_resnest50_fpn_1x_coco.mmdet" in str(caught.value)
    assert "mask_rcnn_resnest50_fpn_1x_coco.detectron2" in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("", ".mmpose"),
        ("mask_rcnn_resnest50_fpn_1x_coco.mdet", "mask_rcnn_resnest50_fpn_1x_coco.mmdet"),
        ("resnest50_fast_4s2x40", "resnest50_fast_4s2x40d_imagenet.official"),
        ("panoptic_fpn_resnest200", "panoptic_fpn_resnest200_3x_coco.detectron2"),
    ],
)
def test_an_unknown_name_lists_the_three_nearest(wrong: str, nearest: str) -> None:
    with pytest.raises(UsageError) as caught:
        recipes.get(wrong)
    listed = str(caught.value).partition("nearest are ")[2].rstrip(".").split(", ")
    assert len(set(listed)) == 3
    assert set(listed) <= set(ALL)
    assert listed[0].endswith(nearest)


def test_listing_needs_neither_pydantic_nor_torch() -> None:
    code = (
        "import sys, splitnest.recipes; splitnest.recipes.names();"
        "print([m for m in ('pydantic', 'torch', 'numpy', 'yaml') if m in sys.modules]);"
        "import splitnest.recipe.overrides; splitnest.recipes.get('resnest50');"
        "print([m for m in ('torch', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]


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
def test_backbone_facts(name: str, differs: dict[str, Any]) -> None:
    assert recipes.get(name).model.backbone.model_dump() == {**RESNEST, **differs}


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
def test_classification_inputs(name: str, size: int, crop: str, crop_fraction: float, interpolation: str) -> None:
    assert recipes.get(name).input.model_dump() == {
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "channels": "RGB",
        "pixel_range": 1,
        "size": size,
        "crop": crop,
        "crop_fraction": crop_fraction,
        "interpolation": interpolation,
    }
