"""Selection of the best model, and early stopping."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from helpers.tiny_training import NUM_STEPS, TinyData, assert_equal_tensors, state_dict_of, train, train_config
from splitnest.errors import UsageError
from splitnest.training.metrics_log import MetricsLog
from splitnest.training.selection import EarlyStopping, score, selected_first

SCORES = {2: 0.1, 4: 0.3, 6: 0.31, 8: 0.2, 10: 0.305, 12: 0.9, 14: 0.9, 16: 0.9, 18: 0.9, 20: 0.9}
"""Number of steps done -> metric of an evaluation."""


def scores(values: dict[int, float] = SCORES, start: int = 0) -> Any:
    steps: Iterator[int] = iter(step for step in values if step > start)

    def evaluate(_: nn.Module) -> dict[str, float]:
        step = next(steps)
        return {"score": values[step], "other": 1 - values[step], "val_loss": 2 - values[step]}

    return evaluate


def checkpoint_step(path: Path) -> int:
    return torch.load(path, weights_only=True)["step"]


def test_score_of_no_metrics_is_undefined() -> None:
    assert score({}) is None
    assert score({"ap": -1.0}) is None
    assert score({"own": float("nan")}) is None
    assert score({"own": -2.5, "ap": 1.0}) == -2.5
    assert score({"val_loss_box": 2.0}) == -2.0
    assert selected_first({}, None) == {}
    assert list(selected_first({"a": 1.0, "b": 2.0}, "b")) == ["b", "a"]


def test_gain_is_counted_from_the_last_gain() -> None:
    stopping = EarlyStopping()
    assert not stopping.is_due(0)
    for value, waited in ((None, 0), (0.5, 0), (0.54, 1), (None, 1), (0.58, 0), (0.1, 1), (0.62, 2)):
        stopping.update(value, 0.05)
        assert stopping.waited == waited
    assert stopping.is_due(2)
    assert stopping.is_due(1)
    assert not stopping.is_due(3)
    assert not stopping.is_due(0)


@pytest.mark.parametrize(
    ("settings", "last", "best"), [({}, 10, 6), ({"min_gain": 0.05}, 8, 6), ({"patience": 3}, 18, 12)]
)
def test_training_stops_early(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: dict[str, Any], last: int, best: int
) -> None:
    patience = {"patience": 2, "evaluate_every": 2, **settings}
    state = train(tmp_path, TinyData(), scores(), **patience)
    assert state.step == checkpoint_step(tmp_path / "last.pt") == last
    assert checkpoint_step(tmp_path / "best.pt") == best
    assert (
        f"stopped early: {patience['patience']} evaluations without a gain, after step {last} of 20"
        in capsys.readouterr().out
    )
    resumed = train(tmp_path, TinyData(), scores(start=last), **patience)  # takes no step
    assert resumed.step == last


def test_interrupted_training_stops_where_an_uninterrupted_one_does(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"patience": 2, "evaluate_every": 2, "save_every": 1}
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", TinyData(interrupt=9), scores(), **settings)
    train(tmp_path / "run", TinyData(), scores(start=8), **settings)
    train(tmp_path / "whole", TinyData(), scores(), **settings)
    assert checkpoint_step(tmp_path / "run" / "last.pt") == 10
    assert_equal_tensors(state_dict_of(tmp_path / "run" / "last.pt"), state_dict_of(tmp_path / "whole" / "last.pt"))


def test_stopped_training_continues_with_more_patience(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"evaluate_every": 2, "save_every": 1}
    train(tmp_path / "run", TinyData(), scores(), patience=2, **settings)
    assert train(tmp_path / "run", TinyData(), scores(start=10), patience=5, **settings).step == NUM_STEPS
    train(tmp_path / "whole", TinyData(), scores(), **settings)
    assert_equal_tensors(state_dict_of(tmp_path / "run" / "last.pt"), state_dict_of(tmp_path / "whole" / "last.pt"))


@pytest.mark.parametrize(("best_by", "best"), [(None, 12), ("score", 12), ("other", 2), ("val_loss", 12)])
def test_best_model_is_selected_by_the_metric(tmp_path: Path, best_by: str | None, best: int) -> None:
    state = train(tmp_path, TinyData(), scores(), best_by=best_by, evaluate_every=2)
    assert checkpoint_step(tmp_path / "best.pt") == best
    assert next(iter(state.best)) == (best_by or "score")
    assert len(MetricsLog(tmp_path, NUM_STEPS).rows) == NUM_STEPS


def test_unknown_metric_is_an_error_and_leaves_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"train\.best_by is box_ap, which is not a metric\. Use one of score, other, val_loss"
    ):
        train(tmp_path, TinyData(), scores(), best_by="box_ap", evaluate_every=2)
    assert checkpoint_step(tmp_path / "last.pt") == 2


def test_patience_needs_evaluations() -> None:
    with pytest.raises(ValidationError, match="patience counts evaluations, and evaluate_every is 0"):
        train_config(patience=2)
