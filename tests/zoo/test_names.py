"""Names of published models: the list, its patterns, aliases, and messages for unknown names."""

import subprocess
import sys
from collections import Counter
from itertools import product

import pytest

from splitnest import zoo
from splitnest.errors import UsageError
from splitnest.zoo import upstream
from splitnest.zoo.published import PUBLISHED

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
ALL = [name for of_task in NAMES.values() for name in of_task]
TASKS = tuple(NAMES)


def test_zoo_has_the_64_published_models() -> None:
    assert len(ALL) == 64
    listed = [name for name in zoo.list_models() if name not in upstream.ROWS]
    assert listed == [name for task in TASKS for name in sorted(NAMES[task])]
    assert set(PUBLISHED) == set(zoo.TASK_OF) - set(upstream.ROWS) == set(ALL)
    assert zoo.TASKS == TASKS


def test_zoo_has_the_604_published_models_with_ordinary_backbones() -> None:
    assert Counter(map(zoo.source_of, upstream.ROWS)) == {"mmdet": 186, "mmseg": 240, "mmpose": 152, "detectron2": 26}
    assert not upstream.ROWS.keys() & PUBLISHED.keys()
    assert zoo.list_models() == sorted(zoo.TASK_OF, key=lambda name: (TASKS.index(zoo.TASK_OF[name]), name))


def test_list_is_filtered_by_task_and_pattern() -> None:
    assert zoo.list_models(pattern="nothing*") == []
    assert zoo.list_models("panoptic", "*resnest*") == NAMES["panoptic"]
    assert zoo.list_models("detection", "*resnest*.mmdet") == sorted(
        name for name in NAMES["detection"] if name.endswith(".mmdet")
    )
    assert zoo.list_models(pattern="*resnest*dcn*") == [
        "faster_rcnn_resnest50_dcn_fpn_1x_coco.detectron2",
        "cascade_mask_rcnn_resnest200_dcn_fpn_3x_coco.detectron2",
    ]


def test_list_is_filtered_by_source_dataset_and_backbone() -> None:
    assert set(map(zoo.source_of, zoo.list_models(source="timm"))) == {"timm"}
    assert len(zoo.list_models(source="mmpose", dataset="mpii")) == 11
    assert zoo.list_models(backbone="resnext-152*", dataset="COCO", source="detectron2") == [
        "cascade_mask_rcnn_X_152_32x8d_FPN_IN5k_gn_dconv.detectron2"
    ]
    assert set(map(zoo.backbone_of, zoo.list_models(backbone="resnest-*"))) == {
        f"ResNeSt-{depth}" for depth in (14, 26, 50, 101, 200, 269)
    }
    assert zoo.dataset_of("resnest50_imagenet.official") == "ImageNet"
    assert zoo.dataset_of("simplebaseline_resnest50_256x192_coco.mmpose") == "COCO"
    with pytest.raises(UsageError, match=r"no dataset 'coko'. The datasets are .*COCO"):
        zoo.list_models(dataset="coko")
    with pytest.raises(UsageError, match=r"no source 'mmcls'. The sources are detectron2, mmdet, mmpose"):
        zoo.list_models(source="mmcls")
    with pytest.raises(UsageError, match=r"no backbone 'swin\*'"):
        zoo.list_models(backbone="swin*")


def test_unknown_task_lists_the_tasks() -> None:
    with pytest.raises(
        UsageError, match=r"segmentation.*classification, detection, instance, panoptic, semantic, pose"
    ):
        zoo.list_models("segmentation")


def test_every_alias_leads_to_its_model() -> None:
    for name in zoo.TASK_OF:
        assert {zoo.full_name(alias) for alias in (name, *zoo.published(name).aliases)} == {name}
    for name, row in upstream.ROWS.items():
        assert zoo.full_name(row.config) == name


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
        ("configs/mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py", "mask-rcnn_r50_fpn_1x_coco.mmdet"),
        ("mask_rcnn_r50_fpn_1x_coco", "mask-rcnn_r50_fpn_1x_coco.mmdet"),
        ("COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml", "mask_rcnn_R_50_FPN_1x.detectron2"),
        (
            "LVISv0.5-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml",
            "LVISv0.5-InstanceSegmentation_mask_rcnn_R_50_FPN_1x.detectron2",
        ),
        ("panoptic_ResNeSt_200_FPN_syncBN_tricks_3x", "panoptic_fpn_resnest200_3x_coco.detectron2"),
    ],
)
def test_other_spellings_lead_to_the_model(spelling: str, name: str) -> None:
    assert zoo.get(spelling).name == name


def test_ambiguous_name_lists_its_models() -> None:
    with pytest.raises(UsageError) as caught:
        zoo.get("mask_rcnn_resnest50_fpn_1x_coco")
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
def test_unknown_name_lists_the_three_nearest(wrong: str, nearest: str) -> None:
    with pytest.raises(UsageError) as caught:
        zoo.get(wrong)
    listed = str(caught.value).partition("nearest are ")[2].rstrip(".").split(", ")
    assert len(set(listed)) == 3
    assert set(listed) <= set(zoo.TASK_OF)
    assert listed[0].endswith(nearest)


def test_listing_needs_neither_pydantic_nor_torch() -> None:
    code = (
        "import sys, splitnest.zoo; splitnest.zoo.list_models();"
        "print([m for m in ('pydantic', 'torch', 'numpy', 'yaml') if m in sys.modules]);"
        "import splitnest.recipe.overrides; splitnest.zoo.get('resnest50');"
        "print([m for m in ('torch', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]
