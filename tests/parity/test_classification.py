"""Classification models against recordings of the official repository and of timm."""

from pathlib import Path

import numpy as np
import pytest
import torch

import splitnest
from helpers import oracle
from splitnest.inference.resolve import resolve
from splitnest.models.build import build_model
from splitnest.weights import load as weights

MODELS = [
    "resnest50_fast_2s2x40d_imagenet.official",
    "resnest14d_imagenet.timm",
    pytest.param("resnest50_imagenet.official", marks=pytest.mark.parity),
    pytest.param("resnest50_fast_1s1x64d_imagenet.official", marks=pytest.mark.parity),
    pytest.param("resnest101_imagenet.official", marks=pytest.mark.parity),
    pytest.param("resnest50d_4s2x40d_imagenet.timm", marks=pytest.mark.parity),
    pytest.param("resnest101e_imagenet.timm", marks=pytest.mark.parity),
]


def crop() -> np.ndarray:
    return oracle.image("scene_a")[48:272, 128:352]


@torch.inference_mode()
def check_stages(module: torch.nn.Module, record: dict) -> None:
    pixels = torch.from_numpy(crop().copy()).permute(2, 0, 1).float() / 255
    mean, std = (torch.tensor(record[key])[:, None, None] for key in ("pixel_mean", "pixel_std"))
    images = ((pixels - mean) / std)[None]
    stages = {}
    for name in ("c2", "c3", "c4", "c5"):
        module.get_submodule(f"backbone.{name}").register_forward_hook(
            lambda _module, _inputs, output, name=name: stages.update({name: output})
        )
    logits = module(images)[0]
    for name, recorded in record["features"].items():
        assert oracle.distance(stages[name], recorded) < 1e-4, name
    assert (logits - torch.tensor(record["logits"])).abs().max() < 1e-4
    assert sum(p.numel() for p in module.parameters()) == record["num_params"]


@pytest.mark.parametrize("name", MODELS)
def test_model(name: str, tmp_path: Path) -> None:
    record = oracle.recording(name)
    predictor = oracle.model(name, tmp_path)
    check_stages(predictor.module, record)
    (result,) = predictor.predict(crop(), resize=False)
    expected = torch.tensor(record["logits"]).softmax(0).numpy()
    assert np.abs(result.probabilities - expected).max() < 1e-6
    assert result.top[0][0] == expected.argmax()


@pytest.mark.parity
def test_official_dilation(tmp_path: Path) -> None:
    """The official repository's dilated network, with average pooling in dilated stages, has no published weights."""
    name = "resnest50_dilated_imagenet.official"
    recipe, _ = resolve("resnest50_imagenet.official", {"model.backbone.output_stride": 8})
    module = build_model(recipe).eval()
    weights.load(module, oracle.checkpoint(name, tmp_path))
    check_stages(module, oracle.recording(name))


def test_backbone_is_public(tmp_path: Path) -> None:
    name = "resnest14d_imagenet.timm"
    backbone = splitnest.backbone("resnest14d", weights=oracle.checkpoint(name, tmp_path), out=("c3", "c5")).eval()
    assert backbone.channels == {"c3": 512, "c5": 2048}
    assert backbone.strides == {"c3": 8, "c5": 32}
    record = oracle.recording(name)
    pixels = torch.from_numpy(crop().copy()).permute(2, 0, 1).float() / 255
    mean, std = (torch.tensor(record[key])[:, None, None] for key in ("pixel_mean", "pixel_std"))
    with torch.inference_mode():
        features = backbone(((pixels - mean) / std)[None])
    assert list(features) == ["c3", "c5"]
    for stage, values in features.items():
        assert oracle.distance(values, record["features"][stage]) < 1e-4
