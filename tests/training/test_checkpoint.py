"""Checkpoints: exact resuming, atomic writing, use as weights."""

import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import splitnest
from helpers.nested import flat
from helpers.processes import run_function
from helpers.tiny_training import TinyData, fit, new_state, recipe_of, train, train_config
from splitnest.errors import OutputError, WeightsError
from splitnest.models.build import build_model
from splitnest.recipe import DetectionTraining, overrides
from splitnest.recipe.serialization import from_json
from splitnest.training import checkpoint
from splitnest.training.schedule import Schedule
from splitnest.training.state import initial_state
from splitnest.weights.read import read

ALL_FEATURES = {
    "optimizer": "adamw",
    "ema_decay": 0.9,
    "precise_bn_batches": 2,
    "schedule": "cosine",
    "warmup_iterations": 6,
    "clip_grad_norm": 0.1,
    "accumulate": 2,
    "evaluate_every": 6,
}


def train_or_resume(folder: Path, train_cfg: DetectionTraining, *, interrupt: int | None = None) -> None:
    """Train, or resume from the checkpoint in ``folder`` with other random states, as another process would."""
    state, schedule = new_state(train_cfg)
    if (folder / "last.pt").exists():
        torch.manual_seed(1234)
        state, schedule = new_state(train_cfg)
        torch.rand(5)
        random.seed(1234)
        np.random.seed(1234)
        checkpoint.restore(state, folder / "last.pt")
    fit(state, schedule, TinyData(train_cfg.accumulate, interrupt=interrupt), folder, random_score)


def random_score(model: nn.Module) -> dict[str, float]:
    return {"score": random.random() + np.random.rand() + model(torch.ones(1, 3, 8, 8)).item()}


def assert_same_file(one: Path, other: Path) -> None:
    first, second = (dict(flat(torch.load(path, weights_only=True))) for path in (one, other))
    assert first.keys() == second.keys()
    for key, value in first.items():
        same = torch.equal(value, second[key]) if isinstance(value, Tensor) else value == second[key]
        assert same, key


def test_missing_checkpoint_is_an_error(tmp_path: Path) -> None:
    state, _ = new_state(train_config())
    with pytest.raises(WeightsError, match=r"last\.pt cannot be read: it does not exist"):
        checkpoint.restore(state, tmp_path / "last.pt")


@pytest.mark.parametrize(
    "values", [{}, ALL_FEATURES, {"precision": "bf16"}, {"precision": "fp16", "ema_decay": 0.5}], ids=str
)
def test_resumed_training_writes_the_same_checkpoints(tmp_path: Path, values: dict[str, Any]) -> None:
    train_cfg = train_config(save_every=12, **values)
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    for folder, interrupts in ((whole, [None]), (resumed, [14, None])):
        random.seed(5)
        np.random.seed(5)
        for interrupt in interrupts:
            if interrupt is None:
                train_or_resume(folder, train_cfg)
            else:
                with pytest.raises(KeyboardInterrupt):
                    train_or_resume(folder, train_cfg, interrupt=interrupt)
    assert_same_file(whole / "last.pt", resumed / "last.pt")
    assert_same_file(whole / "best.pt", resumed / "best.pt")


def test_checkpoint_has_plain_containers_only(tmp_path: Path) -> None:
    train(tmp_path, evaluate=random_score, **ALL_FEATURES)
    content = torch.load(tmp_path / "last.pt", weights_only=True)
    assert from_json(content["recipe"]) == recipe_of(train_config(**ALL_FEATURES))
    assert {type(leaf) for _, leaf in flat(content)} <= {Tensor, int, float, str, bool, type(None)}
    assert "training" not in torch.load(tmp_path / "best.pt", weights_only=True)


def test_weights_are_written_once(tmp_path: Path) -> None:
    state, _ = new_state(train_config())
    state.model.extra = nn.Linear(1000, 100)
    checkpoint.save(state, recipe_of(train_config()), tmp_path / "last.pt")
    assert 400_000 < (tmp_path / "last.pt").stat().st_size < 500_000


def test_full_disk_keeps_the_previous_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, _ = new_state(train_config())
    path = tmp_path / "last.pt"
    checkpoint.save(state, recipe_of(train_config()), path)
    previous = path.read_bytes()

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(
        OutputError, match=r"last\.pt cannot be written: No space left on device\. The existing file is unchanged\."
    ):
        checkpoint.save(state, recipe_of(train_config()), path)
    assert path.read_bytes() == previous
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_disk_that_fills_up_while_torch_writes_keeps_the_previous_checkpoint(tmp_path: Path) -> None:
    from helpers.limited_resources import save_with_limited_file_size

    output = run_function(save_with_limited_file_size, tmp_path / "run" / "last.pt", log=tmp_path / "log")
    assert "last.pt cannot be written: File too large. The existing file is unchanged." in output
    state, _ = new_state(train_config())
    checkpoint.restore(state, tmp_path / "run" / "last.pt")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["last.pt"]


def test_damaged_file_is_an_error(tmp_path: Path) -> None:
    state, _ = new_state(train_config())
    path = tmp_path / "last.pt"
    checkpoint.save(state, recipe_of(train_config()), path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match=r"last\.pt is truncated or damaged"):
        checkpoint.restore(state, path)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"ema_decay": 0.9}, "was trained with another train.ema_decay"),
        ({"decay_norms": False}, "belongs to another training"),
    ],
)
def test_checkpoint_of_another_training_is_an_error(tmp_path: Path, other: dict[str, Any], message: str) -> None:
    state, _ = new_state(train_config())
    checkpoint.save(state, recipe_of(train_config()), tmp_path / "last.pt")
    state, _ = new_state(train_config(**other))
    with pytest.raises(WeightsError, match=message):
        checkpoint.restore(state, tmp_path / "last.pt")


def test_best_checkpoint_is_not_resumable(tmp_path: Path) -> None:
    train(tmp_path, evaluate=random_score, iterations=1)
    state, _ = new_state(train_config())
    with pytest.raises(WeightsError, match=r"best\.pt is not a resumable checkpoint"):
        checkpoint.restore(state, tmp_path / "best.pt")


def test_random_states_are_restored() -> None:
    states = checkpoint.get_random_states()
    draws = [random.gauss(0, 1), np.random.randn(), torch.randn(3)]
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    checkpoint.set_random_states(states)
    again = [random.gauss(0, 1), np.random.randn(), torch.randn(3)]
    assert draws[:2] == again[:2]
    assert torch.equal(draws[2], again[2])


@pytest.mark.parametrize("name", ["last.pt", "best.pt"])
def test_checkpoints_load_as_weights(tmp_path: Path, name: str) -> None:
    changes = {
        "model.backbone.depth": 14,
        "model.backbone.planes": 8,
        "model.backbone.base_width": 32,
        "model.fpn_channels": 16,
        "model.box_conv_channels": 16,
        "model.box_fc_channels": 32,
        "model.mask_channels": 16,
        "data.classes": ["cat", "dog"],
    }
    train_cfg = train_config(ema_decay=0.9)
    recipe = overrides.apply(recipe_of(train_cfg), changes)
    state = initial_state(build_model(recipe), train_cfg, Schedule(train_cfg, 5))
    state.model.requires_grad_(False).rpn.conv.bias.fill_(7)
    checkpoint.save(state, recipe, tmp_path / name, resumable=name == "last.pt")
    weights = read(tmp_path / name)
    assert weights.recipe_json is not None
    assert weights.state.keys() == state.model.state_dict().keys()
    predictor = splitnest.load(tmp_path / name, device="cpu")
    assert predictor.recipe == recipe
    loaded = predictor.module.state_dict()
    for key, value in state.evaluated_model.state_dict().items():
        assert torch.equal(loaded[key], value), key
    assert not predictor.module.rpn.conv.bias.eq(7).any()
    image = np.zeros((40, 50, 3), np.uint8)
    assert predictor.predict(image, resize=False)[0].categories.names == ("cat", "dog")
