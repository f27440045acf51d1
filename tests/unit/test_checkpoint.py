"""Checkpoints: exact resume, whole files or none, use as weights."""

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_training import TinyData, facts, folder_of, recipe_of, start
from torch import Tensor, nn

import splitnest
from splitnest.build import build_model
from splitnest.errors import WeightsError
from splitnest.recipe import DetectionTraining, overrides
from splitnest.training import checkpoint
from splitnest.training.loop import fit
from splitnest.training.schedule import Schedule
from splitnest.training.state import TrainingState, start_state
from splitnest.weights.read import read

EVERYTHING = {
    "optimizer": "adamw",
    "ema_decay": 0.9,
    "precise_bn_steps": 2,
    "schedule": "cosine",
    "warmup_steps": 6,
    "clip_norm": 0.1,
    "accumulate": 2,
    "evaluate_every": 6,
}


def train(folder: Path, recipe: DetectionTraining, *, interrupt: int | None = None) -> TrainingState:
    """Train, or go on from the checkpoint in ``folder`` as another process would."""
    state, schedule = start(recipe)
    if (folder / "last.pt").exists():
        torch.manual_seed(1234)
        state, schedule = start(recipe)
        torch.rand(5)
        random.seed(1234)
        np.random.seed(1234)
        checkpoint.restore(state, folder / "last.pt")
    data = TinyData(recipe.accumulate, interrupt=interrupt)
    fit(state, schedule, data, folder_of(folder, recipe, state.step), evaluate)
    return state


def evaluate(model: nn.Module) -> dict[str, float]:
    return {"score": random.random() + np.random.rand() + model(torch.ones(1, 3, 8, 8)).item()}


def flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of nested containers."""
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from flat(item, f"{prefix}.{key}")
    else:
        yield prefix, value


def assert_same_file(one: Path, other: Path) -> None:
    first, second = (dict(flat(torch.load(path, weights_only=True))) for path in (one, other))
    assert first.keys() == second.keys()
    for key, value in first.items():
        same = torch.equal(value, second[key]) if isinstance(value, Tensor) else value == second[key]
        assert same, key


def test_nothing_to_resume(tmp_path: Path) -> None:
    state, _ = start(facts())
    with pytest.raises(WeightsError, match=r"last\.pt cannot be read: No such file"):
        checkpoint.restore(state, tmp_path / "last.pt")


@pytest.mark.parametrize(
    "values", [{}, EVERYTHING, {"precision": "bf16"}, {"precision": "fp16", "ema_decay": 0.5}], ids=str
)
def test_20_steps_are_12_and_8(tmp_path: Path, values: dict[str, Any]) -> None:
    recipe = facts(save_every=12, **values)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder, interrupts in ((whole, [None]), (broken, [14, None])):
        random.seed(5)
        np.random.seed(5)
        for interrupt in interrupts:
            if interrupt is None:
                train(folder, recipe)
            else:
                with pytest.raises(KeyboardInterrupt):
                    train(folder, recipe, interrupt=interrupt)
    assert_same_file(whole / "last.pt", broken / "last.pt")
    assert_same_file(whole / "best.pt", broken / "best.pt")


def test_it_holds_plain_data_alone(tmp_path: Path) -> None:
    train(tmp_path, facts(**EVERYTHING))
    content = torch.load(tmp_path / "last.pt", weights_only=True)
    assert overrides.from_json(content["recipe"]) == recipe_of(facts(**EVERYTHING))
    assert {type(leaf) for _, leaf in flat(content)} <= {Tensor, int, float, str, bool, type(None)}
    assert "training" not in torch.load(tmp_path / "best.pt", weights_only=True)


def test_weights_are_written_once(tmp_path: Path) -> None:
    state, _ = start(facts())
    state.model.extra = nn.Linear(1000, 100)
    checkpoint.save(state, recipe_of(facts()), tmp_path / "last.pt")
    assert 400_000 < (tmp_path / "last.pt").stat().st_size < 500_000


def test_a_full_disk_keeps_the_earlier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, _ = start(facts())
    path = tmp_path / "last.pt"
    checkpoint.save(state, recipe_of(facts()), path)
    earlier = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(WeightsError, match=r"cannot be written: No space left on device\. The earlier last\.pt"):
        checkpoint.save(state, recipe_of(facts()), path)
    assert path.read_bytes() == earlier
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_disk_that_fills_up_while_torch_writes(tmp_path: Path) -> None:
    code = f"""
import resource, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from torch import nn
from tiny_training import facts, recipe_of, start
from splitnest.errors import WeightsError
from splitnest.training import checkpoint
state, _ = start(facts())
path = Path({str(tmp_path / "last.pt")!r})
checkpoint.save(state, recipe_of(facts()), path)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
state.model.extra = nn.Linear(1000, 100)
try:
    checkpoint.save(state, recipe_of(facts()), path)
except WeightsError as error:
    print(error)
"""
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "last.pt cannot be written: File too large. The earlier last.pt is as it was." in output
    state, _ = start(facts())
    checkpoint.restore(state, tmp_path / "last.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


def test_a_damaged_file(tmp_path: Path) -> None:
    state, _ = start(facts())
    path = tmp_path / "last.pt"
    checkpoint.save(state, recipe_of(facts()), path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match=r"last\.pt is cut short or damaged"):
        checkpoint.restore(state, path)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"ema_decay": 0.9}, "differ in train.ema_decay"),
        ({"decay_norms": False}, "is of another training"),
    ],
)
def test_another_training(tmp_path: Path, other: dict[str, Any], message: str) -> None:
    train(tmp_path, facts())
    state, _ = start(facts(**other))
    with pytest.raises(WeightsError, match=message):
        checkpoint.restore(state, tmp_path / "last.pt")


def test_the_best_cannot_be_resumed(tmp_path: Path) -> None:
    train(tmp_path, facts())
    state, _ = start(facts())
    with pytest.raises(WeightsError, match=r"best\.pt holds nothing that a training could go on from"):
        checkpoint.restore(state, tmp_path / "best.pt")


def test_generators_go_on_where_they_were() -> None:
    states = checkpoint.random_states()
    draws = [random.gauss(0, 1), np.random.randn(), torch.randn(3)]
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    checkpoint.set_random_states(states)
    again = [random.gauss(0, 1), np.random.randn(), torch.randn(3)]
    assert draws[:2] == again[:2]
    assert torch.equal(draws[2], again[2])


@pytest.mark.parametrize("name", ["last.pt", "best.pt"])
def test_use_as_weights(tmp_path: Path, name: str) -> None:
    changes = {
        "model.backbone.depth": 14,
        "model.backbone.planes": 16,
        "model.fpn_channels": 16,
        "model.box_channels": 16,
        "model.box_features": 32,
        "model.mask_channels": 16,
        "data.classes": ["cat", "dog"],
    }
    train_facts = facts(ema_decay=0.9)
    recipe = overrides.apply(recipe_of(train_facts), changes)
    state = start_state(build_model(recipe), train_facts, Schedule(train_facts, 5))
    state.model.requires_grad_(False).rpn.conv.bias.fill_(7)
    checkpoint.save(state, recipe, tmp_path / name, resumable=name == "last.pt")
    found = read(tmp_path / name)
    assert found.recipe_json is not None
    assert found.state.keys() == state.model.state_dict().keys()
    predictor = splitnest.load(tmp_path / name, device="cpu")
    assert predictor.recipe == recipe
    assert_average = predictor.module.state_dict()
    for key, value in state.evaluated.state_dict().items():
        assert torch.equal(assert_average[key], value), key
    assert not predictor.module.rpn.conv.bias.eq(7).any()
    image = np.zeros((40, 50, 3), np.uint8)
    assert predictor.predict(image, resize=False)[0].categories.names == ("cat", "dog")
