"""Published files of all models: URLs, checksums, upstream names and metrics.

Sources:

- official: zhanghang1989/ResNeSt ``README.md``, ``ablation.md`` (PyTorch column), ``resnest/torch/models`` (checksums);
- timm: Hub ids in timm 1.0 ``timm/models/resnest.py``, top-1 in its ``results/results-imagenet.csv``;
- detectron2: zhanghang1989/ResNeSt ``d2/README.md`` (COCO val2017, two decimals);
- mmdet, mmseg: ``configs/resnest/metafile.yml`` and ``README.md`` of mmdetection 2 and 3, mmsegmentation 0 and 1;
- mmpose: ``resnest_coco.yml`` of mmpose 0 (metrics) and 1 (second alias). Some metrics of mmpose 1 are 0.001 lower.

Metrics: ``top1``, ``box_ap``, ``mask_ap``, ``pq``, ``miou`` and ``miou_ms_flip`` (multi-scale and flip) in percent;
``ap``, ``ap50``, ``ap75``, ``ar`` and ``ar50`` of poses from 0 to 1; ``*_tta_testdev`` with test-time augmentation on
COCO test-dev. ``train_memory_gb`` (per GPU) and ``fps`` (inference, images per second) are given where published.
"""

from typing import NamedTuple


class Published(NamedTuple):
    """Published file of a model.

    Attributes:
        url: URL of the file.
        sha256: First 8 hexadecimal digits of its SHA-256; None if the file name has none.
        aliases: Upstream names: config files without extension, and Hub ids.
        metrics: Published metrics by name; units are listed in the module docstring.
    """

    url: str
    sha256: str | None
    aliases: tuple[str, ...]
    metrics: dict[str, float]


def _official(name: str, sha256: str, top1: float) -> Published:
    url = f"https://github.com/zhanghang1989/ResNeSt/releases/download/weights_step1/{name}-{sha256}.pth"
    return Published(url, sha256, (name,), {"top1": top1})


def _timm(name: str, tag: str, top1: float) -> Published:
    url = f"https://huggingface.co/timm/{name}.{tag}/resolve/main/model.safetensors"
    return Published(url, None, (name, f"{name}.{tag}"), {"top1": top1})


def _detectron2(config: str, sha256: str | None, **metrics: float) -> Published:
    ending = f"-{sha256}" if sha256 else ""
    url = f"https://s3.us-west-1.wasabisys.com/resnest/detectron/{config}{ending}.pth"
    return Published(url, sha256, (config,), metrics)


def _mmdet(config2: str, config3: str, stamp: str, **metrics: float) -> Published:
    path = config2.replace("+", "%2B")
    url = f"https://download.openmmlab.com/mmdetection/v2.0/resnest/{path}/{path}_{stamp}.pth"
    return Published(url, stamp[-8:], (config2, config3), metrics)


def _mmseg(config0: str, config1: str, stamp: str, measured: tuple[float, float, float, float]) -> Published:
    url = f"https://download.openmmlab.com/mmsegmentation/v0.5/resnest/{config0}/{config0}_{stamp}.pth"
    metrics = dict(zip(("miou", "miou_ms_flip", "train_memory_gb", "fps"), measured, strict=True))
    return Published(url, stamp[-8:], (config0, config1), metrics)


def _mmpose(config0: str, config1: str, stamp: str, measured: tuple[float, float, float, float, float]) -> Published:
    url = f"https://download.openmmlab.com/mmpose/top_down/resnest/{config0}-{stamp}.pth"
    metrics = dict(zip(("ap", "ap50", "ap75", "ar", "ar50"), measured, strict=True))
    return Published(url, stamp[:8], (config0, config1), metrics)


PUBLISHED: dict[str, Published] = {
    "resnest50_imagenet.official": _official("resnest50", "528c19ca", 81.03),
    "resnest101_imagenet.official": _official("resnest101", "22405ba7", 82.83),
    "resnest200_imagenet.official": _official("resnest200", "75117900", 83.84),
    "resnest269_imagenet.official": _official("resnest269", "0cc87c48", 84.54),
    "resnest50_fast_1s1x64d_imagenet.official": _official("resnest50_fast_1s1x64d", "d8fbf808", 80.33),
    "resnest50_fast_2s1x64d_imagenet.official": _official("resnest50_fast_2s1x64d", "44938639", 80.53),
    "resnest50_fast_4s1x64d_imagenet.official": _official("resnest50_fast_4s1x64d", "f74f3fc3", 80.76),
    "resnest50_fast_1s2x40d_imagenet.official": _official("resnest50_fast_1s2x40d", "32830b84", 80.59),
    "resnest50_fast_2s2x40d_imagenet.official": _official("resnest50_fast_2s2x40d", "9d126481", 80.61),
    "resnest50_fast_4s2x40d_imagenet.official": _official("resnest50_fast_4s2x40d", "41d14ed0", 81.14),
    "resnest50_fast_1s4x24d_imagenet.official": _official("resnest50_fast_1s4x24d", "d4a4f76f", 80.99),
    "resnest14d_imagenet.timm": _timm("resnest14d", "gluon_in1k", 75.516),
    "resnest26d_imagenet.timm": _timm("resnest26d", "gluon_in1k", 78.476),
    "resnest50d_imagenet.timm": _timm("resnest50d", "in1k", 80.958),
    "resnest50d_1s4x24d_imagenet.timm": _timm("resnest50d_1s4x24d", "in1k", 81.024),
    "resnest50d_4s2x40d_imagenet.timm": _timm("resnest50d_4s2x40d", "in1k", 81.146),
    "resnest101e_imagenet.timm": _timm("resnest101e", "in1k", 82.916),
    "resnest200e_imagenet.timm": _timm("resnest200e", "in1k", 83.88),
    "resnest269e_imagenet.timm": _timm("resnest269e", "in1k", 84.542),
    "faster_rcnn_resnet50_fpn_1x_coco.detectron2": _detectron2(
        "faster_rcnn_R_50_FPN_syncbn_range-scale_1x", "fde56e2b", box_ap=39.25
    ),
    "faster_rcnn_resnet101_fpn_1x_coco.detectron2": _detectron2(
        "faster_rcnn_R_101_FPN_syncbn_range-scale_1x", "57c73356", box_ap=41.37
    ),
    "faster_rcnn_resnest50_fpn_1x_coco.detectron2": _detectron2(
        "faster_rcnn_ResNeSt_50_FPN_syncbn_range-scale_1x", "ad123c0b", box_ap=42.33
    ),
    "faster_rcnn_resnest50_dcn_fpn_1x_coco.detectron2": _detectron2(
        "faster_rcnn_ResNeSt_50_FPN_dcn_syncbn_range-scale_1x", None, box_ap=44.11
    ),
    "faster_rcnn_resnest101_fpn_1x_coco.detectron2": _detectron2(
        "faster_rcnn_ResNeSt_101_FPN_syncbn_range-scale_1x", "d8f284b6", box_ap=44.72
    ),
    "cascade_rcnn_resnet50_fpn_1x_coco.detectron2": _detectron2(
        "faster_cascade_rcnn_R_50_FPN_syncbn_range-scale_1x", "3c7f2ef2", box_ap=42.52
    ),
    "cascade_rcnn_resnet101_fpn_1x_coco.detectron2": _detectron2(
        "faster_cascade_rcnn_R_101_FPN_syncbn_range-scale_1x", "4073359b", box_ap=44.03
    ),
    "cascade_rcnn_resnest50_fpn_1x_coco.detectron2": _detectron2(
        "faster_cascade_rcnn_ResNeSt_50_FPN_syncbn_range-scale-1x", "e9955232", box_ap=45.41
    ),
    "cascade_rcnn_resnest101_fpn_1x_coco.detectron2": _detectron2(
        "faster_cascade_rcnn_ResNeSt_101_FPN_syncbn_range-scale_1x", "3627ef78", box_ap=47.5
    ),
    "cascade_rcnn_resnest200_fpn_1x_coco.detectron2": _detectron2(
        "faster_cascade_rcnn_ResNeSt_200_FPN_syncbn_range-scale_1x", "1be2a87e", box_ap=49.03
    ),
    "mask_rcnn_resnet50_fpn_1x_coco.detectron2": _detectron2(
        "mask_rcnn_R_50_FPN_syncbn_1x", "4939bd58", box_ap=39.97, mask_ap=36.05
    ),
    "mask_rcnn_resnet101_fpn_1x_coco.detectron2": _detectron2(
        "mask_rcnn_R_101_FPN_syncbn_1x", "55493cc2", box_ap=41.78, mask_ap=37.51
    ),
    "mask_rcnn_resnest50_fpn_1x_coco.detectron2": _detectron2(
        "mask_rcnn_ResNeSt_50_FPN_syncBN_1x", "f442d863", box_ap=42.81, mask_ap=38.14
    ),
    "mask_rcnn_resnest101_fpn_1x_coco.detectron2": _detectron2(
        "mask_rcnn_ResNeSt_101_FPN_syncBN_1x", "528502c6", box_ap=45.75, mask_ap=40.65
    ),
    "cascade_mask_rcnn_resnet50_fpn_1x_coco.detectron2": _detectron2(
        "mask_cascade_rcnn_R_50_FPN_syncbn_1x", "03310c9b", box_ap=43.06, mask_ap=37.19
    ),
    "cascade_mask_rcnn_resnet101_fpn_1x_coco.detectron2": _detectron2(
        "mask_cascade_rcnn_R_101_FPN_syncbn_1x", "8cec1631", box_ap=44.79, mask_ap=38.52
    ),
    "cascade_mask_rcnn_resnest50_fpn_1x_coco.detectron2": _detectron2(
        "mask_cascade_rcnn_ResNeSt_50_FPN_syncBN_1x", "c58bd325", box_ap=46.19, mask_ap=39.55
    ),
    "cascade_mask_rcnn_resnest101_fpn_1x_coco.detectron2": _detectron2(
        "mask_cascade_rcnn_ResNeSt_101_FPN_syncBN_1x", "62448b9c", box_ap=48.3, mask_ap=41.56
    ),
    "cascade_mask_rcnn_resnest200_fpn_3x_coco.detectron2": _detectron2(
        "mask_cascade_rcnn_ResNeSt_200_FPN_syncBN_all_tricks_3x", None, box_ap=50.54, mask_ap=44.21
    ),
    "cascade_mask_rcnn_resnest200_dcn_fpn_3x_coco.detectron2": _detectron2(
        "mask_cascade_rcnn_ResNeSt_200_FPN_dcn_syncBN_all_tricks_3x",
        "e1901134",
        box_ap=50.91,
        mask_ap=44.5,
        box_ap_tta_testdev=53.3,
        mask_ap_tta_testdev=47.1,
    ),
    "panoptic_fpn_resnest200_3x_coco.detectron2": _detectron2(
        "panoptic_ResNeSt_200_FPN_syncBN_tricks_3x", "43f8b731", box_ap=51.0, mask_ap=43.68, pq=47.9
    ),
    "faster_rcnn_resnest50_fpn_1x_coco.mmdet": _mmdet(
        "faster_rcnn_s50_fpn_syncbn-backbone+head_mstrain-range_1x_coco",
        "faster-rcnn_s50_fpn_syncbn-backbone+head_ms-range-1x_coco",
        "20200926_125502-20289c16",
        box_ap=42.0,
        train_memory_gb=4.8,
    ),
    "faster_rcnn_resnest101_fpn_1x_coco.mmdet": _mmdet(
        "faster_rcnn_s101_fpn_syncbn-backbone+head_mstrain-range_1x_coco",
        "faster-rcnn_s101_fpn_syncbn-backbone+head_ms-range-1x_coco",
        "20201006_021058-421517f1",
        box_ap=44.5,
        train_memory_gb=7.1,
    ),
    "mask_rcnn_resnest50_fpn_1x_coco.mmdet": _mmdet(
        "mask_rcnn_s50_fpn_syncbn-backbone+head_mstrain_1x_coco",
        "mask-rcnn_s50_fpn_syncbn-backbone+head_ms-1x_coco",
        "20200926_125503-8a2c3d47",
        box_ap=42.6,
        mask_ap=38.1,
        train_memory_gb=5.5,
    ),
    "mask_rcnn_resnest101_fpn_1x_coco.mmdet": _mmdet(
        "mask_rcnn_s101_fpn_syncbn-backbone+head_mstrain_1x_coco",
        "mask-rcnn_s101_fpn_syncbn-backbone+head_ms-1x_coco",
        "20201005_215831-af60cdf9",
        box_ap=45.2,
        mask_ap=40.2,
        train_memory_gb=7.8,
    ),
    "cascade_rcnn_resnest50_fpn_1x_coco.mmdet": _mmdet(
        "cascade_rcnn_s50_fpn_syncbn-backbone+head_mstrain-range_1x_coco",
        "cascade-rcnn_s50_fpn_syncbn-backbone+head_ms-range-1x_coco",
        "20201122_213640-763cc7b5",
        box_ap=44.5,
    ),
    "cascade_rcnn_resnest101_fpn_1x_coco.mmdet": _mmdet(
        "cascade_rcnn_s101_fpn_syncbn-backbone+head_mstrain-range_1x_coco",
        "cascade-rcnn_s101_fpn_syncbn-backbone+head_ms-range-1x_coco",
        "20201005_113242-b9459f8f",
        box_ap=46.8,
        train_memory_gb=8.4,
    ),
    "cascade_mask_rcnn_resnest50_fpn_1x_coco.mmdet": _mmdet(
        "cascade_mask_rcnn_s50_fpn_syncbn-backbone+head_mstrain_1x_coco",
        "cascade-mask-rcnn_s50_fpn_syncbn-backbone+head_ms-1x_coco",
        "20201122_104428-99eca4c7",
        box_ap=45.4,
        mask_ap=39.5,
    ),
    "cascade_mask_rcnn_resnest101_fpn_1x_coco.mmdet": _mmdet(
        "cascade_mask_rcnn_s101_fpn_syncbn-backbone+head_mstrain_1x_coco",
        "cascade-mask-rcnn_s101_fpn_syncbn-backbone+head_ms-1x_coco",
        "20201005_113243-42607475",
        box_ap=47.7,
        mask_ap=41.4,
        train_memory_gb=10.5,
    ),
    "fcn_resnest101_d8_cityscapes.mmseg": _mmseg(
        "fcn_s101-d8_512x1024_80k_cityscapes",
        "resnest_s101-d8_fcn_4xb2-80k_cityscapes-512x1024",
        "20200807_140631-f8d155b3",
        (77.56, 78.98, 11.4, 2.39),
    ),
    "pspnet_resnest101_d8_cityscapes.mmseg": _mmseg(
        "pspnet_s101-d8_512x1024_80k_cityscapes",
        "resnest_s101-d8_pspnet_4xb2-80k_cityscapes512x1024",
        "20200807_140631-c75f3b99",
        (78.57, 79.19, 11.8, 2.52),
    ),
    "deeplabv3_resnest101_d8_cityscapes.mmseg": _mmseg(
        "deeplabv3_s101-d8_512x1024_80k_cityscapes",
        "resnest_s101-d8_deeplabv3_4xb2-80k_cityscapes-512x1024",
        "20200807_144429-b73c4270",
        (79.67, 80.51, 11.9, 1.88),
    ),
    "deeplabv3plus_resnest101_d8_cityscapes.mmseg": _mmseg(
        "deeplabv3plus_s101-d8_512x1024_80k_cityscapes",
        "resnest_s101-d8_deeplabv3plus_4xb2-80k_cityscapes-512x1024",
        "20200807_144429-1239eb43",
        (79.62, 80.27, 13.2, 2.36),
    ),
    "fcn_resnest101_d8_ade20k.mmseg": _mmseg(
        "fcn_s101-d8_512x512_160k_ade20k",
        "resnest_s101-d8_fcn_4xb4-160k_ade20k-512x512",
        "20200807_145416-d3160329",
        (45.62, 46.16, 14.2, 12.86),
    ),
    "pspnet_resnest101_d8_ade20k.mmseg": _mmseg(
        "pspnet_s101-d8_512x512_160k_ade20k",
        "resnest_s101-d8_pspnet_4xb4-160k_ade20k-512x512",
        "20200807_145416-a6daa92a",
        (45.44, 46.28, 14.2, 13.02),
    ),
    "deeplabv3_resnest101_d8_ade20k.mmseg": _mmseg(
        "deeplabv3_s101-d8_512x512_160k_ade20k",
        "resnest_s101-d8_deeplabv3_4xb4-160k_ade20k-512x512",
        "20200807_144503-17ecabe5",
        (45.71, 46.59, 14.6, 9.28),
    ),
    "deeplabv3plus_resnest101_d8_ade20k.mmseg": _mmseg(
        "deeplabv3plus_s101-d8_512x512_160k_ade20k",
        "resnest_s101-d8_deeplabv3plus_4xb4-160k_ade20k-512x512",
        "20200807_144503-27b26226",
        (46.47, 47.27, 16.2, 11.96),
    ),
    "simplebaseline_resnest50_256x192_coco.mmpose": _mmpose(
        "resnest50_coco_256x192",
        "td-hm_resnest50_8xb64-210e_coco-256x192",
        "6e65eece_20210320",
        (0.721, 0.899, 0.802, 0.776, 0.938),
    ),
    "simplebaseline_resnest50_384x288_coco.mmpose": _mmpose(
        "resnest50_coco_384x288",
        "td-hm_resnest50_8xb64-210e_coco-384x288",
        "dcd20436_20210320",
        (0.737, 0.9, 0.811, 0.789, 0.938),
    ),
    "simplebaseline_resnest101_256x192_coco.mmpose": _mmpose(
        "resnest101_coco_256x192",
        "td-hm_resnest101_8xb64-210e_coco-256x192",
        "2ffcdc9d_20210320",
        (0.725, 0.899, 0.807, 0.781, 0.939),
    ),
    "simplebaseline_resnest101_384x288_coco.mmpose": _mmpose(
        "resnest101_coco_384x288",
        "td-hm_resnest101_8xb32-210e_coco-384x288",
        "80660658_20210320",
        (0.746, 0.906, 0.82, 0.798, 0.943),
    ),
    "simplebaseline_resnest200_256x192_coco.mmpose": _mmpose(
        "resnest200_coco_256x192",
        "td-hm_resnest200_8xb64-210e_coco-256x192",
        "db007a48_20210517",
        (0.732, 0.905, 0.812, 0.787, 0.942),
    ),
    "simplebaseline_resnest200_384x288_coco.mmpose": _mmpose(
        "resnest200_coco_384x288",
        "td-hm_resnest200_8xb16-210e_coco-384x288",
        "b5bb76cb_20210517",
        (0.754, 0.908, 0.827, 0.807, 0.945),
    ),
    "simplebaseline_resnest269_256x192_coco.mmpose": _mmpose(
        "resnest269_coco_256x192",
        "td-hm_resnest269_8xb32-210e_coco-256x192",
        "2a7882ac_20210517",
        (0.738, 0.907, 0.819, 0.793, 0.945),
    ),
    "simplebaseline_resnest269_384x288_coco.mmpose": _mmpose(
        "resnest269_coco_384x288",
        "td-hm_resnest269_8xb16-210e_coco-384x288",
        "b142b9fb_20210517",
        (0.755, 0.908, 0.828, 0.806, 0.943),
    ),
}
"""Name of a model -> its published file."""
