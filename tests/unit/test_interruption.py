"""SIGTERM and SIGINT, sent to real processes."""

import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Thread
from typing import Any

import image_tree
import pytest
import torch
from processes import CONTEXT, children, start, wait_for
from tiny_training import TinyData, facts, folder_of, state_of
from tiny_training import start as start_training
from torch import nn

from splitnest.batch import Batch
from splitnest.errors import Interrupted
from splitnest.recipe import overrides
from splitnest.training import checkpoint
from splitnest.training.loop import fit

BOTH = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


class Signalled(TinyData):
    """Sends signals to this very process before a step."""

    def __init__(self, step: int, *numbers: signal.Signals) -> None:
        super().__init__()
        self.step, self.numbers = step, numbers

    def steps(self, start: int) -> Iterator[Sequence[Batch]]:
        for step, parts in enumerate(super().steps(start), start):
            if step == self.step:
                for number in self.numbers:
                    os.kill(os.getpid(), number)
            yield parts


def run(folder: Path, data: TinyData, evaluate: Any = None, **values: Any) -> None:
    train = facts(**values)
    state, schedule = start_training(train)
    if (folder / "last.pt").exists():
        checkpoint.restore_newest(state, folder / "last.pt")
    fit(state, schedule, data, folder_of(folder, train, state.step), evaluate)


def assert_same(one: Path, other: Path) -> None:
    first, second = state_of(one), state_of(other)
    assert all(torch.equal(first[key], second[key]) for key in first)


@BOTH
def test_the_step_is_finished(tmp_path: Path, number: signal.Signals, capfd: pytest.CaptureFixture[str]) -> None:
    handlers = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)]
    folder = tmp_path / "broken"
    with pytest.raises(Interrupted) as caught:
        run(folder, Signalled(7, number))
    assert caught.value.exit_code == 75
    assert str(caught.value) == (
        f"Interrupted by {number.name} after step 8 of 20; go on with: splitnest train {folder} --resume"
    )
    assert f"{number.name}: writing a checkpoint; once more leaves without one\n" in capfd.readouterr().err
    assert torch.load(folder / "last.pt", weights_only=True)["step"] == 8
    assert [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)] == handlers
    run(folder, TinyData())
    run(tmp_path / "whole", TinyData())
    assert_same(folder / "last.pt", tmp_path / "whole" / "last.pt")


def test_at_the_last_step_the_evaluation_is_left_to_be_done(tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="after step 20 of 20"):
        run(tmp_path, Signalled(19, signal.SIGTERM), lambda _: {"score": 0.5})
    assert not (tmp_path / "best.pt").exists()
    run(tmp_path, TinyData(poison=20), lambda _: {"score": 0.5})  # takes no step
    assert torch.load(tmp_path / "best.pt", weights_only=True)["metrics"] == {"score": 0.5}


@BOTH
@pytest.mark.parametrize("at", [10, 20])
def test_an_evaluation_is_broken_off_and_made_up_for(tmp_path: Path, number: signal.Signals, at: int) -> None:
    """It may be the one after the last step."""
    values = {"evaluate_every": 10, "ema_decay": 0.9, "precise_bn_steps": 2}
    scores: list[float] = []

    def evaluate(model: nn.Module) -> dict[str, float]:
        scores.append(model(torch.ones(1, 3, 8, 8)).item())
        return {"score": scores[-1]}

    def slow(model: nn.Module) -> dict[str, float]:
        if not list((tmp_path / "broken").glob("best.pt")) and at == 20:
            return evaluate(model)
        os.kill(os.getpid(), number)
        time.sleep(60)
        raise AssertionError("the signal was not heard")

    run(tmp_path / "whole", TinyData(), evaluate, **values)
    expected = scores.copy()
    scores.clear()
    started = time.monotonic()
    with pytest.raises(Interrupted, match=f"after step {at} of 20"):
        run(tmp_path / "broken", TinyData(), slow, **values)
    assert time.monotonic() - started < 20
    run(tmp_path / "broken", TinyData(), evaluate, **values)
    assert scores == expected
    for name in ("last.pt", "best.pt"):
        assert_same(tmp_path / "whole" / name, tmp_path / "broken" / name)
    rows = [json.loads(line) for line in (tmp_path / "broken" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "score" in row] == [10, 20]


def test_an_evaluation_that_is_due_is_not_begun(tmp_path: Path) -> None:
    def evaluate(_: nn.Module) -> dict[str, float]:
        raise AssertionError("it was begun")

    with pytest.raises(Interrupted, match="after step 10 of 20"):
        run(tmp_path, Signalled(9, signal.SIGTERM), evaluate, evaluate_every=10)


def test_a_second_one_leaves_at_once(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Signalled(7, signal.SIGTERM, signal.SIGINT))
    assert not (tmp_path / "last.pt").exists()


def test_a_second_sigterm_ends_the_process(tmp_path: Path) -> None:
    process = CONTEXT.Process(target=run, args=(tmp_path, Signalled(7, signal.SIGINT, signal.SIGTERM)))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGTERM
    assert not (tmp_path / "last.pt").exists()


def test_what_was_ignored_stays_ignored(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as nohup and background jobs of a shell have it
    try:
        run(tmp_path, Signalled(7, signal.SIGINT))
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_a_thread_no_signal_is_waited_for(tmp_path: Path) -> None:
    thread = Thread(target=run, args=(tmp_path, TinyData()))
    thread.start()
    thread.join()
    assert torch.load(tmp_path / "last.pt", weights_only=True)["step"] == 20


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small classifier that would train for hours."""
    root = tmp_path_factory.mktemp("images")
    image_tree.write_classes(root, {"train": 4, "val": 2})
    found = image_tree.recipe_of(root, **{"train.length": 100_000, "train.evaluate_every": 0})
    path = root / "recipe.yaml"
    path.write_text(overrides.dump_yaml(found))
    return path


@BOTH
def test_the_command_line_ends_with_75(recipe: Path, tmp_path: Path, number: signal.Signals) -> None:
    """A scheduler and a terminal send the signal to all processes of the group, those that read images too."""
    log, folder = tmp_path / "log", tmp_path / "run"
    process = start("train", recipe, "train.workers=1", "--out", folder, log=log)
    wait_for(lambda: (folder / "metrics.csv").exists() and (folder / "metrics.csv").stat().st_size > 0, process)
    for receiver in (*children(process), process.pid):
        os.kill(receiver, number)
    process.join(60)
    assert process.exitcode == 75
    lines = log.read_text().splitlines()
    assert lines[-1].startswith(f"Interrupted by {number.name} after step ")
    assert lines[-1].endswith(f"go on with: splitnest train {folder} --resume")
    assert "Traceback" not in log.read_text()
    assert (folder / "last.pt").exists()
