"""Callbacks of a training: what they get, and what happens if one raises."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import splitnest
from helpers.tiny_training import NUM_STEPS, TinyData, assert_equal_tensors, state_dict_of, train
from splitnest.errors import DataError, UsageError, UserCodeError
from splitnest.training.callbacks import Callback, Callbacks
from splitnest.training.metrics_log import MetricsLog
from splitnest.training.run_folder import Run


class Recorder(splitnest.Callback):
    """Callback that keeps what it gets."""

    def __init__(self) -> None:
        self.rows: list[Mapping[str, float]] = []
        self.evaluations: list[tuple[int, Mapping[str, float]]] = []
        self.runs: list[Run | None] = []

    def on_row(self, row: Mapping[str, float]) -> None:
        self.rows.append(row)

    def on_evaluation(self, step: int, metrics: Mapping[str, float]) -> None:
        self.evaluations.append((step, metrics))

    def on_end(self, run: Run | None) -> None:
        self.runs.append(run)


class Failing(Recorder):
    """Callback that raises in one hook, at a step."""

    def __init__(self, hook: str, step: int = 7, error: Exception | None = None) -> None:
        super().__init__()
        self.hook, self.step, self.error = hook, step, error or ValueError("no space in the room.")

    def on_row(self, row: Mapping[str, float]) -> None:
        super().on_row(row)
        self._raise("on_row", int(row["step"]))

    def on_evaluation(self, step: int, metrics: Mapping[str, float]) -> None:
        self._raise("on_evaluation", step)

    def on_end(self, run: Run | None) -> None:
        super().on_end(run)
        self._raise("on_end", self.step)

    def _raise(self, hook: str, step: int) -> None:
        if (hook, step) == (self.hook, self.step):
            raise self.error


def test_no_callbacks() -> None:
    none = Callbacks()
    none.row({"step": 1})
    none.evaluation(1, {})


def test_callbacks_get_rows_evaluations_and_the_run(tmp_path: Path) -> None:
    recorder, steps = Recorder(), []
    evaluated: dict[str, Any] = {"evaluate_every": 10, "callbacks": [recorder, lambda row: steps.append(row["step"])]}
    train(tmp_path, TinyData(), lambda _: {"score": 0.5}, **evaluated)
    assert recorder.rows == MetricsLog(tmp_path, NUM_STEPS).rows
    assert steps == [row["step"] for row in recorder.rows]
    assert recorder.evaluations == [(10, {"score": 0.5}), (20, {"score": 0.5})]
    (run,) = recorder.runs
    assert run is not None
    assert (run.folder, run.metrics) == (tmp_path, {"score": 0.5})


def test_callbacks_have_no_influence_on_the_training(tmp_path: Path) -> None:
    def draw(row: Mapping[str, float]) -> None:
        row["loss"] = torch.rand(3).sum() + np.random.rand() + random.random()  # type: ignore[index]

    train(tmp_path / "with", callbacks=[draw])
    train(tmp_path / "without")
    assert_equal_tensors(state_dict_of(tmp_path / "with" / "last.pt"), state_dict_of(tmp_path / "without" / "last.pt"))
    assert (
        MetricsLog(tmp_path / "with", NUM_STEPS).rows[0]["loss"]
        == MetricsLog(tmp_path / "without", NUM_STEPS).rows[0]["loss"]
    )


@pytest.mark.parametrize("hook", ["on_row", "on_evaluation"])
def test_callback_that_raises_leaves_a_checkpoint(tmp_path: Path, hook: str) -> None:
    settings: dict[str, Any] = {"evaluate_every": 10}
    failing = Failing(hook, 10)
    message = rf"The callback Failing failed in {hook} after step 10: ValueError: no space in the room\. Correct it"
    with pytest.raises(UserCodeError, match=message):
        train(tmp_path / "run", TinyData(), lambda _: {"score": 0.5}, callbacks=[failing], **settings)
    assert torch.load(tmp_path / "run" / "last.pt", weights_only=True)["step"] == 10
    assert failing.runs == [None]
    train(tmp_path / "run", TinyData(), lambda _: {"score": 0.5}, **settings)
    train(tmp_path / "whole", TinyData(), lambda _: {"score": 0.5}, **settings)
    assert_equal_tensors(state_dict_of(tmp_path / "run" / "last.pt"), state_dict_of(tmp_path / "whole" / "last.pt"))
    assert [row["step"] for row in MetricsLog(tmp_path / "run", NUM_STEPS).rows] == list(range(1, NUM_STEPS + 1))


def test_error_at_the_end_names_callback_and_checkpoint(tmp_path: Path) -> None:
    last = Recorder()
    with pytest.raises(
        UserCodeError, match=r"Failing failed in on_end; the training is finished, its checkpoint is .*last\.pt"
    ):
        train(tmp_path, callbacks=[Failing("on_end"), last])
    assert len(last.runs) == 1
    assert torch.load(tmp_path / "last.pt", weights_only=True)["step"] == NUM_STEPS


def test_other_errors_remain(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError):
        train(tmp_path, TinyData(not_finite=[3]), callbacks=[Failing("on_end")])
    assert "note: The callback Failing failed in on_end: ValueError" in capfd.readouterr().err


def test_package_error_in_a_callback_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserCodeError, match=r"Failing failed in on_row after step 2: no such file\."):
        train(tmp_path, callbacks=[Failing("on_row", 2, UsageError("no such file."))])


@pytest.mark.parametrize(
    ("callback", "message"),
    [(Callback, r"the class Callback\. Give an object of it: Callback\(\)"), (3, "an object of the type int")],
)
def test_object_that_is_no_callback_is_refused(callback: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Callbacks([callback])
