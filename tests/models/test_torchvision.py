"""Backbone in a detector of torchvision: the example of the documentation, run as it is."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

import splitnest
from helpers.paths import ROOT
from splitnest.weights import save

PAGE = ROOT / "docs" / "classification.md"


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the example with a small network; return its names."""
    (code,) = re.findall(r"```python\n(.*?BackboneWithFPN.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(code.splitlines()) <= 10
    predictor = splitnest.load("resnest14d", weights=None, device="cpu", overrides={"train.zero_init_last": False})
    path = tmp_path / "weights.safetensors"
    save.save(predictor.module, predictor.recipe, path)
    make_backbone = splitnest.backbone
    monkeypatch.setattr(splitnest, "backbone", lambda name, weights: make_backbone("resnest14d", weights=path))
    names: dict[str, Any] = {}
    exec(code, names)  # our own documentation
    assert torch.equal(names["body"].stem[0].conv.weight, predictor.module.backbone.stem[0].conv.weight)
    return names


def test_detector_of_torchvision_trains_and_detects(example: dict[str, Any]) -> None:
    detector = example["detector"]
    detector.transform.min_size, detector.transform.max_size = (64,), 80
    detector.rpn._post_nms_top_n = {"training": 50, "testing": 50}
    image, other = torch.rand(2, 3, 120, 150)  # normalization would leave nothing of two equal images
    target = {"boxes": torch.tensor([[20.0, 20.0, 90.0, 100.0]]), "labels": torch.tensor([3])}
    losses = detector.train()([image, other], [target, target])
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    gradients = {name: p.grad for name, p in example["body"].named_parameters()}
    assert all(gradient is not None for gradient in gradients.values())
    assert gradients["c2.0.conv2.fc1.weight"].abs().sum() > 0
    with torch.inference_mode():
        (detections,) = detector.eval()([image])
    assert set(detections) == {"boxes", "labels", "scores"}
