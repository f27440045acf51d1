"""Trainings of a tiny detector whose second stage adapts or weighs its samples, by their recipes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from helpers.tiny_detector import CONTENT
from helpers.tiny_training import assert_equal_tensors, interrupted, state_dict_of
from splitnest.training.train import train

TRAININGS: dict[str, dict[str, Any]] = {
    "pisa": {"model.pisa": {}},
    "dynamic": {"model.dynamic.interval": 3, "model.dynamic.iou_topk": 5, "model.box_beta": 1.0},
    "giou": {"model.box_loss": "giou", "model.box_loss_weight": 10.0},
}


@pytest.mark.parametrize("name", TRAININGS)
def test_resumed_training_equals_an_uninterrupted_one(name: str, tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(CONTENT))
    values = {"train.save_every": 1, **TRAININGS[name]}
    whole = train(path, values, out=tmp_path / "whole", device="cpu")
    with interrupted(3), pytest.raises(KeyboardInterrupt):
        train(path, values, out=tmp_path / "run", device="cpu")
    run = train(tmp_path / "run", resume=True, device="cpu")
    assert_equal_tensors(state_dict_of(whole.last), state_dict_of(run.last))
    rows = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert np.isfinite([row["loss"] for row in rows]).all()
    assert ("loss_carl" in rows[0]) == (name == "pisa")
    adapted = torch.load(run.last, weights_only=True)["training"]["adapted"]
    if name == "dynamic":
        assert len(adapted["roi_heads"]["ious"]) == 1  # the fourth of four steps, after an adaptation
    else:
        assert adapted == {}
