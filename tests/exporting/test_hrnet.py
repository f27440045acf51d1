"""ONNX files of HRNets, whose branches have any size."""

from pathlib import Path

import numpy as np
import pytest

import splitnest
from helpers.families import VARIANTS, random_image, randomize_detections


@pytest.mark.parity
@pytest.mark.parametrize("head", ["fcn", "ocr"])
def test_branches_of_any_size(head: str, tmp_path: Path) -> None:
    """The sides of the image are no multiples of 32, so that branches are resized twice."""
    changes = {"model.backbone": {"hrnet": 8, "num_blocks": [1, 1, 1, 1], "num_modules": [1, 1, 1]}}
    changes |= {"model.all_levels": True, "model.head_channels": 120, "model.auxiliary_channels": 120}  # type: ignore[dict-item]
    changes |= {"model.head": head, "model.ocr_channels": 8}  # type: ignore[dict-item]
    changes |= {"input.short_side": 64, "input.long_side": 128}  # type: ignore[dict-item]
    model = splitnest.load("fcn_resnest101_d8_cityscapes", weights=None, device="cpu", overrides=changes)
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    splitnest.export(model, tmp_path / "model.onnx")
    (expected,), (found,) = model.predict(image), splitnest.load(tmp_path / "model.onnx").predict(image)
    assert (expected.labels == found.labels).mean() > 0.999


@pytest.mark.parity
def test_detector(tmp_path: Path) -> None:
    row, changes = VARIANTS["HRNet, HRFPN"]
    model = splitnest.load(row, weights=None, device="cpu", overrides={**changes, "input.short_side": 96})
    randomize_detections(model.module, logits_std=0.5)
    splitnest.export(model, tmp_path / "model.onnx")
    image = random_image(80, 120)
    (expected,), (found,) = model.predict(image), splitnest.load(tmp_path / "model.onnx").predict(image)
    assert len(expected) == len(found) > 5
    assert np.abs(np.sort(expected.scores) - np.sort(found.scores)).max() < 1e-4
