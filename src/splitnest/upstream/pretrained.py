"""Addresses of the pretrained backbones that upstream configurations name.

Sources: mmcv 2.1 ``mmcv/model_zoo/open_mmlab.json`` and ``mmcls.json``, torchvision's ``IMAGENET1K_V1``, detectron2
``checkpoint/catalog.py``.
"""

_THIRD_PARTY = "https://download.openmmlab.com/pretrain/third_party"
_MMCLS = "https://download.openmmlab.com/mmclassification/v0"
_DETECTRON = "https://dl.fbaipublicfiles.com/detectron/ImageNetPretrained"

_ADDRESSES = {
    "torchvision://resnet18": "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    "torchvision://resnet34": "https://download.pytorch.org/models/resnet34-b627a593.pth",
    "torchvision://resnet50": "https://download.pytorch.org/models/resnet50-0676ba61.pth",
    "torchvision://resnet101": "https://download.pytorch.org/models/resnet101-63fe2227.pth",
    "torchvision://resnet152": "https://download.pytorch.org/models/resnet152-394f9c45.pth",
    "open-mmlab://resnet18_v1c": f"{_THIRD_PARTY}/resnet18_v1c-b5776b93.pth",
    "open-mmlab://resnet50_v1c": f"{_THIRD_PARTY}/resnet50_v1c-2cccc1ad.pth",
    "open-mmlab://resnet101_v1c": f"{_THIRD_PARTY}/resnet101_v1c-e67eebb6.pth",
    "open-mmlab://resnext50_32x4d": f"{_THIRD_PARTY}/resnext50-32x4d-0ab1a123.pth",
    "open-mmlab://resnext101_32x4d": f"{_THIRD_PARTY}/resnext101_32x4d-a5af3160.pth",
    "open-mmlab://resnext101_64x4d": f"{_THIRD_PARTY}/resnext101_64x4d-ee2c6f71.pth",
    "open-mmlab://msra/hrnetv2_w18_small": f"{_THIRD_PARTY}/hrnetv2_w18_small-b5a04e21.pth",
    "open-mmlab://msra/hrnetv2_w18": f"{_THIRD_PARTY}/hrnetv2_w18-00eb2006.pth",
    "open-mmlab://msra/hrnetv2_w32": f"{_THIRD_PARTY}/hrnetv2_w32-dc9eeb4f.pth",
    "open-mmlab://msra/hrnetv2_w40": f"{_THIRD_PARTY}/hrnetv2_w40-ed0b031c.pth",
    "open-mmlab://msra/hrnetv2_w48": f"{_THIRD_PARTY}/hrnetv2_w48-d2186c55.pth",
    "open-mmlab://detectron2/resnet50_caffe": f"{_THIRD_PARTY}/resnet50_msra-5891d200.pth",
    "open-mmlab://detectron2/resnet101_caffe": f"{_THIRD_PARTY}/resnet101_msra-6cc46731.pth",
    "open-mmlab://detectron2/resnext101_32x8d": f"{_THIRD_PARTY}/resnext101_32x8d-1516f1aa.pth",
    "open-mmlab://detectron/resnet50_gn": f"{_THIRD_PARTY}/resnet50_gn-9186a21c.pth",
    "open-mmlab://detectron/resnet101_gn": f"{_THIRD_PARTY}/resnet101_gn-cac0ab98.pth",
    "open-mmlab://contrib/resnet50_gn": f"{_THIRD_PARTY}/resnet50_gn_thangvubk-ad1730dd.pth",
    "open-mmlab://jhu/resnet50_gn_ws": f"{_THIRD_PARTY}/resnet50_gn_ws-15beedd8.pth",
    "open-mmlab://jhu/resnet101_gn_ws": f"{_THIRD_PARTY}/resnet101_gn_ws-3e3c308c.pth",
    "open-mmlab://jhu/resnext50_32x4d_gn_ws": f"{_THIRD_PARTY}/resnext50_32x4d_gn_ws-0d87ac85.pth",
    "open-mmlab://jhu/resnext101_32x4d_gn_ws": f"{_THIRD_PARTY}/resnext101_32x4d_gn_ws-34ac1a9e.pth",
    "mmcls://resnet50_v1d": f"{_MMCLS}/resnet/resnetv1d50_batch256_imagenet_20200708-1ad0ce94.pth",
    "mmcls://resnet101_v1d": f"{_MMCLS}/resnet/resnetv1d101_batch256_imagenet_20200708-9cb302ef.pth",
    "mmcls://resnet152_v1d": f"{_MMCLS}/resnet/resnetv1d152_batch256_imagenet_20200708-e79cb6a2.pth",
    "mmcls://resnext50_32x4d": f"{_MMCLS}/resnext/resnext50_32x4d_b32x8_imagenet_20210429-56066e27.pth",
    "mmcls://resnext101_32x4d": f"{_MMCLS}/resnext/resnext101_32x4d_b32x8_imagenet_20210506-e0fa3dd5.pth",
    "mmcls://resnext152_32x4d": f"{_MMCLS}/resnext/resnext152_32x4d_b32x8_imagenet_20210524-927787be.pth",
    "catalog://ImageNetPretrained/FAIR/R-50-GN": f"{_DETECTRON}/47261647/R-50-GN.pkl",
    "catalog://ImageNetPretrained/FAIR/R-101-GN": f"{_DETECTRON}/47592356/R-101-GN.pkl",
    "catalog://ImageNetPretrained/FAIR/X-152-32x8d-IN5k": f"{_DETECTRON}/25093814/X-152-32x8d-IN5k.pkl",
    "open-mmlab://resnest50": "resnest50_imagenet.official",
    "open-mmlab://resnest101": "resnest101_imagenet.official",
    "open-mmlab://resnest200": "resnest200_imagenet.official",
    "mmcls://resnest50": "resnest50_imagenet.official",
    "mmcls://resnest101": "resnest101_imagenet.official",
    "mmcls://resnest200": "resnest200_imagenet.official",
    "mmcls://resnest269": "resnest269_imagenet.official",
}
"""Upstream name -> address, or name of the published model that the file was converted from."""


def initial_weights(name: object) -> str | None:
    """Return the value of ``train.init_from`` for upstream weights; None for a local file and an unknown name."""
    if not isinstance(name, str):
        return None
    if name.startswith("detectron2://"):
        return f"https://dl.fbaipublicfiles.com/detectron2/{name.removeprefix('detectron2://')}"
    return name if name.startswith("https://") else _ADDRESSES.get(name)
