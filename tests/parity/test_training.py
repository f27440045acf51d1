"""Losses and gradients of one batch in float64 against recordings of mmdetection and detectron2."""

import json
from pathlib import Path

import numpy as np
import oracle
import pytest
import torch

import splitnest
from splitnest.batch import Instances
from splitnest.weights.layout import translate

ROWS = ["mask_rcnn_resnest50_fpn_1x_coco.mmdet", "mask_rcnn_resnest50_fpn_1x_coco.detectron2"]
EVERYTHING = {"model.rpn_samples": 1_000_000, "model.roi_samples": 1_000_000}
"""So large that every candidate is taken and nothing is random."""

NAMES = {
    "loss_rpn_bbox": "loss_rpn_box",
    "loss_rpn_loc": "loss_rpn_box",
    "loss_bbox": "loss_box",
    "loss_box_reg": "loss_box",
}
"""What the originals call the losses, where they call them otherwise."""


def objects(scene: str) -> Instances:
    content = json.loads((oracle.INPUTS / "scenes.json").read_text())
    (image,) = (image for image in content["images"] if image["file"] == f"{scene}.png")
    return Instances(
        torch.tensor([o["box"] for o in image["objects"]], dtype=torch.float64),
        torch.tensor([o["class_index"] for o in image["objects"]]),
        tuple([np.array(polygon) for polygon in o["polygons"]] for o in image["objects"]),
    )


@pytest.mark.parity
@pytest.mark.parametrize("name", ROWS)
def test_losses_and_gradients(name: str, tmp_path: Path) -> None:
    recorded = oracle.recording(f"{name}.train")
    predictor = splitnest.load(name, weights=oracle.checkpoint(name, tmp_path), device="cpu", overrides=EVERYTHING)
    module = predictor.module.double().train()
    scenes = ("scene_a", "scene_c")
    batch = predictor.batch([oracle.image(scene) for scene in scenes], [objects(scene) for scene in scenes])
    losses = module.loss(batch)
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    for key, value in recorded["losses"].items():
        if key.startswith("loss"):
            assert losses[NAMES.get(key, key)].item() == pytest.approx(value, rel=1e-5), key
    assert total.item() == pytest.approx(recorded["total"], rel=1e-5)

    ours = {source: key for key, source in translate(list(oracle.recording(name)["state_dict"])).sources.items()}
    parameters = dict(module.named_parameters())
    gradients = [p.grad for p in parameters.values() if p.grad is not None]
    assert len(gradients) == recorded["trainable"]
    for key, value in recorded["grad_norms"].items():
        bound = 2e-3 if "layer" in key or "bottom_up" in key else 1e-4
        assert parameters[ours[key]].grad.norm().item() == pytest.approx(value, rel=bound), key
    assert torch.stack([g.norm() for g in gradients]).norm().item() == pytest.approx(
        recorded["grad_norm_total"], rel=2e-3
    )
