"""Checkpoints of other code bases on the command line, without another word and with the options for them."""

import json
from pathlib import Path

import pytest
import torch

from helpers import upstream_configs
from helpers.command_line import Run
from helpers.upstream_configs import CLASSES
from helpers.upstream_rows import python_text
from splitnest.models.build import build_model
from splitnest.upstream.content import Metadata
from splitnest.upstream.derive import derive


@pytest.fixture(scope="module")
def segmentor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkpoint as mmsegmentation 0 writes it, of a PSPNet with a ResNet-18 and three own classes."""
    path = tmp_path_factory.mktemp("work_dir") / "iter_40000.pth"
    config = upstream_configs.mmseg0()
    module = build_model(derive(config, "x", "x", Metadata(CLASSES)).recipe)
    meta = {"config": python_text(config), "CLASSES": CLASSES, "PALETTE": [[200, 0, 0], [0, 200, 0], [0, 0, 200]]}
    torch.save({"meta": meta, "state_dict": module.state_dict()}, path)
    return path


def test_segmentor_predicts_and_tells_what_it_is(run: Run, segmentor: Path, image_file: Path, tmp_path: Path) -> None:
    out = run("info", segmentor).stdout
    assert len(out.splitlines()) <= 11
    for words in ("semantic, from a configuration of mmseg", "3: apple, fig, plum", "depth 18", "40000", "all 172 fit"):
        assert words in out
    done = run("predict", segmentor, image_file, "--out", "predictions")
    assert "note: configuration: in the file" in done.stderr
    (image,) = json.loads((tmp_path / "predictions" / "results.json").read_text())["images"]
    assert {row["name"] for row in image["result"]["segments"]} <= set(CLASSES)
    run("convert", segmentor, "--out", "own.safetensors")
    assert "iter_40000" in run("info", "own.safetensors").stdout


def test_configuration_and_model_are_given(run: Run, segmentor: Path, image_file: Path, tmp_path: Path) -> None:
    stripped, config = tmp_path / "stripped.pth", tmp_path / "mine.py"
    torch.save({"state_dict": torch.load(segmentor, weights_only=True)["state_dict"]}, stripped)
    config.write_text(python_text(upstream_configs.mmseg1()))
    assert "neither a recipe nor a configuration" in run("predict", stripped, image_file, code=4).stderr
    run("predict", stripped, image_file, "--config", config, "--out", "predictions")
    error = run("predict", stripped, image_file, "--model", "fcn_resnest101_d8_ade20k", code=4).stderr
    assert "belongs to another model" in error
    config.write_text("model = dict(type='RetinaNet')")
    assert "this is a RetinaNet" in run("info", stripped, "--config", config, code=2).stderr
    config.write_text("model = open('trace', 'w')")
    assert "line 1: open('trace', 'w') is a call" in run("info", stripped, "--config", config, code=2).stderr
    assert not (tmp_path / "trace").exists()
