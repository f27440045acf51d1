"""detectron2's Mask R-CNN with ResNeSt-50, as its authors published it, for comparison.

Both packages of the authors can be installed beside splitnest:

    pip install --no-build-isolation 'git+https://github.com/facebookresearch/detectron2'
    pip install --no-deps 'git+https://github.com/zhanghang1989/ResNeSt'

Weights are those of the parity tests, which give 100 detections in an image.
"""

import sys
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from helpers import oracle

NAME = "mask_rcnn_resnest50_fpn_1x_coco.detectron2"


def peer_config() -> Any:
    """Return detectron2's configuration of the model, with plain BN, because SyncBN needs several processes."""
    import resnest.d2
    from detectron2 import model_zoo
    from detectron2.config import get_cfg

    config = get_cfg()
    resnest.d2.add_resnest_config(config)
    config.merge_from_file(model_zoo.get_config_file("COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml"))
    model = config.MODEL
    model.DEVICE, model.WEIGHTS = "cpu", ""
    model.BACKBONE.NAME = "build_resnest_fpn_backbone"
    model.RESNETS.NORM = model.FPN.NORM = model.ROI_BOX_HEAD.NORM = model.ROI_MASK_HEAD.NORM = "BN"
    model.ROI_BOX_HEAD.NAME, model.ROI_BOX_HEAD.NUM_CONV, model.ROI_BOX_HEAD.NUM_FC = "FastRCNNConvFCHead", 4, 1
    model.PIXEL_MEAN, model.PIXEL_STD = [123.68, 116.779, 103.939], [58.393, 57.12, 57.375]
    config.INPUT.FORMAT = "RGB"
    return config


def checkpoint(folder: Path) -> Path:
    """Write the weights in detectron2's format."""
    return oracle.checkpoint(NAME, folder)


def load_peer(model: torch.nn.Module, path: Path) -> None:
    """Load all weights of detectron2's network."""
    model.load_state_dict(torch.load(path, weights_only=True)["model"])
