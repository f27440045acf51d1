"""Losses and gradients of one batch in float64 against recordings of mmdetection and detectron2."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import oracle
from helpers.ordinary import names_of
from helpers.paths import INPUTS
from splitnest.structures.instances import Instances

MODELS = [
    "mask_rcnn_resnest50_fpn_1x_coco.mmdet",
    "mask_rcnn_resnest50_fpn_1x_coco.detectron2",
    "cascade_mask_rcnn_resnest50_fpn_1x_coco.mmdet",
    "cascade_mask_rcnn_resnest50_fpn_1x_coco.detectron2",
    *(
        name
        for name in names_of("mmdet", "detectron2")
        if oracle.exists(f"{name}.train") and not name.startswith("panoptic")
    ),
]
EVERYTHING = {"model.rpn_samples": 1_000_000, "model.roi_samples": 1_000_000}
"""So many samples that all candidates are taken and nothing is random."""

NAMES = {"loss_rpn_loc": "loss_rpn_box", "bbox": "box", "box_reg": "box", "sem_seg": "semantic"}
"""Part of an original loss name -> ours, where they differ."""


def our_name(theirs: str, ours: Collection[str]) -> str:
    """Return our name of a loss: ``s1.loss_bbox`` (mmdetection) and ``loss_box_reg_stage1`` are ``loss_box_stage1``."""
    stage, _, name = theirs.rpartition(".")
    for source, target in NAMES.items():
        name = name.replace(source, target)
    name = f"{name}_stage{stage[1:]}" if stage else name
    return name if name in ours else f"{name}_stage0"  # detectron2's one mask head sees the regions of the first stage


def objects(scene: str) -> Instances:
    content = json.loads((INPUTS / "scenes.json").read_text())
    (image,) = (image for image in content["images"] if image["file"] == f"{scene}.png")
    return Instances(
        torch.tensor([o["box"] for o in image["objects"]], dtype=torch.float64),
        torch.tensor([o["class_index"] for o in image["objects"]]),
        tuple([np.array(polygon) for polygon in o["polygons"]] for o in image["objects"]),
    )


def losses_of(name: str, folder: Path) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    """Return a model in float64 and its losses for the recorded batch."""
    predictor = oracle.model(name, folder, EVERYTHING)
    module, scenes = predictor.module.double().train(), ("scene_a", "scene_c")
    semantic = [np.asarray(Image.open(INPUTS / f"{scene}_semantic.png")) for scene in scenes]
    batch = predictor.batch([oracle.image(s) for s in scenes], [objects(s) for s in scenes], semantic)
    return module, module.loss(batch)


def check_losses(losses: Mapping[str, torch.Tensor], recorded: dict[str, Any], bound: float) -> None:
    for key, value in recorded["losses"].items():
        if "loss" in key:  # and not the accuracy
            assert losses[our_name(key, losses)].item() == pytest.approx(value, rel=bound), key
    assert sum(loss.item() for loss in losses.values()) == pytest.approx(recorded["total"], rel=bound)


@pytest.mark.parity
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ["panoptic_fpn_resnest200_3x_coco.detectron2", "panoptic_fpn_R_50_1x.detectron2"])
def test_losses_panoptic(name: str, tmp_path: Path) -> None:
    """Only the losses are compared, at 1e-4: the gradients of 200 layers are huge."""
    with torch.no_grad():
        _, losses = losses_of(name, tmp_path)
    check_losses(losses, oracle.recording(f"{name}.train"), 1e-4)


@pytest.mark.parity
@pytest.mark.timeout(3600)  # 12,000 regions of a cascade in float64 take minutes
@pytest.mark.parametrize("name", MODELS)
def test_losses_and_gradients(name: str, tmp_path: Path) -> None:
    recorded = oracle.recording(f"{name}.train")
    module, losses = losses_of(name, tmp_path)
    check_losses(losses, recorded, 1e-5)
    torch.stack(list(losses.values())).sum().backward()
    oracle.check_gradients(module, name)
